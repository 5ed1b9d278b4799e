"""What the supervisor tells a zygote and a new subworker: plain JSON over their control socket, descriptors beside it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from farm.joblog import LOG_BYTES_DEFAULT

MESSAGE_BYTES_MAX = 1 << 17
"""Options of the runners up to 48 KiB, variables of a lane up to 16, which JSON may make twice as long, and little else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """The descriptors that a subworker is born with, in the order in which they are passed."""

    wake: int
    """eventfd: there are frames, there is room for results, or there is a recall."""
    writer: int
    """eventfd of the writer: there are outcomes."""
    supervisor: int
    """eventfd of the supervisor: fewer jobs than it asked for are left unstarted."""
    output: int
    """Pipe for what jobs print."""
    output_end: int
    """The same pipe's other end, held so that a print does not fail when the supervisor has died."""

    def as_list(self) -> list[int]:
        return [self.wake, self.writer, self.supervisor, self.output, self.output_end]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOrder:
    """Everything a subworker is told."""

    name: str
    """Name of its generation, `w<k>.<n>`."""
    path: str
    """Its generation file."""
    lane: str
    concurrency: int
    memory_bytes: int
    """What its job may allocate above what it needs after all is set up."""
    keep_result: bool = True
    """False: what its jobs return is dropped."""
    logs: str = "off"
    """Of which jobs what they print is kept: one of farm.joblog.Logs."""
    log_limit_bytes: int = LOG_BYTES_DEFAULT
    """Of each of them the first so many bytes."""
    runners: tuple[tuple[str, dict[str, Any]], ...]
    """(name, options) of its runners; a job frame names its runner by position."""
    env: Mapping[str, str]
    """Variables of its lane, on top of the few that all have."""
    cpus: tuple[int, ...] = ()
    """The CPUs that it may run on; none: all."""
    nice: int = 0
    """Added to the niceness that it was born with."""
    setup: tuple[str, ...] = ()
    """Functions to call when the runners are set up, `module:function` each."""
    spill_directory: str
    spill_owner: str
    """Begins the names of the files that it spills."""
    spill_bytes_max: int
    supervisor_pid: int
    group: str = ""
    """The control group that it is to put itself into; "": none."""

    def send(self, control: socket.socket, descriptors: Descriptors) -> None:
        """Send the order to the zygote."""
        socket.send_fds(control, [orjson.dumps(asdict(self))], descriptors.as_list())


def receive(control: socket.socket) -> tuple[ForkOrder, Descriptors] | None:
    """Wait for the next order; None when the supervisor has closed its end."""
    message, passed, _flags, _address = socket.recv_fds(control, MESSAGE_BYTES_MAX, 8)
    if not message:
        return None
    fields = orjson.loads(message)
    fields["runners"] = tuple((name, options) for name, options in fields["runners"])
    wake, writer, supervisor, output, output_end = passed
    return ForkOrder(**fields), Descriptors(wake=wake, writer=writer, supervisor=supervisor, output=output, output_end=output_end)
