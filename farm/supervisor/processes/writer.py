"""The supervisor's end of the writer: starts it, tells it which rings to read, hears that it died."""

from __future__ import annotations

import os
import socket
import time
from array import array
from contextlib import suppress

from farm.failpoints import passing
from farm.shm.counters import Commits, load_commits
from farm.shm.generation import RingFile
from farm.shm.ring import RingConsumer
from farm.supervisor.processes.spawn import spawn
from farm.writer.messages import Adopt, Attach, Detach, Drain, Leave, Message, Start, send

CONTROL_FD, WAKE_FD, SUPERVISOR_FD, CREW_LOCK_FD = 3, 4, 5, 6
ACKS_MAX = 256
DESK_NUMBER = 0
"""Acks of the supervisor's own outcomes carry this number: nobody waits for them."""


class Writer:
    """One writer process and its ack ring. A successor gets a new ack ring and reads the same result rings again."""

    def __init__(self, *, ack_file: RingFile, wake_fd: int, supervisor_fd: int, crew_lock_fd: int, output_fd: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDONLY)
        self.control = ours
        self.born_at = time.monotonic()
        self.ack_file = ack_file
        self._acks = RingConsumer(ack_file.ring)
        self._draining = False
        try:
            descriptors = {
                0: nothing,
                1: output_fd,
                2: output_fd,
                CONTROL_FD: theirs.fileno(),
                WAKE_FD: wake_fd,
                SUPERVISOR_FD: supervisor_fd,
                CREW_LOCK_FD: crew_lock_fd,
            }
            self.pid = spawn("farm.writer.process", [], descriptors)
        finally:
            theirs.close()
            os.close(nothing)

    def start(self, start: Start) -> None:
        """Tell it all it needs; before that it only imports."""
        self._tell(start)

    def adopt(self, adopt: Adopt) -> None:
        """Have it go on with other options; a successor is told with its start."""
        self._tell(adopt)

    def attach(
        self, *, name: str, number: int, path: str, of_subworker: bool, wake_fd: int | None, desk: bool = False, lane: str = ""
    ) -> None:
        """Have a result ring read from now on; wake_fd is written when its producer waits and there is room again."""
        attach = Attach(name=name, number=number, path=path, of_subworker=of_subworker, desk=desk, lane=lane)
        self._tell(attach, () if wake_fd is None else (wake_fd,))

    def detach(self, name: str) -> None:
        """Have a drained ring forgotten."""
        self._tell(Detach(name=name))

    def drain(self) -> None:
        """Have everything committed at once from now on."""
        if not self._draining:
            self._draining = True
            self._tell(Drain())

    def leave(self) -> None:
        """Let it end: all is committed."""
        self._tell(Leave())

    def acks(self) -> list[tuple[int, array[int]]]:
        """Return all acks that have come in since the last call: (number of the generation, sequences of its job frames)."""
        acks = []
        while frames := self._acks.take(ACKS_MAX):
            for _seq, number, _flags, packed in frames:
                sequences = array("Q")
                sequences.frombytes(packed)
                acks.append((number, sequences))
        if acks:
            passing("supervisor.acks_taken")
        return acks

    def arm(self) -> bool:
        """Say that the supervisor is about to sleep; False if there are acks to be taken first."""
        return self._acks.arm()

    def disarm(self) -> None:
        self._acks.disarm()

    def commits(self) -> Commits:
        """Return what its commits came to since its start. From any thread, until it is closed."""
        return load_commits(self.ack_file)

    def close(self) -> None:
        """Let go of the socket and the ack ring; the file is removed."""
        self.control.close()
        self._acks.close()
        self.ack_file.unlink()
        self.ack_file.close()

    def _tell(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        # A writer that is dead hears nothing; its successor is told everything anew.
        with suppress(BrokenPipeError, ConnectionError):
            send(self.control, message, descriptors)
