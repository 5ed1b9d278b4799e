"""Where outcomes come from: the result rings of subworkers, and the desk ring of the supervisor."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping
from typing import Protocol

from farm.errors import RingBroken
from farm.joblog import LOG_BYTES_MAX, MARKER_BYTES_MAX
from farm.model import RESULT_BYTES_MAX, Outcome, OutcomeKind, Outcomes
from farm.shm.frames import LOGGED, LOGGED_BYTES, SPILLED, split_logged, unpack_outcome
from farm.shm.generation import GenerationFile
from farm.shm.ring import Frame, RingConsumer
from farm.shm.spill import Spill
from farm.shm.successes import SUCCEEDED, add_alike, add_success

KINDS_OF_SUBWORKERS = frozenset(
    {
        OutcomeKind.SUCCEEDED,
        OutcomeKind.FAILED,
        OutcomeKind.MEMORY,
        OutcomeKind.CANCELLED,
        OutcomeKind.SNOOZED,
        OutcomeKind.TIMED_OUT,
    }
)
"""What a process that runs foreign code may say of a job; everything else is the supervisor's to say. That it was cancelled or timed out
it says of a job that was asked to end; said unasked, it harms that job alone."""
FRAMES_MAX = 32
"""Frames that do not look alike are taken so many at a time; then it may be that others do again."""
LOG_ROOM_BYTES = LOG_BYTES_MAX + MARKER_BYTES_MAX + LOGGED_BYTES
"""What a log may add to a result that was spilled."""
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
        lane: str = "",
        lanes: Mapping[int, str] | None = None,
    ) -> None:
        """lane: whose results these are. lanes: for the desk, where each outcome says by a subworker's number which lane it is of."""
        self.name = name
        self._lane = lane
        self._lanes = lanes
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
        self.oldest_ns = 0
        """When the first outcome of the last reading finished: a ring is in order of finishing."""

    @property
    def busy(self) -> bool:
        """True while its subworker runs something, or frames wait unread."""
        if self.broken:
            return False
        return self.ring.unread or (self.generation is not None and self.generation.slots.any_running())

    @property
    def blocked(self) -> bool:
        """True while its subworker waits for room that only a commit gives back."""
        return not self.broken and self.ring.wants_space and self.ring.cursor != self.ring.tail

    @property
    def drained(self) -> bool:
        """True when everything published has been committed, or the ring can never be read again."""
        return self.broken or self.ring.drained

    def read_into(self, outcomes: Outcomes, frames_max: int) -> int:
        """Add up to frames_max outcomes; returns how many there were. A broken ring is reported once and left alone."""
        read = 0
        try:
            while read < frames_max and not self.broken:
                count, finished_ns = self._read_some(outcomes, frames_max - read)
                if not count:
                    break
                if not read:
                    self.oldest_ns = finished_ns
                read += count
        except RingBroken as error:
            self.broken = True
            if self.generation is not None:
                self.generation.broken = 1
            self._on_broken(f"{self.name}: {error}")
        return read

    def release(self) -> None:
        """Give back what was read: its commit has succeeded. Spilled results are removed with it."""
        if not self.broken:
            self.ring.release(self.ring.cursor)
            self.first_pass = self.first_pass and self.ring.cursor < self._first_pass_end
        for name in self._spilled:
            self._spill.remove(name)
        self._spilled.clear()
        self.acks = array("Q")

    def lane_of(self, index: int) -> str:
        """Return the lane of the outcome whose ack is the index-th of those held; "" if that is not known."""
        if self._lanes is None:
            return self._lane
        return self._lanes.get(self.acks[index], "") if index < len(self.acks) else ""

    def close(self) -> None:
        """Let go of the ring and its file."""
        self.ring.close()
        self._file.close()
        if self._wake_fd is not None:
            os.close(self._wake_fd)

    def _read_some(self, outcomes: Outcomes, frames_max: int) -> tuple[int, int]:
        """Add outcomes from the cursor on; returns how many, and when the first of them finished."""
        run = self.ring.read_alike(SUCCEEDED, frames_max)
        if run is not None:
            sequences, finished_ns = add_alike(run, outcomes)
            self.acks.frombytes(sequences)
            return run.frames, finished_ns
        frames = self.ring.read(min(frames_max, FRAMES_MAX))
        finished = [self._add(frame, outcomes) for frame in frames]
        return len(frames), finished[0] if finished else 0

    def _add(self, frame: Frame, outcomes: Outcomes) -> int:
        """Add one outcome, whatever it is; returns when it finished."""
        _seq, kind, flags, payload = frame
        if kind == SUCCEEDED and not flags & ~LOGGED:
            seq, finished_ns = add_success(payload, outcomes, logged=bool(flags))
        else:
            if self.generation is not None and kind not in KINDS_OF_SUBWORKERS:
                raise RingBroken(f"a subworker cannot say outcome {kind}")
            outcome, seq = unpack_outcome(kind, payload)
            outcomes.others.append(self._whole(outcome, flags) if flags & (SPILLED | LOGGED) else outcome)
            finished_ns = outcome.finished_ns
        self.acks.append(seq)
        return finished_ns

    def _whole(self, outcome: Outcome, flags: int) -> Outcome:
        """Return an outcome with its own JSON and log, of one whose payload is more, or is the name of a file."""
        payload = outcome.payload
        if flags & SPILLED:
            found = self._unspilled(payload, RESULT_BYTES_MAX + (LOG_ROOM_BYTES if flags & LOGGED else 0))
            if found is None:
                # Only a commit removes the file, so this outcome was committed before and the fence will drop this one.
                return outcome._replace(kind=OutcomeKind.FAILED, payload=SPILL_GONE)
            payload = found
        log = b""
        if flags & LOGGED:
            payload, log = split_logged(payload)
        return outcome._replace(payload=payload, log=log)

    def _unspilled(self, name: bytes, bytes_max: int) -> bytes | None:
        if not name.startswith(f"{self._spill_owner}-".encode()):
            raise RingBroken("a result frame names a spill file that is not its subworker's")
        payload = self._spill.read(name, bytes_max=bytes_max)
        self._spilled.append(name)
        return None if payload is None or len(payload) > bytes_max else payload
