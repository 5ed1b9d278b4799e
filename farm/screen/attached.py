"""One subworker as its generation file shows it, mapped for reading alone: nobody is disturbed, and nothing is kept alive for long."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from farm.errors import FarmError
from farm.headway import Progress
from farm.shm.generation import GenerationFile
from farm.shm.ring import Ring
from farm.shm.slots import Slot
from farm.shm.slottime import SlotTime
from farm.shm.tallies import ENDED_BYTES, Figures

JOBS_MAX = 20
"""Jobs of one subworker that are looked at one by one: those that run for longest."""
WORD_BYTES = 8


SETTLE_S, AGAIN_S = 0.3, 10.0
"""After its slots have changed it is looked at as a whole for so long, since what came of a job may be told a moment after its end. Later
only now and then: so a subworker that is idle, or in a long job, costs next to nothing."""


class Attached:
    """A generation file that is looked at several times a second. Its owner closes it as soon as its subworker is gone."""

    def __init__(self, file: GenerationFile) -> None:
        """Use attach()."""
        self._file = file
        self._jobs, self._results = Ring(file.job_ring), Ring(file.result_ring)
        self._standing = file.slots.memory[: 2 * WORD_BYTES * file.slots.count]
        """Of each slot a version, which each start changes, and its state: the first two columns."""
        self._stood: bytes | None = None
        self._settles_at = self._again_at = float("-inf")
        self._slot_time: SlotTime | None = None
        self._slot_time_ns = 0
        self._has_news = True
        self._ended = b""
        self._figures: list[Figures] = []
        self.slots = file.slots.count
        self.ended = 0
        """Jobs that have ended here, as of the last count()."""
        self.running = 0
        """Jobs that run; this and the next two are as of the last look()."""
        self.longest: list[Slot] = []
        """The slots of jobs that run, the longest first, at most JOBS_MAX."""
        self.is_settled = False
        """No job has started or ended for a while."""
        self.ring_shares = 0.0, 0.0
        """How full its job ring and its result ring are, 0 to 1, as of the last take_news()."""

    def look(self, now: float) -> bool:
        """Look at its slots, and tell whether it is time to look at all the rest as well: something has changed. now: in seconds."""
        standing = self._standing.tobytes()
        if standing != self._stood:
            self._stood, self._settles_at, self.is_settled = standing, now + SETTLE_S, False
            self._look_at_slots()
        elif now >= self._settles_at:
            was_settled, self.is_settled = self.is_settled, True
            if was_settled and now < self._again_at:
                return False
        self._again_at = now + AGAIN_S
        self._has_news = True
        return True

    def _look_at_slots(self) -> None:
        slots = self._file.slots
        if self.slots == 1:
            self.longest = slots.running()
            self.running = len(self.longest)
        else:
            self.running = slots.count_running()
            self.longest = slots.longest(JOBS_MAX) if self.running else []

    def started_before(self, moment_ns: int) -> int:
        """Count the jobs that run and have started before that moment (CLOCK_MONOTONIC)."""
        if self.slots <= JOBS_MAX:
            return sum(slot.started_ns < moment_ns for slot in self.longest)
        return self._file.slots.count_older(moment_ns)

    def progress(self, slot: Slot) -> Progress | None:
        """Return what a running job has said last of how far it is."""
        return self._file.progress.read(slot.slot, slot.seq)

    def slot_time(self, now_ns: int) -> SlotTime | None:
        """Return how long its slots have been busy, up to now (CLOCK_MONOTONIC)."""
        known = self._slot_time
        if known is not None and not self._has_news:
            # As many slots are busy as before.
            since_ns, self._slot_time_ns = self._slot_time_ns, now_ns
            self._slot_time = known._replace(busy_ns=known.busy_ns + self.running * max(0, now_ns - since_ns))
        else:
            self._slot_time, self._slot_time_ns = self._file.slot_time(now_ns), now_ns
        return self._slot_time

    def count(self) -> int:
        """Return how many jobs have ended since the last call, whatever they came to. The cheapest look of all."""
        before, self.ended = self.ended, self._file.tallies.total_ended()
        return max(0, self.ended - before)

    def take(self) -> Figures:
        """Return all that was counted since the last call, of all tasks together, as tally_of() reads it. Costs what has changed."""
        table = self._file.tallies
        ended = table.ended()
        news: Figures = 0
        if ended == self._ended:
            return news
        for row in range(len(ended) // ENDED_BYTES):
            part = slice(row * ENDED_BYTES, (row + 1) * ENDED_BYTES)
            if ended[part] == self._ended[part]:
                continue
            if row == len(self._figures):
                self._figures.append(0)
            figures = table.figures(row)
            # Where a job has scribbled over it, what was right before stays.
            if figures is not None and figures > self._figures[row]:
                news += figures - self._figures[row]
                self._figures[row] = figures
        self._ended = ended
        return news

    def take_news(self) -> Figures:
        """Do the same if anything may have changed since the last call, and look how full the rings are."""
        if not self._has_news:
            return 0
        self._has_news = False
        self.ring_shares = _share(self._jobs), _share(self._results)
        return self.take()

    def close(self) -> None:
        """Unmap the file."""
        self._standing.release()
        self._jobs.close()
        self._results.close()
        self._file.close()


def attach(path: Path) -> Attached | None:
    """Map the file of a subworker; None if it is gone, or makes no sense."""
    with suppress(OSError, FarmError):
        file = GenerationFile.open(path, read_only=True)
        try:
            return Attached(file)
        except FarmError:
            file.close()
    return None


def _share(ring: Ring) -> float:
    used = ring.head - ring.tail
    return min(max(used, 0) / ring.capacity, 1.0)
