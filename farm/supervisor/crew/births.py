"""Has subworkers made: the file that each shares with us, its descriptors, and the order to the zygote."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from farm.joblog import Logs
from farm.shm.generation import GenerationFile
from farm.shm.logtails import tails_bytes
from farm.shm.place import Place
from farm.shm.spill import owner_of
from farm.subworker.order import Descriptors, ForkOrder
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation
from farm.supervisor.processes.groups import Groups
from farm.supervisor.processes.output import Output
from farm.supervisor.processes.zygote import Zygote

SPARE = "spare"


class Unborn(NamedTuple):
    """One that is ready to be ordered."""

    generation: Generation
    output: Output
    """Our end of the pipe that it will print to."""
    output_fd: int
    """Its end: to be closed here when it is ordered."""
    order: ForkOrder


class Births:
    """Knows what all subworkers of this farm have in common."""

    def __init__(
        self,
        *,
        place: Place,
        runners: Sequence[tuple[str, dict[str, Any]]],
        spill_directory: str,
        spill_bytes_max: int,
        supervisor_fd: int,
        writer_fd: int,
        groups: Groups,
    ) -> None:
        self.groups = groups
        self.runners = tuple(runners)
        """(name, options) of the runners. A change concerns those that are born from then on, of a zygote that has imported them."""
        self._place = place
        self._spill_directory = spill_directory
        self._spill_bytes_max = spill_bytes_max
        self._supervisor_fd = supervisor_fd
        self._writer_fd = writer_fd
        self._born = itertools.count(1)

    def adopt(self, *, runners: Sequence[tuple[str, dict[str, Any]]], spill_bytes_max: int) -> None:
        """Go by these for those that are born from now on, of a zygote that has imported the runners."""
        self.runners = tuple(runners)
        self._spill_bytes_max = spill_bytes_max

    def conceive(self, lane: Lane, index: int, *, number: int, host_id: int, is_spare: bool) -> Unborn:
        """Make the file and the pipes of a subworker of that lane, as its configuration is now, for the post of that index.

        Raises FarmError or OSError where there is no space, or no descriptor.
        """
        path = self._place.generation(index, next(self._born))
        with ExitStack() as undo:
            wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, wake_fd)
            output_end, output_fd = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, output_end)
            undo.callback(os.close, output_fd)
            file = GenerationFile.create(path, slots=lane.config.concurrency, host_id=host_id)
            undo.pop_all()
        generation = Generation(name=path.name, number=number, lane=lane.name, host_id=host_id, file=file, wake_fd=wake_fd)
        generation.memory_bytes = lane.config.memory_bytes
        generation.tails_bytes = 0 if lane.config.logs is Logs.OFF else tails_bytes(lane.config.concurrency)
        generation.group = self.groups.make(path.name)
        generation.runners = len(self.runners)
        if is_spare:
            generation.post = SPARE
        else:
            file.post = index + 1
        order = ForkOrder(
            name=path.name,
            path=str(path),
            lane=lane.name,
            concurrency=lane.config.concurrency,
            memory_bytes=lane.config.memory_bytes,
            keep_result=lane.config.keep_result,
            logs=lane.config.logs,
            log_limit_bytes=lane.config.log_limit_bytes,
            runners=self.runners,
            env=lane.config.env,
            cpus=lane.config.cpus,
            nice=lane.config.nice,
            setup=lane.config.setup,
            spill_directory=self._spill_directory,
            spill_owner=owner_of(path),
            spill_bytes_max=self._spill_bytes_max,
            supervisor_pid=os.getpid(),
            group="" if generation.group is None else str(generation.group.path),
        )
        return Unborn(generation, Output(f"{generation.post} ({lane.name})", output_end), output_fd, order)

    def order(self, unborn: Unborn, zygote: Zygote) -> None:
        """Have it forked; its birth is heard later. Raises OSError if the zygote cannot be told."""
        descriptors = Descriptors(
            wake=unborn.generation.wake_fd,
            writer=self._writer_fd,
            supervisor=self._supervisor_fd,
            output=unborn.output_fd,
            output_end=unborn.output.fd,
        )
        try:
            zygote.order(unborn.order, descriptors)
        finally:
            os.close(unborn.output_fd)
