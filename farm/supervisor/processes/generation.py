"""One generation of a subworker, as the supervisor sees it: what it was handed, what it has started, how it ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from itertools import repeat
from typing import NamedTuple

from farm.cgroups import Group
from farm.errors import RingBroken
from farm.failpoints import passing
from farm.model import OutcomeKind
from farm.shm import logtails
from farm.shm.frames import SPILLED, HeldJob, pack_jobs
from farm.shm.generation import CROWDED_MAX, CROWDED_WORD, READY, SETUP_FAILED, GenerationFile
from farm.shm.logtails import LogTailReader
from farm.shm.ring import Ring, RingProducer, frame_bytes
from farm.shm.slots import Slot
from farm.shm.start import Recall
from farm.supervisor.processes.pace import Pace
from farm.supervisor.processes.roster import Roster

DEPTH_S = 0.1
"""Seconds of work handed to a subworker ahead of its running jobs. Behind a job that takes longer, nothing is put: handing the next
one out when it ends costs half a millisecond, and until then it is anybody's."""
DEPTH_MAX = 2048
GRACE_S = 0.5
"""What a job has to end by itself after it was cancelled, and a subworker after TERM."""
STOP_SIGNAL = signal.SIGUSR1
"""Has a subworker that runs one job at a time look whether that is to be cancelled."""

Appetite = tuple[int, int]
"""(spare, behind): jobs wanted for slots that have nothing to do, and to wait behind running jobs."""
FULL: Appetite = (0, 0)


class Phase(StrEnum):
    """Where a generation is in its life.

    BORN: forked, it is being set up; a spare stays so until it takes a post. SERVING: takes frames, unless it is leaving.
    DOOMED: it was told to end, or killed. DEAD: reaped; the writer has not yet consumed its ring. BURIED: every job it held is
    accounted for.
    """

    BORN = "born"
    SERVING = "serving"
    DOOMED = "doomed"
    DEAD = "dead"
    BURIED = "buried"


ALL_THAT_RUN = 0
NONE_OF_THEM = -1


class Doom(NamedTuple):
    """Why a job was ended on purpose, noted before anything is done to it."""

    kind: OutcomeKind
    message: str
    seq: int
    """The frame whose job it is, ALL_THAT_RUN, or NONE_OF_THEM: it cannot be told whose fault it was. If its subworker is ended for it,
    jobs beside it are released, unless they were over their time as well, or have a doom of their own."""
    at_ns: int = 0
    """CLOCK_MONOTONIC of the look that found it over its time; 0 for other reasons."""
    peak_bytes: int = 0
    """What it had in memory then; 0: nobody looked."""


@dataclass(slots=True)
class Asked:
    """A job that was asked to end, and has been waited for since."""

    slot: Slot
    doom: Doom
    strike_at: float
    """When its subworker is ended for it, if it still runs."""


class Skipped(NamedTuple):
    """What is gone from a ring though never started: it was recalled. Replaced as a whole, since other threads read it."""

    to: int
    """No frame up to this sequence is in the ring."""
    started: int
    """How many of those had been started."""


