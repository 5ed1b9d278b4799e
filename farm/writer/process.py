"""The writer's process: a loop over its control socket and its eventfd. Executed afresh by the supervisor; the last to leave.

When the supervisor dies the control socket closes: the writer goes on until the rings of its crew are empty (orphan.py).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from farm import linux
from farm.cgroups import remove_in_time
from farm.collector import collect_rarely
from farm.errors import RingBroken
from farm.retry import Policies, Policy
from farm.shm.counters import store_commits
from farm.shm.failures import FailureFile
from farm.shm.generation import GenerationFile, RingFile, mark_broken
from farm.shm.ring import RingConsumer, RingProducer
from farm.shm.spill import Spill, owner_of
from farm.store.commits import CommitStore
from farm.store.session import Session
from farm.writer import messages
from farm.writer.attached import Attached
from farm.writer.batch import Batch
from farm.writer.dropped import Dropped
from farm.writer.failed import Failed
from farm.writer.messages import Adopt, Attach, Detach, Drain, Leave, Start
from farm.writer.orphan import Orphan
from farm.writer.sources import Source

CONTROL_FD, WAKE_FD, SUPERVISOR_FD, CREW_LOCK_FD = 3, 4, 5, 6
"""The descriptors that a writer is born with, besides 0 to 2: control socket, its own eventfd, the supervisor's, the crew's lock."""
ACK_WAIT_S = 0.05
SLEEP_S_MAX = 1.0
LOOK_S = 0.02
"""While outcomes are held and more are on their way, the rings are looked at so often; to be woken for each of them would cost more
than to commit it."""

log = logging.getLogger("farm.writer")


class WriterProcess:
    """Owns the descriptors, the sources and the batch; `serve` returns the exit code."""

    def __init__(self, control: socket.socket, start: Start) -> None:
        self._control = control
        self._drain_timeout_s = start.drain_timeout_s
        self._attached = Attached()
        self._spill = Spill(Path(start.spill_directory), owner="writer", bytes_max=start.spill_bytes_max)
        self._ack_file = RingFile.open(Path(start.ack_path))
        # Where a successor of the supervisor finds whom to end.
        self._ack_file.pid_start_time = linux.start_time(os.getpid()) or 0
        self._ack_file.pid = os.getpid()
        self._acks = RingProducer(self._ack_file.ring, wake=lambda: os.eventfd_write(SUPERVISOR_FD, 1))
        self._session = Session(start.dsn, application_name="farm writer", pooled=start.pooled)
        self._commits = CommitStore(self._session, _policies_of(start.policies))
        self._desk: RingFile | None = None
        """Where the supervisor says whether anybody waits for the end of a job."""
        self._lanes: dict[int, str] = {}
        """Whose subworkers have, or had, which number."""
        self._dropped = Dropped()
        self._batch = Batch(
            commits=self._commits,
            acknowledge=self._acknowledge,
            batch_max=start.batch_max,
            age_max_s=start.age_max_s,
            report=self._dropped.note,
            failed=Failed(FailureFile.open(Path(start.failures_path))).note,
        )
        self._orphan: Orphan | None = None
        self._leaving = False
        self._groups_home = start.groups_home

    def serve(self) -> int:
        """Run until told to leave, or until there is nothing left to commit for a crew without supervisor."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(WAKE_FD, select.POLLIN)
        while not self._leaving:
            wait_s = self.step(time.monotonic_ns())
            if self._orphan is not None:
                left_s = self._orphan.step(time.monotonic_ns(), self._attached.all)
                if left_s is None:
                    if self._groups_home:
                        remove_in_time(Path(self._groups_home))
                    self._dropped.tell(time.monotonic(), at_last=True)
                    return self._last_words()
                wait_s = min(wait_s, left_s)
            if wait_s > 0:
                wait_s = self._fall_asleep(wait_s)
            ready = dict(poll.poll(wait_s * 1000))
            if WAKE_FD in ready:
                with suppress(BlockingIOError):
                    os.eventfd_read(WAKE_FD)
            if self._control.fileno() in ready and not self._hear_all():
                poll.unregister(self._control)
                self._orphan = Orphan(drain_timeout_s=self._drain_timeout_s, now_ns=time.monotonic_ns())
        self._dropped.tell(time.monotonic(), at_last=True)
        return 0

    def step(self, now_ns: int) -> float:
        """Read what there is, commit if it is due. Returns the seconds until the writer wants to run again, 0 for at once."""
        sources = self._attached.astir
        self._dropped.tell(now_ns / 1e9)
        self._attached.look(company=False)
        self._batch.fill(sources)
        if len(self._batch):
            self._attached.look(company=True)
        self._batch.awaited = self._desk is not None and now_ns < self._desk.waiters_ns
        wait_s = self._batch.due_in_s(now_ns, sources)
        if wait_s > 0:
            return min(wait_s, SLEEP_S_MAX)
        self._commits.tells = self._batch.awaited
        self._batch.commit(now_ns)
        store_commits(self._ack_file, self._batch.told())
        return 0.0 if not self._batch.held else self._batch.due_in_s(time.monotonic_ns(), sources)

    def _fall_asleep(self, wait_s: float) -> float:
        """Return how long to sleep. Every ring's producer is to wake the writer, unless outcomes are held and their like is on its way."""
        if self._batch.held or self._batch.full:
            return wait_s
        if len(self._batch) and any(source.busy for source in self._attached.astir):
            return min(wait_s, LOOK_S)
        # Of one that comes now somebody may want to hear at once.
        return wait_s if self._attached.arm() else 0.0

    def _hear_all(self) -> bool:
        """Obey all messages that are there, before more is committed: they tell whose rings are read. False when the supervisor is gone."""
        more = select.poll()
        more.register(self._control, select.POLLIN)
        while self._hear():
            if not more.poll(0):
                return True
        return False

    def _hear(self) -> bool:
        """Obey one message; False when the supervisor is gone."""
        received = messages.receive(self._control)
        if received is None:
            return False
        match received:
            case Attach() as attach, descriptors:
                if attach.lane:
                    # Of one that is buried already, too: the desk tells of its jobs.
                    self._lanes[attach.number] = attach.lane
                try:
                    self._attached.add(self._source_of(attach, descriptors))
                except FileNotFoundError:
                    # Died and buried before we came to it: its ring was empty, else the burial would have waited for us.
                    _close_all(descriptors)
                except RingBroken as error:
                    log.error("%s: %s", attach.name, error)
                    mark_broken(Path(attach.path))
                    _close_all(descriptors)
            case Detach() as detach, _:
                self._attached.remove(detach.name)
            case Adopt() as adopt, _:
                self._adopt(adopt)
            case Drain(), _:
                self._batch.draining = True
            case Leave(), _:
                self._leaving = True
        return True

    def _adopt(self, adopt: Adopt) -> None:
        self._drain_timeout_s = adopt.drain_timeout_s
        self._spill.bytes_max = adopt.spill_bytes_max
        self._batch.bound(batch_max=adopt.batch_max, age_max_s=adopt.age_max_s)
        self._commits.policies = _policies_of(adopt.policies)

    def _source_of(self, attach: Attach, descriptors: list[int]) -> Source:
        path = Path(attach.path)
        file = GenerationFile.open(path) if attach.of_subworker else RingFile.open(path)
        if attach.desk and isinstance(file, RingFile):
            self._desk = file
        wake_fd = descriptors[0] if descriptors else None
        ring = RingConsumer(
            file.result_ring if isinstance(file, GenerationFile) else file.ring,
            wake_producer=None if wake_fd is None else lambda: os.eventfd_write(wake_fd, 1),
        )
        return Source(
            name=attach.name,
            spill_owner=owner_of(path),
            number=attach.number,
            ring=ring,
            file=file,
            generation=file if isinstance(file, GenerationFile) else None,
            wake_fd=wake_fd,
            spill=self._spill,
            on_broken=log.error,
            lane=attach.lane,
            lanes=self._lanes if attach.desk else None,
        )

    def _acknowledge(self, number: int, packed: bytes) -> None:
        """Push acks of one source to the supervisor; while its ring is full, wait, unless it is gone."""
        while self._orphan is None and not self._acks.put([packed], kind=number):
            if self._supervisor_gone():
                return
            time.sleep(ACK_WAIT_S)

    def _supervisor_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLHUP)
        return any(event & select.POLLHUP for _fd, event in poll.poll(0))

    def _last_words(self) -> int:
        left = len(self._batch)
        if left:
            log.error("%d outcomes are not committed; they stay in their rings for the next start on this host", left)
        return 1 if left else 0


def _policies_of(data: list[dict[str, Any]]) -> Policies:
    return Policies(list(map(Policy.of_data, data)))


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def main() -> int:
    """Be the writer of the supervisor at the other end of descriptor 3."""
    # Before the password is read: nobody of the same user may look into this process from then on.
    linux.hide_memory()
    linux.name_process("farm writer")
    linux.set_oom_score(linux.OOM_SCORE_OF_FARM)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    for descriptor in (CONTROL_FD, WAKE_FD, SUPERVISOR_FD, CREW_LOCK_FD):
        os.set_inheritable(descriptor, False)
    logging.raiseExceptions = False  # the log's pipe ends with the supervisor; the writer does not
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    control = socket.socket(fileno=CONTROL_FD)
    received = messages.receive(control)
    if received is None or not isinstance(received[0], Start):
        return 0
    process = WriterProcess(control, received[0])
    collect_rarely()
    return process.serve()


if __name__ == "__main__":
    sys.exit(main())
