"""A brief is what the full table says, by fewer bounds: however often it is read in between, and whatever is counted next."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from farm.model import OutcomeKind
from farm.shm.briefs import MARGIN, NOTHING, QUEUE, QUEUE_US, RUN, RUN_US, Brief, RowReader, brief_of_job, exchanged
from farm.shm.tallies import BUCKETS, KINDS, NOT_KNOWN, TALLIES_BYTES, UPPER_BOUNDS_S, TallyTable, TallyWriter
from farm.spread import JOB_BOUNDS_S

TIMES_US = st.one_of(st.integers(0, 100), st.integers(0, 1 << 20), st.integers(0, 1 << 37))
KIND = st.sampled_from([kind for kind in OutcomeKind if 0 < kind < KINDS])
JOBS = st.tuples(KIND, st.integers(1, 64), TIMES_US, st.one_of(st.just(NOT_KNOWN), TIMES_US))
ROW = 1


def made() -> TallyTable:
    return TallyTable(memoryview(bytearray(TALLIES_BYTES)))


def expected(table: TallyTable) -> Brief:
    """Return the brief of the one task, made of its full tally."""
    tally = table.read().get("t")
    if tally is None:
        return NOTHING
    ended = [tally.queue.count, *(tally.ended.get(OutcomeKind(kind), 0) if kind in set(OutcomeKind) else 0 for kind in range(1, KINDS))]
    numbers = [*ended, round(tally.run.sum_s * 1e6), round(tally.queue.sum_s * 1e6)]
    for times in (tally.run, tally.queue):
        below = [sum(count for count, upper in zip(times.counts, UPPER_BOUNDS_S, strict=True) if upper <= bound) for bound in JOB_BOUNDS_S]
        numbers += [*below, times.count]
    return tuple(numbers)


@given(st.lists(st.tuples(JOBS, st.booleans()), max_size=40))
@example([((OutcomeKind.SUCCEEDED, 1, 1000, 1000), True), ((OutcomeKind.SUCCEEDED, 1, 10**9, NOT_KNOWN), True)])
@example([((OutcomeKind.FAILED, 3, 0, 0), True), ((OutcomeKind.FAILED, 1, 1 << 36, 1 << 36), False)])
def test_a_reader_that_comes_back_finds_all_that_was_counted(steps: list[tuple[tuple[OutcomeKind, int, int, int], bool]]) -> None:
    """Also what falls into buckets that it did not read the time before."""
    table = made()
    row, reader = TallyWriter(table).row_of(b"t"), RowReader(table, ROW)
    assert reader.read() == NOTHING
    for (kind, jobs, run_us, wait_us), looked in steps:
        row.add(kind, jobs, run_us * 1000 * jobs, wait_us)
        if looked:
            assert reader.read() == expected(table)
    assert reader.read() == expected(table)


def test_only_buckets_in_use_are_read() -> None:
    """What stands far from them is not looked at as long as their sum says that there is nothing."""
    table = made()
    reader = RowReader(table, ROW)
    TallyWriter(table).row_of(b"t").add(OutcomeKind.SUCCEEDED, 5, 5_000_000, 10)
    before = reader.read()
    run_at = table.places(ROW)[2]
    table.words[run_at + BUCKETS - 1] = 7
    assert reader.read() == before
    table.words[run_at + BUCKETS - 1 - MARGIN] = 7
    assert reader.read() == before


@given(KIND, st.one_of(st.none(), TIMES_US))
def test_a_job_that_somebody_else_ended_counts_like_others(kind: OutcomeKind, run_us: int | None) -> None:
    brief = brief_of_job(kind, run_us)
    if run_us is None:
        assert brief == tuple(int(place == kind) for place in range(len(NOTHING)))
        return
    table = made()
    TallyWriter(table).row_of(b"t").add(kind, 1, run_us * 1000)
    assert brief == expected(table)


@given(st.lists(st.tuples(KIND, TIMES_US), min_size=1, max_size=9))
def test_totals_follow_their_parts(jobs: list[tuple[OutcomeKind, int]]) -> None:
    """Whether a part is all of a total or one of several."""
    total, parts = NOTHING, [NOTHING, NOTHING]
    for number, (kind, run_us) in enumerate(jobs):
        before = parts[number % 2]
        now = parts[number % 2] = exchanged(before, NOTHING, brief_of_job(kind, run_us))
        total = exchanged(total, before, now)
    assert total == tuple(map(sum, zip(*parts, strict=True)))
    assert (total[RUN_US], total[QUEUE_US]) == (sum(run_us for _kind, run_us in jobs), 0)
    assert total[RUN][-1] == len(jobs)
    assert not any(total[QUEUE])


def test_what_a_job_has_scribbled_is_no_brief() -> None:
    table = made()
    reader = RowReader(table, ROW)
    TallyWriter(table).row_of(b"t").add(OutcomeKind.SUCCEEDED, 1, 1_000_000, 5)
    run_at = table.places(ROW)[2]
    table.memory[run_at * 8 : (run_at + BUCKETS) * 8] = b"\xff" * (8 * BUCKETS)
    assert reader.read() is None
    table.memory[:] = b"\xff" * TALLIES_BYTES
    assert reader.read() is None
