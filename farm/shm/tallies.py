"""What jobs came to, how long they ran and how long they had waited, by task: counted where they run, for whoever looks.

One table for each subworker. It alone writes, a word at a time and without a lock, so whoever reads may see the latest jobs in some of
the figures and not yet in others. Words of 8 bytes: rows in use; then for each row how many jobs came to what (`ended`); then the rows
themselves: the task, two sums, two histograms. `ended` is written last: while it is the same, so is the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, sub
from struct import Struct
from typing import Final, NamedTuple

from farm.headway import printable
from farm.model import OutcomeKind

STEPS: Final = 4
"""Buckets for each power of two, so that one is at most a quarter as wide as the times in it are long."""
OCTAVES: Final = 34
BUCKETS: Final = STEPS * OCTAVES + 1
"""The last one is for whatever takes longer than 2**35 microseconds, nine and a half hours."""


def bucket_of(time_us: int) -> int:
    """Return the bucket of a time in microseconds, which must not be negative."""
    shift = time_us.bit_length() - 3
    return min(STEPS * shift + (time_us >> shift), BUCKETS - 1) if shift > 0 else time_us


def _lower_us(bucket: int) -> int:
    shift = max(0, bucket // STEPS - 1)
    return bucket - STEPS * shift << shift


UPPER_BOUNDS_S: Final = (*(_lower_us(bucket + 1) / 1e6 for bucket in range(BUCKETS - 1)), float("inf"))
"""Where each bucket ends; a time that is equal to it belongs to the next one."""
_LOWER_BOUNDS_S: Final = (0.0, *UPPER_BOUNDS_S[:-1])


@dataclass(slots=True)
class Histogram:
    """How many times fell into each bucket, and their sum. Immutable by custom: those who read it share it."""

    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    """Not cumulative; UPPER_BOUNDS_S says where each ends."""
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Return the seconds below which this share of the times lies, 0 to 1; None if there are none.

        It is as exact as its bucket is wide; of times beyond the last bound it is known only that they are longer.
        """
        upto = list(accumulate(self.counts))
        if not upto[-1]:
            return None
        rank = min(max(q, 0.0), 1.0) * upto[-1]
        bucket = next(index for index, count in enumerate(upto) if count and count >= rank)
        lower_s, upper_s, inside = _LOWER_BOUNDS_S[bucket], UPPER_BOUNDS_S[bucket], self.counts[bucket]
        if bucket == BUCKETS - 1:
            return lower_s
        return lower_s + (upper_s - lower_s) * (rank - (upto[bucket] - inside)) / inside

    def plus(self, other: Histogram) -> Histogram:
        """Return both together."""
        return Histogram(list(map(add, self.counts, other.counts)), self.sum_s + other.sum_s)

    def minus(self, earlier: Histogram) -> Histogram:
        """Return what has come since an earlier look; nothing is less than none."""
        counts = [max(0, count) for count in map(sub, self.counts, earlier.counts)]
        return Histogram(counts, max(0.0, self.sum_s - earlier.sum_s))


class Tally(NamedTuple):
    """What the jobs of a task came to."""

    task: str
    ended: Mapping[OutcomeKind, int]
    """Kinds that none came to are left out."""
    run: Histogram
    """From start to end, of those that ended in their subworker."""
    queue: Histogram
    """From when a job could be claimed to its start: first attempts only, of jobs that were filed to run at once."""

    def plus(self, other: Tally) -> Tally:
        """Return both together, under this one's name."""
        kinds = {*self.ended, *other.ended}
        ended = {kind: self.ended.get(kind, 0) + other.ended.get(kind, 0) for kind in sorted(kinds)}
        return Tally(self.task, ended, self.run.plus(other.run), self.queue.plus(other.queue))


ROWS: Final = 64
OTHER: Final = "other"
"""The first row: of all tasks for which there is no row left."""
TASK_BYTES_MAX: Final = 120
"""A longer name is cut; tasks whose names begin so much alike share a row."""
KINDS: Final = 12
"""Words for the kinds of outcomes, by their numbers."""
WORD_MAX: Final = 1 << 56
"""More than this is none of ours: a job has scribbled over its row, which is left out then."""

_HEAD: Final = Struct(f"<Q{TASK_BYTES_MAX}s")
_TASK_WORDS: Final = _HEAD.size // 8
_RUN_SUM, _QUEUE_SUM, _RUN = _TASK_WORDS, _TASK_WORDS + 1, _TASK_WORDS + 2
_QUEUE: Final = _RUN + BUCKETS
_ROW_WORDS: Final = _QUEUE + BUCKETS
_ENDED_AT: Final = 16
"""A line of its own for the number of rows."""
_ROWS_AT: Final = _ENDED_AT + ROWS * KINDS
_KINDS_KNOWN: Final = {int(kind): kind for kind in OutcomeKind}

