"""Where outcomes come from: the result rings of subworkers, and the desk ring of the supervisor."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from typing import Protocol

from farm.errors import RingBroken
from farm.model import RESULT_BYTES_MAX, Outcome, OutcomeKind
from farm.shm.frames import SPILLED, unpack_outcome
from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.spill import Spill

SUCCEEDED = int(OutcomeKind.SUCCEEDED)
KINDS_OF_SUBWORKERS = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.MEMORY})
"""What a process that runs foreign code may say of a job; everything else is the supervisor's to say."""
SPILL_GONE = b'{"type":"SpillGone","message":"the result was spilled to a file that is gone","traceback":""}'


class RingFileLike(Protocol):
    """The file in which a result ring stands."""

    def close(self) -> None: ...


class Source:
    """One result ring as the writer reads it: frames stay in the ring until the commit that holds them has succeeded."""

    def __init__(
        self,
        *,
        name: str,
        spill_owner: str,
        number: int,
        ring: RingConsumer,
        file: RingFileLike,
        generation: GenerationFile | None,
        wake_fd: int | None,
        spill: Spill,
        on_broken: Callable[[str], None],
    ) -> None:
        self.name = name
        self.number = number
        """Stands in its acks."""
        self._spill_owner = spill_owner
        self.ring = ring
        self.first_pass = not ring.drained
        """True until what was in the ring when it was attached has been committed: a predecessor may have done that already."""
        self.broken = False
        self.acks = array("Q")
        """Sequences of the job frames whose outcomes were read and not yet committed."""
        self.generation = generation
        """The whole file, where the ring is a subworker's; None for the supervisor's own."""
        self._file = file
        self._wake_fd = wake_fd
        self._spill = spill
        self._on_broken = on_broken
        self._spilled: list[bytes] = []
        self._first_pass_end = ring.head

    @property
    def busy(self) -> bool:
        """True while its subworker runs something, or frames wait unread."""
        if self.broken:
            return False
        return self.ring.head != self.ring.cursor or (self.generation is not None and self.generation.slots.any_running())

    @property
    def drained(self) -> bool:
        """True when everything published has been committed, or the ring can never be read again."""
        return self.broken or self.ring.drained

    def read_into(self, outcomes: list[Outcome], frames_max: int) -> bool:
        """Append up to frames_max outcomes; True if there were any. A broken ring is reported once and left alone."""
        if self.broken:
            return False
        append, acknowledge, unpack = outcomes.append, self.acks.append, unpack_outcome
        trusted = self.generation is None
        held = len(outcomes)
        try:
            for _seq, kind, flags, payload in self.ring.read(frames_max):
                outcome, job_seq = unpack(kind, payload)
                if kind != SUCCEEDED and not trusted and kind not in KINDS_OF_SUBWORKERS:
                    raise RingBroken(f"a subworker cannot say outcome {kind}")
                append(self._unspilled(outcome) if flags & SPILLED else outcome)
                acknowledge(job_seq)
        except RingBroken as error:
            self.broken = True
            if self.generation is not None:
                self.generation.broken = 1
            self._on_broken(f"{self.name}: {error}")
        return len(outcomes) > held

    def release(self) -> None:
        """Give back what was read: its commit has succeeded. Spilled results are removed with it."""
        if not self.broken:
            self.ring.release(self.ring.cursor)
            self.first_pass = self.first_pass and self.ring.cursor < self._first_pass_end
        for name in self._spilled:
            self._spill.remove(name)
        self._spilled.clear()
        self.acks = array("Q")

    def close(self) -> None:
        """Let go of the ring and its file."""
        self.ring.close()
        self._file.close()
        if self._wake_fd is not None:
            os.close(self._wake_fd)

    def _unspilled(self, outcome: Outcome) -> Outcome:
        name = outcome.payload
        if not name.startswith(f"{self._spill_owner}-".encode()):
            raise RingBroken("a result frame names a spill file that is not its subworker's")
        payload = self._spill.read(name, bytes_max=RESULT_BYTES_MAX)
        self._spilled.append(name)
        if payload is None or len(payload) > RESULT_BYTES_MAX:
            # Only a commit removes the file, so this outcome was committed before and the fence will drop this one.
            return outcome._replace(kind=OutcomeKind.FAILED, payload=SPILL_GONE)
        return outcome._replace(payload=payload)
