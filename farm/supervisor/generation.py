"""One generation of a subworker, as the supervisor sees it: what it was handed, what it has started, how it ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from farm.model import OutcomeKind
from farm.shm.frames import SPILLED
from farm.shm.generation import READY, SETUP_FAILED, GenerationFile
from farm.shm.ring import Ring, RingProducer
from farm.shm.slots import Slot
from farm.shm.start import Recall
from farm.supervisor.pace import Pace

DEPTH_S = 0.05
"""Seconds of work handed to a subworker ahead of its current job: what another one would have to wait for at the worst."""
DEPTH_MAX = 4096

HeldFrame = tuple[int, int, bytes]
"""(kind, flags, payload) of a job frame, as the ring takes it."""


class Phase(StrEnum):
    """Where a generation is in its life.

    BORN: forked, its runners are being set up. SERVING: takes frames.
    DOOMED: it was sent a kill. DEAD: reaped; the writer has not yet consumed its ring. BURIED: every job it held is accounted for.
    """

    BORN = "born"
    SERVING = "serving"
    DOOMED = "doomed"
    DEAD = "dead"
    BURIED = "buried"


class Doom(NamedTuple):
    """Why a subworker was killed on purpose, noted before the kill."""

    kind: OutcomeKind
    message: str
    seq: int
    """The frame whose job it was killed for, 0: all that run. Jobs beside it are released, unless they were over their time as well."""
    at_ns: int = 0
    """CLOCK_MONOTONIC of the look that found it over its time; 0 for other reasons."""


class Generation:
    """Made for every (re)spawn of a subworker; never used again after its burial."""

    def __init__(self, *, name: str, number: int, lane: str, host_id: int, file: GenerationFile, wake_fd: int) -> None:
        self.name = name
        self.number = number
        self.lane = lane
        self.host_id = host_id
        self.file = file
        self.wake_fd = wake_fd
        self.phase = Phase.BORN
        self.pid = 0
        self.born_at = time.monotonic()
        self.exit_status: int | None = None
        self.doom: Doom | None = None
        self.handed: dict[int, HeldFrame] = {}
        """Frames by sequence that were put into its ring and not acknowledged by the writer."""
        # No method of ours: that would be a circle, and the memory is to go with the last one who looks at it (see close).
        wake = partial(os.eventfd_write, wake_fd, 1)
        self._jobs = RingProducer(file.job_ring, wake=wake)
        self._results = Ring(file.result_ring)
        self._recall = Recall(file, wake=wake)
        self._skipped_to = 0
        """Frames up to this sequence are gone from the ring though never marked: they were recalled."""
        self._pace = Pace(ahead_s=DEPTH_S, width=1, jobs_min=1, jobs_max=DEPTH_MAX)

    @property
    def post(self) -> str:
        """The name that it shares with its successors: `w0` of `w0.17`."""
        return self.name.partition(".")[0]

    @property
    def ready(self) -> bool:
        return self.file.ready == READY

    @property
    def setup_failed(self) -> bool:
        return self.file.ready == SETUP_FAILED

    @property
    def started(self) -> int:
        """Jobs that it has marked since it was born."""
        return self.file.marked

    @property
    def unstarted(self) -> int:
        """Frames in its hands that it has not marked."""
        return self._jobs.next_seq - 1 - max(self.file.marked, self._skipped_to) if self.phase is Phase.SERVING else 0

    def room(self, now: float) -> int:
        """Return how many frames it should be given now."""
        if self.phase is not Phase.SERVING or self._recall.active:
            return 0
        self._pace.note(self.file.marked, now)
        unstarted = self.unstarted
        if unstarted == 0 and not self.file.slots.any_running():
            return self._pace.high
        # Nothing waits behind a job that takes longer than what is handed out ahead: another subworker may be free sooner.
        ahead = self._pace.high if self._pace.high > 1 else 0
        return ahead - unstarted if unstarted <= self._pace.low else 0

    def give(self, frames: list[HeldFrame]) -> int:
        """Put frames into its ring; returns how many fitted. It will wake the supervisor when half of them are started."""
        first = self._jobs.next_seq
        # Before the frames: a subworker that runs them all at once must find the wish already there.
        self.file.refill = max(1, first + len(frames) - self._pace.low)
        written = self._jobs.put_frames(frames)
        if written < len(frames):
            self.file.refill = max(1, first + written - self._pace.low)
        self.handed.update(zip(range(first, first + written), frames, strict=False))
        return written

    def settle(self, sequences: Iterable[int]) -> list[HeldFrame]:
        """Forget frames whose outcome is committed; returns those that had a spill file."""
        pop = self.handed.pop
        frames = [pop(seq, None) for seq in sequences]
        return [frame for frame in frames if frame is not None and frame[1] & SPILLED]

    def recall(self) -> None:
        """Begin to take back everything that is not started."""
        if not self._recall.active:
            self._recall.begin()

    @property
    def recall_active(self) -> bool:
        return self._recall.active

    def recalled(self) -> list[HeldFrame] | None:
        """Return the frames that came back, in order, and lift nothing; None while the subworker has not answered."""
        state = self._recall.state()
        if not state.finished:
            return None
        return self._take_from(state.mine_from)

    def recall_now(self) -> list[HeldFrame]:
        """Return the frames that are the supervisor's without any answer, though the subworker be stuck."""
        return self._take_from(self._recall.state().mine_from)

    def lift_recall(self) -> None:
        """Let the subworker go on after a recall that it has answered."""
        self._skipped_to = self._jobs.next_seq - 1
        self._recall.end()

    def running(self) -> list[Slot]:
        """Return the slots whose job has started and not ended."""
        return self.file.slots.running()

    def kill(self, doom: Doom | None) -> None:
        """Kill its whole process group; the reason is noted first. Its pid is ours until it is reaped, so it cannot be another's."""
        if self.phase in (Phase.DEAD, Phase.BURIED):
            return
        self.doom = self.doom or doom
        self.phase = Phase.DOOMED
        if self.pid:
            signal_group(self.pid, signal.SIGKILL)

    def die(self, status: int) -> None:
        """Note that it was reaped."""
        self.exit_status = status
        self.phase = Phase.DEAD

    @property
    def consumed(self) -> bool:
        """True when the writer has committed all that a dead subworker published, or has given its ring up as broken."""
        return self._results.drained or bool(self.file.broken)

    def take_all(self) -> list[tuple[int, HeldFrame]]:
        """Return everything still handed with its sequence, in order, and forget it."""
        left = sorted(self.handed.items())
        self.handed = {}
        return left

    def close(self) -> None:
        """Remove the file. It is not unmapped here: another thread may be reading its slots. It is when nobody holds it any more."""
        self.file.unlink()
        with suppress(OSError):
            os.close(self.wake_fd)

    def _take_from(self, first: int) -> list[HeldFrame]:
        taken = sorted(seq for seq in self.handed if seq >= first)
        return [self.handed.pop(seq) for seq in taken]


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child of ours that is not reaped yet, with its process group if it leads one."""
    # What a job has started may have become another user's (sudo), and is ours to reap all the same.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def timed_out(slot: Slot, at_ns: int) -> Doom:
    """Return why a subworker is killed whose job was found past its deadline."""
    limit_s = (slot.deadline_ns - slot.started_ns) / 1e9
    return Doom(OutcomeKind.TIMED_OUT, f"timeout of {limit_s:g} s reached; its subworker was killed", slot.seq, at_ns)
