"""What jobs came to, how long they ran and how long they had waited, by task: counted where they run, for whoever looks.

One table for each subworker. It alone writes, a word at a time and without a lock, so whoever reads may see the latest jobs in some of
the figures and not yet in others. Words of 8 bytes: rows in use; then for each row how many jobs came to what, and how many waits were
counted (`ended`); then the rows themselves: the task, two sums, two histograms. `ended` is written last: while it is the same, so is
the row.
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
    """From start to end."""
    queue: Histogram
    """From when a job could be claimed to its start: first attempts only, of jobs that were filed to run at once. What runs is in it."""


ROWS: Final = 64
OTHER: Final = "other"
"""The first row: of all tasks for which there is no row left."""
TASK_BYTES_MAX: Final = 120
"""A longer name is cut; tasks whose names begin so much alike share a row."""
KINDS: Final = 12
"""Words for the kinds of outcomes, by their numbers; in the first one, which is no kind, how many waits were counted."""
NOT_KNOWN: Final = -1
"""Instead of a time that jobs have waited."""
WORD_MAX: Final = (1 << 56) - 1
"""More than this is none of ours: a job has scribbled over its row, which is left out then."""

_HEAD: Final = Struct(f"<Q{TASK_BYTES_MAX}s")
_TASK_WORDS: Final = _HEAD.size // 8
_RUN_SUM, _QUEUE_SUM, _RUN = _TASK_WORDS, _TASK_WORDS + 1, _TASK_WORDS + 2
_QUEUE: Final = _RUN + BUCKETS
_ROW_WORDS: Final = _QUEUE + BUCKETS
_ENDED_AT: Final = 16
"""A line of its own for the number of rows."""
_ROWS_AT: Final = _ENDED_AT + ROWS * KINDS
ENDED_BYTES: Final = KINDS * 8
TALLIES_BYTES: Final = -(-(_ROWS_AT + ROWS * _ROW_WORDS) * 8 // 128) * 128

Figures = int
"""All that is counted in a row, as one large number: kinds, sums and buckets are its digits of 64 bits. So rows are added up, and taken
from each other, in one step; none of our figures comes near to a carry."""
_FIGURES_WORDS: Final = KINDS + _ROW_WORDS - _RUN_SUM
_ABSURD: Final = sum((1 << 64) - 1 - WORD_MAX << 64 * word for word in range(_FIGURES_WORDS))
_KINDS_KNOWN: Final = tuple((int(kind), kind) for kind in OutcomeKind)


def tally_of(task: str, figures: Figures) -> Tally:
    """Return figures in a form that can be read."""
    # One word more: what jobs have scribbled may come to a carry after all.
    words = memoryview(figures.to_bytes((_FIGURES_WORDS + 1) * 8, "little")).cast("Q").tolist()
    ended = {kind: count for number, kind in _KINDS_KNOWN if (count := words[number])}
    run_us, queue_us = words[KINDS : KINDS + 2]
    queue_at = KINDS + 2 + BUCKETS
    run = Histogram(words[KINDS + 2 : queue_at], run_us / 1e6)
    return Tally(task, ended, run, Histogram(words[queue_at : queue_at + BUCKETS], queue_us / 1e6))


def task_name(raw: bytes) -> str:
    """Return a task as it is called here: cut, printable, never empty."""
    return printable(raw[:TASK_BYTES_MAX].decode("utf-8", "ignore")) or OTHER


class TallyTable:
    """The table over a region of shared memory, for readers: any thread of any process."""

    __slots__ = ("memory", "words")

    def __init__(self, memory: memoryview) -> None:
        assert len(memory) == TALLIES_BYTES
        self.memory = memory
        """The whole table, for its writer; so are its words."""
        self.words = memory.cast("Q")

    def read(self) -> dict[str, Tally]:
        """Return a tally for every task of which a job has ended, by its name."""
        sums: dict[str, Figures] = {}
        for row in range(self._rows):
            if figures := self.figures(row):
                task = self.task(row)
                sums[task] = sums.get(task, 0) + figures
        return {task: tally_of(task, figures) for task, figures in sums.items()}

    def total_ended(self) -> int:
        """Return how many jobs have ended here, whatever they came to."""
        words = self.words[_ENDED_AT : _ENDED_AT + self._rows * KINDS].tolist()
        words[::KINDS] = [0] * self._rows
        return sum(words) if max(words, default=0) <= WORD_MAX else sum(count for count in words if count <= WORD_MAX)

    def ended(self) -> bytes:
        """Return ENDED_BYTES for each row in use: while these are the same, so is what figures() says of that row."""
        at = _ENDED_AT * 8
        return bytes(self.memory[at : at + self._rows * ENDED_BYTES])

    def figures(self, row: int) -> Figures | None:
        """Return all that is counted in one of the rows in use; None if that cannot be."""
        ended_at, at = _ENDED_AT * 8 + row * ENDED_BYTES, (_ROWS_AT + row * _ROW_WORDS) * 8
        ended = self.memory[ended_at : ended_at + ENDED_BYTES]
        raw = b"".join((ended, self.memory[at + _RUN_SUM * 8 : at + _ROW_WORDS * 8]))
        # Foreign code may have written here: anything may stand in it.
        figures = int.from_bytes(raw, "little")
        return None if figures & _ABSURD else figures

    def places(self, row: int) -> tuple[int, int, int, int]:
        """Return where in its words a row has its KINDS of ended jobs, its two sums, and its BUCKETS of times run and waited."""
        at = _ROWS_AT + row * _ROW_WORDS
        return _ENDED_AT + row * KINDS, at + _RUN_SUM, at + _RUN, at + _QUEUE

    def task(self, row: int) -> str:
        """Return whose row it is."""
        if row == 0:
            return OTHER
        length, raw = _HEAD.unpack_from(self.memory, (_ROWS_AT + row * _ROW_WORDS) * 8)
        return task_name(raw[:length])

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self.memory.release()

    @property
    def _rows(self) -> int:
        return min(self.words[0], ROWS)


class TallyRow:
    """The writer's side of one row.

    It counts in memory of its own and stores what comes of it: so nothing is read back that a job has scribbled over.
    """

    __slots__ = ("_ended", "_ended_words", "_queue", "_queue_us", "_queue_words", "_run", "_run_ns", "_run_words", "_sums")

    def __init__(self, table: TallyTable, row: int) -> None:
        words, at = table.words, _ROWS_AT + row * _ROW_WORDS
        self._ended, self._ended_words = [0] * KINDS, words[_ENDED_AT + row * KINDS : _ENDED_AT + (row + 1) * KINDS]
        self._sums = words[at + _RUN_SUM : at + _RUN]
        self._run_ns = self._queue_us = 0
        self._run, self._run_words = [0] * BUCKETS, words[at + _RUN : at + _QUEUE]
        self._queue, self._queue_words = [0] * BUCKETS, words[at + _QUEUE : at + _ROW_WORDS]

    def add(self, kind: int, jobs: int, run_ns: int, wait_us: int = NOT_KNOWN) -> None:
        """Count jobs that ended alike, in one go: a batch pays for this, but it may be a batch of one.

        run_ns: what they took together, of which each is taken to have had its share. wait_us: what they had waited before they started,
        in the mean.
        """
        ended, sums = self._ended, self._sums
        if wait_us >= 0:
            counts = self._queue
            # Twice what bucket_of() does: a call costs as much as all of that.
            shift = wait_us.bit_length() - 3
            bucket = STEPS * shift + (wait_us >> shift) if shift > 0 else wait_us
            if bucket >= BUCKETS:
                bucket = BUCKETS - 1
            self._queue_words[bucket] = counts[bucket] = counts[bucket] + jobs
            self._queue_us = sum_us = self._queue_us + jobs * wait_us
            sums[1] = sum_us & WORD_MAX
            self._ended_words[0] = ended[0] = ended[0] + jobs
        counts = self._run
        time_us = run_ns // (1000 * jobs)
        shift = time_us.bit_length() - 3
        bucket = STEPS * shift + (time_us >> shift) if shift > 0 else time_us
        if bucket >= BUCKETS:
            bucket = BUCKETS - 1
        self._run_words[bucket] = counts[bucket] = counts[bucket] + jobs
        self._run_ns = sum_ns = self._run_ns + run_ns
        sums[0] = sum_ns // 1000
        # Last, see above.
        self._ended_words[kind] = ended[kind] = ended[kind] + jobs


class TallyWriter:
    """The writer's side of the table: finds the row of a task."""

    def __init__(self, table: TallyTable) -> None:
        self._table = table
        self._rows: dict[bytes, TallyRow] = {}
        table.words[0] = 1
        self.other = TallyRow(table, 0)

    def row_of(self, task: bytes) -> TallyRow:
        """Return the row of a task, by its name in UTF-8."""
        return self._rows.get(task) or self._row_of(task[:TASK_BYTES_MAX].decode("utf-8", "ignore").encode())

    def _row_of(self, name: bytes) -> TallyRow:
        row = self._rows.get(name)
        if row is not None:
            return row
        number = len(self._rows) + 1
        if number >= ROWS:
            return self.other
        _HEAD.pack_into(self._table.memory, (_ROWS_AT + number * _ROW_WORDS) * 8, len(name), name)
        row = self._rows[name] = TallyRow(self._table, number)
        self._table.words[0] = number + 1
        return row
