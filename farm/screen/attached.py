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


class Attached:
    """A generation file that is looked at several times a second. Its owner closes it as soon as its subworker is gone."""

    def __init__(self, file: GenerationFile) -> None:
        """Use attach()."""
        self._file = file
        self._jobs, self._results = Ring(file.job_ring), Ring(file.result_ring)
        self._ended = b""
        self._figures: list[Figures] = []
        self.slots = file.slots.count
        self.ended = 0
        """Jobs that have ended here, as of the last take()."""

    def running(self) -> int:
        """Count the jobs that run."""
        return self._file.slots.count_running()

    def started_before(self, moment_ns: int) -> int:
        """Count the jobs that run and have started before that moment (CLOCK_MONOTONIC)."""
        return self._file.slots.count_older(moment_ns)

    def longest(self, most: int) -> list[Slot]:
        """Return the slots of jobs that run, the longest first, at most so many."""
        return self._file.slots.longest(most)

    def progress(self, slot: Slot) -> Progress | None:
        """Return what a running job has said last of how far it is."""
        return self._file.progress.read(slot.slot, slot.seq)

    def slot_time(self, now_ns: int) -> SlotTime | None:
        """Return how long its slots have been busy, up to now (CLOCK_MONOTONIC)."""
        return self._file.slot_time(now_ns)

    def ring_shares(self) -> tuple[float, float]:
        """Return how full its job ring and its result ring are, 0 to 1."""
        return _share(self._jobs), _share(self._results)

    def count(self) -> int:
        """Return how many jobs have ended since the last call, whatever they came to. The cheapest look of all."""
        before, self.ended = self.ended, self._file.tallies.total_ended()
        return max(0, self.ended - before)

    def take(self) -> Figures:
        """Return all that was counted since the last call, of all tasks together, as tally_of() reads it. Costs what has changed."""
        table = self._file.tallies
        ended = table.ended()
        news: Figures = 0
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

    def close(self) -> None:
        """Unmap the file."""
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
