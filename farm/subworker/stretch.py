"""Jobs that followed each other closely and succeeded: counted together, so that nothing is done for each of them."""

from __future__ import annotations

from typing import Final

from farm.model import OutcomeKind
from farm.shm.generation import CLOCK_WORD, GenerationFile
from farm.shm.tallies import NOT_KNOWN, TallyWriter

SUCCEEDED: Final = int(OutcomeKind.SUCCEEDED)
STARTED_COLUMN: Final = 7
"""Of the slot table. Where it has one row, a column is a word."""


class Stretch:
    """Of a subworker that runs one job at a time. Its jobs are known by their sequences, which have no gaps.

    Each is taken to have run for its share of the time. The last one may have run for long after many that were short, and its start
    stands in its slot: so if it took `apart_ns` or more, it is counted apart, and the times of such jobs are exact.
    """

    __slots__ = ("_apart_ns", "_row", "_slot", "_tallies", "_words", "began_ns", "first", "since_us")

    def __init__(self, generation: GenerationFile, *, apart_ns: int) -> None:
        self._words = generation.words
        self._slot = generation.slots.words
        self._tallies = TallyWriter(generation.tallies)
        self._row = self._tallies.other
        self._apart_ns = apart_ns
        self.since_us = 0
        """Since when its jobs could be claimed, in microseconds of the database's clock since 2000; 0: not known."""
        self.first = 0
        """The first job that is not counted yet."""
        self.began_ns = 0
        """When it started (CLOCK_MONOTONIC)."""

    def take_up(self, task: bytes) -> None:
        """Count for this task from now on."""
        self._row = self._tallies.row_of(task)

    def end(self, seq: int, now_ns: int) -> None:
        """Count the jobs up to this one, which is not among them: the last of them has just ended. Nothing if there are none."""
        jobs = seq - self.first
        if not jobs:
            return
        began_ns = self.began_ns
        if jobs > 1 and now_ns - (last_ns := self._slot[STARTED_COLUMN]) >= self._apart_ns and last_ns >= began_ns:
            self.end(seq - 1, last_ns)
            jobs, began_ns = 1, last_ns
        self.first = seq
        self._row.add(SUCCEEDED, jobs, now_ns - began_ns, self._waited_us(began_ns) if self.since_us else NOT_KNOWN)

    def end_before(self, seq: int, kind: int, started_ns: int, finished_ns: int) -> None:
        """Count the jobs up to this one, and this one by itself."""
        self.end(seq, started_ns)
        self.first = seq + 1
        self._row.add(kind, 1, finished_ns - started_ns, self._waited_us(started_ns) if self.since_us else NOT_KNOWN)

    def _waited_us(self, started_ns: int) -> int:
        """Return what a job has waited that starts now; those of a stretch count as started with its first. Clocks are compared."""
        wait_us = self._words[CLOCK_WORD] + started_ns // 1000 - self.since_us
        return wait_us if wait_us > 0 else 0
