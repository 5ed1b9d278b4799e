"""What the jobs of a task came to, in brief: one row of numbers that can be added up. For whoever asks of all tasks at once.

A row of shm/tallies.py has 274 buckets, of which a task uses some dozens: whoever reads it again and again reads those alone. That there
are no others by now shows in their sum, which is what is counted beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add, itemgetter, sub
from typing import Final

from farm.shm.tallies import BUCKETS, KINDS, STEPS, WORD_MAX, TallyTable, bucket_of
from farm.spread import JOB_BOUNDS_S

Brief = tuple[int, ...]
"""How many ended, by the number of their kind, in the first place how many waits were counted; the microseconds that all ran, and had
waited; how many ran for less than each of JOB_BOUNDS_S, and how many in all; how many had waited for less, and in all."""

RUN_US: Final = KINDS
QUEUE_US: Final = KINDS + 1
_TIMES: Final = len(JOB_BOUNDS_S) + 1
RUN: Final = slice(KINDS + 2, KINDS + 2 + _TIMES)
QUEUE: Final = slice(KINDS + 2 + _TIMES, KINDS + 2 + 2 * _TIMES)
NOTHING: Final[Brief] = (0,) * QUEUE.stop

_EDGES: Final = tuple(bucket_of(round(bound_s * 1e6)) for bound_s in JOB_BOUNDS_S)
"""How many buckets lie below each bound."""
MARGIN: Final = 2 * STEPS
"""Buckets on either side that are read as well: they cost less than to find out again, time and again, that there are more by now."""
_CHOICES_MAX: Final = 4096

_Choice = Callable[[Sequence[int]], tuple[int, ...]]


def brief_of_job(kind: int, run_us: int | None) -> Brief:
    """Return what one job adds that came to this; run_us: how long it ran, None if it never started."""
    brief = [*NOTHING]
    brief[kind] = 1
    if run_us is not None:
        bucket = bucket_of(run_us)
        brief[RUN_US] = run_us
        brief[RUN] = [*(int(bucket < edge) for edge in _EDGES), 1]
    return tuple(brief)


def exchanged(total: Brief, before: Brief, now: Brief) -> Brief:
    """Return a total of which one part has become another."""
    # Most totals have one part only.
    return now if total is before else tuple(map(add, total, map(sub, now, before)))


class RowReader:
    """Reads one row, again and again. One thread only."""

    __slots__ = ("_ended", "_queue", "_run", "_sums", "_table")

    def __init__(self, table: TallyTable, row: int) -> None:
        ended_at, sums_at, run_at, queue_at = table.places(row)
        self._table = table
        self._ended, self._sums = slice(ended_at, ended_at + KINDS), slice(sums_at, sums_at + 2)
        self._run, self._queue = _Buckets(run_at), _Buckets(queue_at)

    def read(self) -> Brief | None:
        """Return what stands in it; None if that cannot be: a job has scribbled over it."""
        words = self._table.words
        # Before the buckets: what is counted meanwhile is in them first.
        ended = words[self._ended].tolist()
        sums = words[self._sums].tolist()
        run = self._run.read(words, sum(ended) - ended[0])
        queue = self._queue.read(words, ended[0])
        return (*ended, *sums, *run, *queue) if max(*ended, *sums, run[-1], queue[-1]) <= WORD_MAX else None


class _Buckets:
    """One of the two histograms of a row, of which those buckets are read that had anything when last all of them were."""

    __slots__ = ("_at", "_choose", "_part")

    def __init__(self, at: int) -> None:
        """at: where its first bucket is."""
        self._at = at
        self._note(0, 0)

    def read(self, words: memoryview, least: int) -> tuple[int, ...]:
        """Return how many lie below each bound, and how many there are. least: so many there are at least."""
        upto = list(accumulate(words[self._part].tolist(), initial=0))
        if upto[-1] < least:
            counts = words[self._at : self._at + BUCKETS].tolist()
            used = [bucket for bucket, count in enumerate(counts) if count] or [0]
            first, stop = max(0, used[0] - MARGIN), min(used[-1] + 1 + MARGIN, BUCKETS)
            self._note(first, stop)
            upto = list(accumulate(counts[first:stop], initial=0))
        return self._choose(upto)

    def _note(self, first: int, stop: int) -> None:
        self._part = slice(self._at + first, self._at + stop)
        self._choose = _choice(first, stop)


@lru_cache(_CHOICES_MAX)
def _choice(first: int, stop: int) -> _Choice:
    """Return what takes those sums that belong to the bounds out of the sums up to each of these buckets."""
    return itemgetter(*(min(max(edge - first, 0), stop - first) for edge in _EDGES), stop - first)
