"""Jobs that followed each other closely and succeeded: counted together, so that nothing is done for each of them."""

from __future__ import annotations

from typing import Final

from farm.model import OutcomeKind
from farm.shm.generation import CLOCK_WORD, GenerationFile
from farm.shm.tallies import TallyWriter

SUCCEEDED: Final = int(OutcomeKind.SUCCEEDED)
STARTED_COLUMN: Final = 7
"""Of the slot table. Where it has one row, a column is a word."""


class Stretch:
    """Of a subworker that runs one job at a time. Jobs of a stretch are told apart by their sequences, which have no gaps.

    Each is taken to have run for its share of the time. The last one may have run for long after many that were short, and its start
    stands in its slot: so if it took more than `apart_ns`, it is counted apart, and the times of such jobs are exact.
    """

    __slots__ = ("_apart_ns", "_began_ns", "_first", "_row", "_since_us", "_slot", "_tallies", "_words")

    def __init__(self, generation: GenerationFile, *, apart_ns: int) -> None:
        self._words = generation.words
        self._slot = generation.slots.words
        self._tallies = TallyWriter(generation.tallies)
        self._row = self._tallies.row_of(b"")
        self._apart_ns = apart_ns
        self._since_us = self._first = self._began_ns = 0

    def enter(self, task: bytes, since_us: int, seq: int) -> None:
        """Count jobs of this task from now on, the first of which is next. since_us: when they could first be claimed; 0: not known."""
        self._row = self._tallies.row_of(task)
        self._since_us = since_us
        self._first = seq

    def begin(self, seq: int, now_ns: int) -> None:
        """Begin a stretch with this job, which starts now."""
        self._first, self._began_ns = seq, now_ns

    def end(self, seq: int, now_ns: int) -> None:
        """Count the jobs up to this one, which is not among them: the last one has just ended. Nothing if there are none."""
        jobs = seq - self._first
        if not jobs:
            return
        began_ns = self._began_ns
        if jobs > 1 and now_ns - (last_ns := self._slot[STARTED_COLUMN]) >= self._apart_ns and last_ns >= began_ns:
            self._count(SUCCEEDED, jobs - 1, began_ns, last_ns - began_ns)
            jobs, began_ns = 1, last_ns
        self._count(SUCCEEDED, jobs, began_ns, now_ns - began_ns)

    def end_before(self, seq: int, kind: int, started_ns: int, finished_ns: int) -> None:
        """Count the jobs up to this one, and this one by itself."""
        self.end(seq, started_ns)
        self._count(kind, 1, started_ns, finished_ns - started_ns)

    def _count(self, kind: int, jobs: int, began_ns: int, run_ns: int) -> None:
        if self._since_us:
            start_ns = began_ns + run_ns * (jobs - 1) // (2 * jobs)
            self._row.add_waits(jobs, self._words[CLOCK_WORD] + start_ns // 1000 - self._since_us)
        self._row.add(kind, jobs, run_ns)