class Generation:
    """Made for every (re)spawn of a subworker; never used again after its burial."""

    group: Group | None = None
    """The control group that it is in with all that it has started; None: none."""
    at_rest = False
    """True while it has nothing to do and is asked for nothing: until it stirs, nothing of what is said of it here changes."""
    reserved = False
    """True while it is to run one job alone: it is given nothing else."""
    runners = 0
    """How many runners it has. A job names its own by position: one at or above this must not come here."""

    def __init__(self, *, name: str, number: int, lane: str, host_id: int, file: GenerationFile, wake_fd: int) -> None:
        self.name = name
        self.post = name.partition(".")[0]
        """What it is called in the log: `w0` as its predecessors at that post, `spare` before it has one."""
        self.number = number
        self.lane = lane
        self.host_id = host_id
        self.file = file
        self.wake_fd = wake_fd
        self.phase = Phase.BORN
        self.rosters: list[Roster[Generation]] = []
        """Those that are told when it comes to rest, and when it stirs."""
        self.pid = 0
        self.born_at = time.monotonic()
        self.exit_status: int | None = None
        self.doom: Doom | None = None
        self.dooms: dict[int, Doom] = {}
        """By sequence, of jobs that have one of their own."""
        self.asked: dict[int, Asked] = {}
        """By sequence, jobs that were asked to end and may still do it."""
        self.kill_at = float("inf")
        """When one that was told to end is killed."""
        self.footprint_bytes = 0
        """What it held of the machine's memory before its first job; 0: not known."""
        self.memory_bytes, self.tails_bytes = 0, 0
        """What its jobs may allocate, as it was ordered; and what the ends of their logs may take of shared memory."""
        self.peak_bytes, self.killed_by_kernel = 0, False
        """When it is dead: what it had in memory at most since its last look at that, or ever if it has many slots; and whether it was
        killed when the kernel has killed somebody for want of memory."""
        self.timeout_ms = 0
        """How long a job may run of which nothing else is said, as its lane has it; 0: no limit."""
        self.leaving = False
        """It is recalled for good, to be ended when it runs nothing any more."""
        self.replace_why = ""
        """Why somebody wants a successor for it, other than what it does itself; "" if nobody does."""
        self.missed_why = ""
        """Why it was ended before it could serve, if that was the supervisor's doing."""
        self.handed: dict[int, HeldJob] = {}
        """Jobs by sequence that were put into its ring and not acknowledged by the writer."""
        self.next_seq = 1
        """The sequence of the next job that it is handed: dense, whatever the number of jobs in a frame."""
        # No method of ours: that would be a circle, and the memory is to go with the last one who looks at it (see close).
        wake = partial(os.eventfd_write, wake_fd, 1)
        self._jobs = RingProducer(file.job_ring, wake=wake)
        self._results = Ring(file.result_ring)
        self._recall = Recall(file, wake=wake)
        self.slots = file.slots.count
        self._skipped = Skipped(0, 0)
        self._crowded_before = 0
        self._pace = Pace(ahead_s=DEPTH_S, width=self.slots, jobs_min=0, jobs_max=DEPTH_MAX)
        self._fits = DEPTH_MAX
        """How many frames its ring holds, as far as is known: arguments may be large."""

    @property
    def may_rest(self) -> bool:
        """True when nothing is to be expected of it before it is handed something, or asked for something. Of a spare: it is set up."""
        if self.handed or self._recall.active or self.reserved or self.leaving or self.replace_why:
            return False
        if self.phase is Phase.BORN:
            return self.ready and self.pid > 0 and not self.file.post
        # The last two by what its jobs have written where they should not: then it is looked at as if it had something to do.
        return self.phase is Phase.SERVING and self.unstarted == 0 and self.occupied == 0

    def rest(self) -> None:
        """Be looked at seldom from now on."""
        assert not self.at_rest
        self.at_rest = True
        for roster in self.rosters:
            roster.rest(self)

    def stir(self) -> None:
        """Be looked at often from now on; does nothing if it is. Called before anything is done to it."""
        if self.at_rest:
            self.at_rest = False
            for roster in self.rosters:
                roster.stir(self)

    def take_post(self, index: int) -> None:
        """Make a spare a subworker at that post; it is woken for it."""
        self.stir()
        self.post = f"w{index}"
        self.file.post = index + 1
        os.eventfd_write(self.wake_fd, 1)

    @property
    def ready(self) -> bool:
        return self.file.ready == READY

    @property
    def setup_failed(self) -> bool:
        return self.file.ready == SETUP_FAILED

    @property
    def failure(self) -> str:
        """Why it could not be set up, as it says itself: one line of printable text, or ""."""
        said = self.file.reason if self.setup_failed else ""
        return "".join(character for character in said if character.isprintable())

    @property
    def single(self) -> bool:
        """True where it runs one job at a time."""
        return self.slots == 1

    @property
    def started(self) -> int:
        """Jobs that it has marked since it was born."""
        marked, skipped = self.file.marked, self._skipped
        return skipped.started + max(0, marked - skipped.to)

    @property
    def unstarted(self) -> int:
        """Frames in its hands that it has not marked, and that are not being taken back."""
        if self.phase is not Phase.SERVING or self._recall.active:
            return 0
        return self.next_seq - 1 - max(self.file.marked, self._skipped.to)

    @property
    def unsettled(self) -> int:
        """Jobs that have ended here and whose outcome is not known to be committed. From any thread."""
        waiting = self.next_seq - 1 - max(self.file.marked, self._skipped.to)
        return max(0, len(self.handed) - max(0, waiting) - self.occupied)

    def ring_fills(self) -> tuple[float, float]:
        """Return how full its rings are, that of jobs and that of results, 0 to 1; one that makes no sense is full. From any thread."""
        return _fill(self._jobs), _fill(self._results)

    @property
    def occupied(self) -> int:
        """Slots whose job has started and not ended."""
        return self.file.slots.count_running()

    @property
    def spare(self) -> int:
        """Slots that could start a job at once, and have none. None while it is recalled: it would find nothing."""
        if self.phase is not Phase.SERVING or self._recall.active or self.reserved:
            return 0
        unstarted = self.unstarted
        return 0 if unstarted >= self.slots else max(0, self.slots - self.occupied - unstarted)

    @property
    def still(self) -> int:
        """Slots that run nothing, though it takes jobs: also those for which a frame is in its ring, which it should have started."""
        if self.phase is not Phase.SERVING or self.leaving or self._recall.active or self.reserved:
            return 0
        return max(0, self.slots - self.occupied)

    @property
    def waiting(self) -> int:
        """Frames in its hands that wait for a running job to end."""
        unstarted = self.unstarted
        return unstarted and max(0, unstarted - max(0, self.slots - self.occupied))

    def waiting_s(self, now: float) -> float:
        """Return the seconds that the waiting ones take at the pace that is measured now."""
        self._pace.note(self.started - self.occupied, now)
        return self.waiting * DEPTH_S / max(1, self._pace.high)

    def appetite(self, now: float) -> Appetite:
        """Return how many frames it should be given now."""
        if self.phase is not Phase.SERVING or self._recall.active or self.reserved:
            return FULL
        unstarted = self.unstarted
        high = min(self._pace.high, self._fits)
        # Woken for one at its low watermark, the supervisor also fills those that would wake it soon.
        if unstarted > self.slots + high - high // 4:
            # Enough, whatever its slots do. Most of those that are asked leave here.
            return FULL
        occupied = self.occupied
        is_dry = not unstarted and not occupied
        self._pace.note(self.started - occupied, now, was_idle=not unstarted and occupied < self.slots, is_dry=is_dry)
        high = min(self._pace.high, self._fits)
        waiting = unstarted - max(0, self.slots - occupied)
        if waiting < 0:
            return -waiting, high
        return 0, high - waiting if waiting <= high - high // 4 else 0

    def give(self, jobs: list[HeldJob]) -> int:
        """Put jobs into its ring; returns how many fitted. It will wake the supervisor at the start that leaves the low watermark."""
        self.stir()
        first, free_bytes, written = self.next_seq, self._jobs.free_bytes, 0
        frames: list[tuple[int, int, bytes]] = []
        for flags, payload, count in pack_jobs(jobs, first, self.timeout_ms):
            free_bytes -= frame_bytes(payload)
            if free_bytes < 0:
                break
            frames.append((0, flags, payload))
            written += count
        if written < len(jobs):
            self._fits = max(1, first + written - 1 - max(self.file.marked, self._skipped.to))
        else:
            self._fits = min(2 * self._fits, DEPTH_MAX)
        # Before the frames: a subworker that runs them all at once must find the wish already there.
        self.file.refill = self._wish(first + written)
        self.next_seq = first + written
        self.handed.update(zip(range(first, first + written), jobs, strict=False))
        passing("supervisor.before_give")
        put = self._jobs.put_frames(frames)
        assert put == len(frames), "there was room for all of them"
        passing("supervisor.after_give")
        return written

    def settle(self, sequences: Sequence[int]) -> list[HeldJob]:
        """Forget jobs whose outcome is committed; returns those that had a spill file."""
        if self.dooms:
            for seq in sequences:
                self.dooms.pop(seq, None)
        jobs = map(self.handed.pop, sequences, repeat(None))
        return [job for job in jobs if job is not None and job[0] & SPILLED]

    def recall(self) -> None:
        """Begin to take back everything that is not started."""
        if not self._recall.active:
            self.stir()
            self._recall.begin()
            passing("supervisor.after_recall")
            self._pace.back_off()

    @property
    def recall_active(self) -> bool:
        return self._recall.active

    def leave(self) -> list[HeldJob]:
        """Have it start nothing more; returns the jobs that come back at once. What it runs may end in its own time."""
        self.leaving = True
        self.recall()
        return self.recall_now()

    def stay(self) -> None:
        """Let it go on after all: its recall is lifted like any other."""
        self.leaving = False

    def nudge(self) -> None:
        """Wake it once more if it runs nothing though it should start something, or has not answered a recall. No wake-up is known to
        get lost; should one, its next look by itself may be a minute away."""
        owes = not self._recall.answered if self._recall.active else self.unstarted > 0
        if owes and self.phase is Phase.SERVING and not self.file.slots.any_running():
            os.eventfd_write(self.wake_fd, 1)

    @property
    def stands_back(self) -> bool:
        """True when one that is leaving has answered and runs nothing: what it has published is all that there will be."""
        return self._recall.active and self._recall.answered and not self.file.slots.any_running()

    def recalled(self) -> list[HeldJob] | None:
        """Return the frames that came back, in order, and lift nothing; None while the subworker has not answered."""
        return self._take_from(self._recall.state().mine_from) if self._recall.answered else None

    def recall_now(self) -> list[HeldJob]:
        """Return the frames that are the supervisor's without any answer, though the subworker be stuck. It gets none before its answer."""
        return self._take_from(self._recall.state().mine_from)

    def lift_recall(self) -> None:
        """Let the subworker go on after a recall that it has answered."""
        acked_from = self._recall.state().acked_from
        assert acked_from is not None, "lifted only after an answer"
        self._skipped = Skipped(self.next_seq - 1, self._skipped.started + max(0, acked_from - 1 - self._skipped.to))
        self._recall.end()

    def unstarted_jobs(self) -> list[HeldJob]:
        """Return the jobs in its ring that it has not marked; by now it may have marked some more."""
        marked = self.file.marked
        return [job for seq, job in self.handed.items() if seq > marked]

    def running(self) -> list[Slot]:
        """Return the slots whose job has started and not ended."""
        return self.file.slots.running()

    def crowded(self) -> list[int]:
        """Return the jobs that came up against the memory limit beside others since the last call; the last CROWDED_MAX of them."""
        count = self.file.crowded
        new = min(count - self._crowded_before, CROWDED_MAX)
        self._crowded_before = count
        return [self.file.words[CROWDED_WORD + 1 + (count - back) % CROWDED_MAX] for back in range(new, 0, -1)]

    def ask(self, slot: Slot, doom: Doom, now: float) -> bool:
        """Ask a running job to end; False if it cannot hear it: only coroutines can be cancelled."""
        self.dooms[slot.seq] = doom
        stops = self.file.stops
        # Also of one that cannot be cancelled: should it raise because of what comes now, that is why.
        stops.ask(slot.slot, slot.seq, doom.kind, doom.message)
        self.file.stopping += 1
        is_other = stops.otherwise[slot.slot] == slot.seq
        if is_other == (self.slots > 1):
            return False
        self.asked[slot.seq] = Asked(slot, doom, now + GRACE_S)
        if self.slots > 1:
            os.eventfd_write(self.wake_fd, 1)
        else:
            # It sleeps in a loop of its own, which looks at nothing of ours. Not reaped yet, it is still whom we mean.
            if self.pid:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(self.pid, STOP_SIGNAL)
        return True

    def end(self, doom: Doom | None, now: float) -> None:
        """Have its whole process group end: TERM now, and KILL if it has not after GRACE_S. The reason is noted first."""
        if self.phase is not Phase.SERVING or not self.pid:
            # One whose birth is not told yet is killed when it is.
            self.kill(doom)
            return
        self.stir()
        self.doom = doom
        self.phase = Phase.DOOMED
        self.kill_at = now + GRACE_S
        signal_group(self.pid, signal.SIGTERM)
        # Stopped processes hear of it only when they go on.
        signal_group(self.pid, signal.SIGCONT)

    def press(self, now: float) -> float:
        """Kill one that was told to end when its time is up, or nothing is left to wait for; returns the seconds until then."""
        if self.phase is Phase.DOOMED and self.kill_at < float("inf") and (now >= self.kill_at or not self.file.slots.any_running()):
            self.kill(None)
        return self.kill_at - now

    def kill(self, doom: Doom | None) -> None:
        """Kill its whole process group; the reason is noted first. Its pid is ours until it is reaped, so it cannot be another's."""
        if self.phase in (Phase.DEAD, Phase.BURIED):
            return
        self.stir()
        self.doom = self.doom or doom
        self.phase = Phase.DOOMED
        self.kill_at = float("inf")
        if self.pid:
            signal_group(self.pid, signal.SIGKILL)

    def die(self, status: int) -> None:
        """Note that it was reaped."""
        self.stir()
        self.exit_status = status
        self.phase = Phase.DEAD

    @cached_property
    def logs(self) -> LogTailReader | None:
        """What its jobs have printed last, None if that is not kept. For one that is dead."""
        return LogTailReader.beside(self.file.path)

    @cached_property
    def crash(self) -> bytes:
        """What the interpreter has said of its crash, b"" if nothing. For one that is dead."""
        return b"" if self.logs is None else self.logs.crash()

    @property
    def consumed(self) -> bool:
        """True when the writer has committed all that a dead subworker published, or has given its ring up as broken."""
        return self._results.drained or bool(self.file.broken)

    def take_all(self) -> list[tuple[int, HeldJob]]:
        """Return everything still handed with its sequence, in order, and forget it."""
        left = sorted(self.handed.items())
        self.handed = {}
        return left

    def close(self) -> None:
        """Remove the file. It is not unmapped here: another thread may be reading its slots. It is when nobody holds it any more."""
        self.file.unlink()
        logtails.remove(self.file.path)
        if self.logs is not None:
            self.logs.close()
        with suppress(OSError):
            os.close(self.wake_fd)

    def _wish(self, next_seq: int) -> int:
        """Return the sequence at whose start it should wake the supervisor; behind the last one where nothing is put behind a job."""
        high = min(self._pace.high, self._fits)
        return max(1, next_seq - 1 - high // 2) if high else next_seq

    def _take_from(self, first: int) -> list[HeldJob]:
        taken = sorted(seq for seq in self.handed if seq >= first)
        return [self.handed.pop(seq) for seq in taken]


def _fill(ring: Ring) -> float:
    try:
        return 1.0 - ring.free_bytes / ring.capacity
    except RingBroken:
        return 1.0


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child of ours that is not reaped yet, with its process group if it leads one.

    Until it is reaped its number is its own, and that of its group stays taken while anybody is in it.
    """
    assert pid > 0, "0 and below mean whole groups, our own among them"
    # What a job has started may have become another user's (sudo), and is ours to reap all the same.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def timed_out(slot: Slot, at_ns: int) -> Doom:
    """Return why a job is ended that was found past its deadline."""
    limit_s = (slot.deadline_ns - slot.started_ns) / 1e9
    return Doom(OutcomeKind.TIMED_OUT, f"timeout of {limit_s:g} s reached", slot.seq, at_ns)
