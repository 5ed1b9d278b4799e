"""What is counted of jobs is found again as it was, as exact as a bucket is wide, whatever is asked of it, and whoever scribbles."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from farm.model import OutcomeKind
from farm.shm.tallies import (
    BUCKETS,
    OTHER,
    ROWS,
    TALLIES_BYTES,
    TASK_BYTES_MAX,
    UPPER_BOUNDS_S,
    WORD_MAX,
    Histogram,
    TallyTable,
    TallyWriter,
    bucket_of,
)

LAST_US = 1 << 35
TIMES_US = st.one_of(st.integers(0, 100), st.integers(0, 1 << 20), st.integers(0, LAST_US * 4))


def made() -> TallyTable:
    return TallyTable(memoryview(bytearray(TALLIES_BYTES)))


def histogram(times_us: list[int]) -> Histogram:
    counts = [0] * BUCKETS
    for time_us in times_us:
        counts[bucket_of(time_us)] += 1
    return Histogram(counts, sum(times_us) / 1e6)


@given(TIMES_US)
def test_a_time_falls_where_the_bounds_say(time_us: int) -> None:
    assert bucket_of(time_us) == bisect_right(UPPER_BOUNDS_S, time_us / 1e6)


def test_buckets_are_narrow() -> None:
    """Bounds rise, from a microsecond; from four microseconds on no bucket is wider than a quarter of where it begins."""
    assert len(UPPER_BOUNDS_S) == BUCKETS
    finite = [round(bound * 1e6) for bound in UPPER_BOUNDS_S[:-1]]
    assert finite[:4] == [1, 2, 3, 4]
    assert finite[-1] == LAST_US
    assert all(0 < 4 * (upper - lower) <= lower for lower, upper in pairwise(finite[3:]))


@given(st.lists(TIMES_US, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_right_time(times_us: list[int], q: float) -> None:
    """That of the time that has this share of all before it; what is longer than the last bound counts as that long."""
    times_us.sort()
    found = histogram(times_us).quantile(q)
    assert found is not None
    rank = q * len(times_us)
    right_us = times_us[max(0, min(len(times_us) - 1, -int(-rank // 1) - 1))]
    bucket = bucket_of(right_us)
    lower_s = UPPER_BOUNDS_S[bucket - 1] if bucket else 0.0
    assert lower_s <= found <= min(UPPER_BOUNDS_S[bucket], LAST_US / 1e6)


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().count == 0


@given(st.lists(TIMES_US), st.lists(TIMES_US))
def test_adding_and_taking_away(some: list[int], others: list[int]) -> None:
    """Both together are what comes of all times; less one of them, the other one is left; nothing becomes less than none."""
    one, other = histogram(some), histogram(others)
    both = one.plus(other)
    assert both.counts == histogram(some + others).counts
    assert both.minus(one).counts == other.counts
    assert abs(both.minus(one).sum_s - other.sum_s) < 1e-3
    assert one.minus(both) == Histogram()


def test_counted_and_read() -> None:
    """Each task has its own figures; jobs that were counted together have the same share of what they took."""
    table = made()
    writer = TallyWriter(table)
    assert (table.read(), table.total_ended()) == ({}, 0)
    row = writer.row_of(b"shop:pack")
    row.add(OutcomeKind.SUCCEEDED, 10, 150_000, 2_000_000)
    row.add(OutcomeKind.FAILED, 1, 3_000_000_000)
    writer.row_of(b"shop:send").add(OutcomeKind.SNOOZED, 1, 999)
    pack, send = table.read()["shop:pack"], table.read()["shop:send"]
    assert pack.ended == {OutcomeKind.SUCCEEDED: 10, OutcomeKind.FAILED: 1}
    assert (pack.run.count, pack.run.sum_s) == (11, 3.00015)
    assert pack.run.counts[bucket_of(15)] == 10
    assert pack.run.counts[bucket_of(3_000_000)] == 1
    assert (pack.queue.count, pack.queue.sum_s, pack.queue.counts[bucket_of(2_000_000)]) == (10, 20.0, 10)
    assert (send.ended, send.run.counts[0], send.queue) == ({OutcomeKind.SNOOZED: 1}, 1, Histogram())
    assert table.total_ended() == 12


@given(st.lists(TIMES_US, min_size=1, max_size=20))
def test_a_row_counts_like_a_histogram(times_us: list[int]) -> None:
    table = made()
    row = TallyWriter(table).row_of(b"t")
    for time_us in times_us:
        row.add(OutcomeKind.SUCCEEDED, 1, time_us * 1000, time_us)
    tally = table.read()["t"]
    expected = histogram(times_us)
    assert (tally.run, tally.queue) == (expected, expected)


def test_a_sum_is_exact_though_each_time_is_cut() -> None:
    table = made()
    row = TallyWriter(table).row_of(b"t")
    for _ in range(1000):
        row.add(OutcomeKind.SUCCEEDED, 1, 1500)
    assert table.read()["t"].run.sum_s == 0.0015


def test_more_tasks_than_rows() -> None:
    """Names come from whoever enqueues: those for which no row is left are counted together, and nobody loses one that it has."""
    table = made()
    writer = TallyWriter(table)
    for _ in range(2):
        for number in range(ROWS + 10):
            writer.row_of(f"t{number}".encode()).add(OutcomeKind.SUCCEEDED, 1, 1000)
    tallies = table.read()
    assert len(tallies) == ROWS
    assert tallies[OTHER].ended == {OutcomeKind.SUCCEEDED: 22}
    assert tallies["t0"].ended == {OutcomeKind.SUCCEEDED: 2}
    assert table.total_ended() == 2 * (ROWS + 10)


def test_long_names_are_cut_between_characters() -> None:
    """Tasks that begin alike share a row then."""
    table = made()
    writer = TallyWriter(table)
    for end in ("ä", "b"):
        writer.row_of(("x" * (TASK_BYTES_MAX - 1) + "ü" + end).encode()).add(OutcomeKind.SUCCEEDED, 1, 1000)
    assert {task: tally.ended[OutcomeKind.SUCCEEDED] for task, tally in table.read().items()} == {"x" * (TASK_BYTES_MAX - 1): 2}


@given(st.binary(max_size=300), st.integers(0, TALLIES_BYTES - 300), st.sampled_from([0, 1, 2, ROWS, WORD_MAX, (1 << 64) - 1]))
def test_whatever_lies_there_can_be_summed_and_shown(raw: bytes, at: int, rows: int) -> None:
    """A job can scribble over this memory: names are printable, figures are counts, and what the writer says next is right again."""
    memory = memoryview(bytearray(TALLIES_BYTES))
    table = TallyTable(memory)
    row = TallyWriter(table).row_of(b"t")
    row.add(OutcomeKind.SUCCEEDED, 1, 1000)
    memory[at : at + len(raw)] = raw
    memory.cast("Q")[0] = rows
    for task, tally in table.read().items():
        assert task.isprintable()
        assert all(0 < count < 2 * ROWS * WORD_MAX for count in tally.ended.values())
        assert all(0 <= count < ROWS * WORD_MAX for count in (*tally.run.counts, *tally.queue.counts))
        tally.run.quantile(0.99)
    assert table.total_ended() >= 0
    row.add(OutcomeKind.SUCCEEDED, 1, 1000)