TALLIES_BYTES: Final = -(-(_ROWS_AT + ROWS * _ROW_WORDS) * 8 // 128) * 128


class TallyTable:
    """The table over a region of shared memory, for readers: any thread of any process."""

    __slots__ = ("memory", "words")

    def __init__(self, memory: memoryview) -> None:
        assert len(memory) == TALLIES_BYTES
        self.memory = memory
        """The whole table, for its writer; so are its words."""
        self.words = memory.cast("Q")

    def read(self) -> dict[str, Tally]:
        """Return a tally for every task that it has seen, by its name."""
        tallies: dict[str, Tally] = {}
        for row in range(self.rows):
            tally = self.read_row(row)
            if tally is not None:
                known = tallies.get(tally.task)
                tallies[tally.task] = tally if known is None else known.plus(tally)
        return tallies

    def total_ended(self) -> int:
        """Return how many jobs have ended here, whatever they came to."""
        return sum(count for count in self.words[_ENDED_AT : _ENDED_AT + self.rows * KINDS] if count < WORD_MAX)

    @property
    def rows(self) -> int:
        """How many rows are in use."""
        return min(self.words[0], ROWS)

    def ended(self, row: int) -> bytes:
        """Return what changes whenever the row does."""
        at = (_ENDED_AT + row * KINDS) * 8
        return bytes(self.memory[at : at + KINDS * 8])

    def read_row(self, row: int) -> Tally | None:
        """Read one of the rows in use; None if no job has ended, or what stands there cannot be."""
        # Foreign code may have written here: anything may stand in it.
        at = _ROWS_AT + row * _ROW_WORDS
        ended = self.words[_ENDED_AT + row * KINDS : _ENDED_AT + (row + 1) * KINDS].tolist()
        figures = self.words[at + _RUN_SUM : at + _ROW_WORDS].tolist()
        if not any(ended) or max(ended) >= WORD_MAX or max(figures) >= WORD_MAX:
            return None
        run, queue = figures[2 : 2 + BUCKETS], figures[2 + BUCKETS :]
        by_kind = {kind: ended[number] for number, kind in _KINDS_KNOWN.items() if ended[number]}
        return Tally(self._task(row), by_kind, Histogram(run, figures[0] / 1e6), Histogram(queue, figures[1] / 1e6))

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self.memory.release()

    def _task(self, row: int) -> str:
        if row == 0:
            return OTHER
        length, raw = _HEAD.unpack_from(self.memory, (_ROWS_AT + row * _ROW_WORDS) * 8)
        return printable(raw[:length].decode("utf-8", "replace")) or OTHER


class TallyRow:
    """The writer's side of one row.

    It counts in memory of its own and stores what comes of it: so nothing is read back that a job has scribbled over.
    """

    __slots__ = ("_ended", "_ended_words", "_queue", "_queue_words", "_run", "_run_words", "_sums")

    def __init__(self, table: TallyTable, row: int) -> None:
        words, at = table.words, _ROWS_AT + row * _ROW_WORDS
        self._ended, self._ended_words = [0] * KINDS, words[_ENDED_AT + row * KINDS : _ENDED_AT + (row + 1) * KINDS]
        # Each with its sum in nanoseconds, and the word of that in microseconds, in front.
        self._sums = words[at + _RUN_SUM : at + _RUN]
        self._run, self._run_words = [0] * (BUCKETS + 1), words[at + _RUN : at + _QUEUE]
        self._queue, self._queue_words = [0] * (BUCKETS + 1), words[at + _QUEUE : at + _ROW_WORDS]

    def add(self, kind: int, jobs: int, run_ns: int) -> None:
        """Count jobs that ended alike; run_ns: what they took together, of which each is taken to have had its share."""
        counts = self._run
        time_us = run_ns // (1000 * jobs)
        shift = time_us.bit_length() - 3
        # What bucket_of() does.
        bucket = STEPS * shift + (time_us >> shift) if shift > 0 else time_us
        if bucket >= BUCKETS:
            bucket = BUCKETS - 1
        self._run_words[bucket] = counts[bucket] = counts[bucket] + jobs
        counts[BUCKETS] = sum_ns = counts[BUCKETS] + run_ns
        self._sums[0] = sum_ns // 1000
        # Last, see above.
        self._ended_words[kind] = self._ended[kind] = self._ended[kind] + jobs

    def add_waits(self, jobs: int, wait_us: int) -> None:
        """Count how long such jobs had waited each, in the mean; before add()."""
        counts = self._queue
        bucket = bucket_of(wait_us)
        self._queue_words[bucket] = counts[bucket] = counts[bucket] + jobs
        self._sums[1] = counts[BUCKETS] = counts[BUCKETS] + jobs * wait_us


class TallyWriter:
    """The writer's side of the table: finds the row of a task."""

    def __init__(self, table: TallyTable) -> None:
        self._table = table
        self._rows: dict[bytes, TallyRow] = {}
        table.words[0] = 1
        self._other = TallyRow(table, 0)

    def row_of(self, task: bytes) -> TallyRow:
        """Return the row of a task, by its name in UTF-8."""
        return self._rows.get(task) or self._row_of(task[:TASK_BYTES_MAX].decode("utf-8", "ignore").encode())

    def _row_of(self, name: bytes) -> TallyRow:
        row = self._rows.get(name)
        if row is not None:
            return row
        number = len(self._rows) + 1
        if number >= ROWS:
            return self._other
        _HEAD.pack_into(self._table.memory, (_ROWS_AT + number * _ROW_WORDS) * 8, len(name), name)
        row = self._rows[name] = TallyRow(self._table, number)
        self._table.words[0] = number + 1
        return row
