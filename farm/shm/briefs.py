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

    __slots__ = ("_queue", "_row", "_run", "_table")

    def __init__(self, table: TallyTable, row: int) -> None:
        self._table, self._row = table, row
        self._run, self._queue = _Buckets(), _Buckets()

    def read(self) -> Brief | None:
        """Return what stands in it; None if that cannot be: a job has scribbled over it."""
        words, (ended_at, sums_at, run_at, queue_at) = self._table.words, self._table.places(self._row)
        # Before the buckets: what is counted meanwhile is in them first.
        ended = words[ended_at : ended_at + KINDS].tolist()
        run = self._run.read(words, run_at, sum(ended) - ended[0])
        queue = self._queue.read(words, queue_at, ended[0])
        brief = (*ended, *words[sums_at : sums_at + 2].tolist(), *run, *queue)
        return brief if max(brief) <= WORD_MAX else None


class _Buckets:
    """One of the two histograms of a row, of which those buckets are read that had anything when last all of them were."""

    __slots__ = ("_choose", "_first", "_stop")

    def __init__(self) -> None:
        self._note(0, 0)

    def read(self, words: memoryview, at: int, least: int) -> tuple[int, ...]:
        """Return how many lie below each bound, and how many there are. least: so many there are at least."""
        upto = list(accumulate(words[at + self._first : at + self._stop].tolist(), initial=0))
        if upto[-1] < least:
            counts = words[at : at + BUCKETS].tolist()
            used = [bucket for bucket, count in enumerate(counts) if count] or [0]
            self._note(max(0, used[0] - MARGIN), min(used[-1] + 1 + MARGIN, BUCKETS))
            upto = list(accumulate(counts[self._first : self._stop], initial=0))
        return self._choose(upto)

    def _note(self, first: int, stop: int) -> None:
        self._first, self._stop = first, stop
        self._choose = _choice(first, stop)


@lru_cache(_CHOICES_MAX)
def _choice(first: int, stop: int) -> _Choice:
    """Return what takes those sums that belong to the bounds out of the sums up to each of these buckets."""
    return itemgetter(*(min(max(edge - first, 0), stop - first) for edge in _EDGES), stop - first)
