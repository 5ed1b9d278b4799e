"""How zygotes and writers are started: what they are born with, and what they are told by a configuration."""

from __future__ import annotations

from pathlib import Path

from farm.config.model import Config
from farm.shm.failures import FailureFile
from farm.shm.generation import ACK_RING_BYTES, RingFile
from farm.shm.place import Place
from farm.supervisor.crew.desk import Desk
from farm.supervisor.processes.writer import DESK_NUMBER, Writer
from farm.supervisor.processes.zygote import Zygote
from farm.writer.messages import Adopt, Start


class Children:
    """Knows the descriptors that they are born with. The database and the desk are named when they are there."""

    def __init__(self, *, place: Place, spill_path: Path, supervisor_fd: int, writer_fd: int, crew_lock_fd: int, output_fd: int) -> None:
        self.dsn = ""
        self.desk: Desk | None = None
        self.groups_home = ""
        """The control group in which those of subworkers are, "" if they have none: a writer that leaves last removes it."""
        self._place = place
        self._spill_path = spill_path
        self._supervisor_fd = supervisor_fd
        self._writer_fd = writer_fd
        self._crew_lock_fd = crew_lock_fd
        self._output_fd = output_fd
        self._writers = 0
        # Of all writers of this run: a successor goes on where the one before it was.
        FailureFile.create(place.failures).close()

    def make_zygote(self, config: Config) -> Zygote:
        """Start a zygote; it imports the runners of the configuration once. Raises OSError."""
        at_once = max(lane.concurrency for lane in config.lanes)
        return Zygote(
            runner_names=list(config.runners), concurrency_max=at_once, crew_lock_fd=self._crew_lock_fd, output_fd=self._output_fd
        )

    def make_writer(self, config: Config) -> Writer:
        """Start a successor of a writer that died: it is told everything at once."""
        writer = self.spawn_writer()
        self.start_writer(writer, config)
        self.attach_desk(writer)
        return writer

    def spawn_writer(self) -> Writer:
        """Start a writer that only imports yet."""
        self._writers += 1
        path = self._place.path / f"{self._place.ack.name}.{self._writers}"
        return Writer(
            ack_file=RingFile.create(path, host_id=0, capacity=ACK_RING_BYTES),
            wake_fd=self._writer_fd,
            supervisor_fd=self._supervisor_fd,
            crew_lock_fd=self._crew_lock_fd,
            output_fd=self._output_fd,
        )

    def start_writer(self, writer: Writer, config: Config) -> None:
        """Tell a writer all that it needs to commit."""
        start = Start(
            dsn=self.dsn,
            pooled=config.database.pooled,
            batch_max=config.writer.batch_max,
            age_max_s=config.writer.age_max_s,
            drain_timeout_s=config.drain_timeout_s,
            ack_path=str(writer.ack_file.path),
            groups_home=self.groups_home,
            failures_path=str(self._place.failures),
            spill_directory=str(self._spill_path),
            spill_bytes_max=config.spill_bytes_max,
            policies=[policy.as_data() for policy in config.tasks],
        )
        writer.start(start)

    def tell_writer(self, writer: Writer, config: Config) -> None:
        """Have a writer go on by another configuration."""
        adopt = Adopt(
            batch_max=config.writer.batch_max,
            age_max_s=config.writer.age_max_s,
            drain_timeout_s=config.drain_timeout_s,
            spill_bytes_max=config.spill_bytes_max,
            policies=[policy.as_data() for policy in config.tasks],
        )
        writer.adopt(adopt)

    def attach_desk(self, writer: Writer) -> None:
        """Have a writer read the desk's ring."""
        assert self.desk is not None
        path = str(self.desk.file.path)
        writer.attach(name=Desk.NAME, number=DESK_NUMBER, path=path, of_subworker=False, wake_fd=self._supervisor_fd, desk=True)
