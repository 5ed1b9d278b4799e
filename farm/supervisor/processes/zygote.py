"""The supervisor's end of the zygote: starts it, orders forks, hears of births."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import orjson

from farm.subworker.order import Descriptors, ForkOrder
from farm.supervisor.processes.spawn import SINGLE_THREADED, spawn

CONTROL_FD, CREW_LOCK_FD = 3, 4
"""As farm.subworker.zygote knows them; importing it here would import what only a zygote needs."""
MESSAGE_BYTES_MAX = 4096


class Birth(NamedTuple):
    """A subworker that has become our child, or could not."""

    name: str
    pid: int
    error: str = ""
    """Why it could not be forked, "" if it was."""


class Zygote:
    """One zygote process. When it dies another one is made; the subworkers that it forked live on."""

    def __init__(self, *, runner_names: Sequence[str], concurrency_max: int, crew_lock_fd: int, output_fd: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.control = ours
        self.expected: set[str] = set()
        """The names of those that it was to fork and has told nothing of."""
        self.born_at = time.monotonic()
        self.control.setblocking(False)
        arguments = [str(os.getpid()), str(concurrency_max), *runner_names]
        try:
            descriptors = {0: nothing, 1: output_fd, 2: output_fd, CONTROL_FD: theirs.fileno(), CREW_LOCK_FD: crew_lock_fd}
            self.pid = spawn("farm.subworker.zygote", arguments, descriptors, SINGLE_THREADED)
        finally:
            theirs.close()
            os.close(nothing)

    def order(self, order: ForkOrder, descriptors: Descriptors) -> None:
        """Have a subworker forked; its birth is heard later. Raises OSError if the zygote is gone."""
        order.send(self.control, descriptors)
        self.expected.add(order.name)

    def births(self) -> list[Birth]:
        """Return the births that were told since the last call."""
        births = []
        with suppress(BlockingIOError, ConnectionError):
            while message := self.control.recv(MESSAGE_BYTES_MAX):
                births.append(Birth(**orjson.loads(message)))
        self.expected.difference_update(birth.name for birth in births)
        return births

    def hush(self) -> None:
        """Hear no more births than have been told: whoever tells one from now on is told that nobody listens, and leaves."""
        with suppress(OSError):
            self.control.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let the zygote end: it leaves when its control socket closes."""
        self.control.close()
