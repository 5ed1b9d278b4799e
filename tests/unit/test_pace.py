"""How far ahead a buffer is filled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.supervisor.processes.pace import DRY_GROWTH_MAX, GROWTH_MAX, WINDOW_S, WINDOW_S_MAX, Pace


def steady(pace: Pace, jobs_a_s: float, seconds: float, *, since_s: float = 0.0, begun: int = 0) -> None:
    for tick in range(1, int(seconds / 0.01) + 1):
        pace.note(begun + int(jobs_a_s * tick * 0.01), since_s + tick * 0.01)


def test_begins_low() -> None:
    """Before anything has been measured the least is buffered."""
    assert Pace(ahead_s=1.0, width=1, jobs_min=3, jobs_max=100).high == 3


def test_follows_the_pace() -> None:
    """At a steady pace the high watermark is that many seconds of work, the low one half of it."""
    pace = Pace(ahead_s=0.5, width=1, jobs_min=1, jobs_max=10_000)
    steady(pace, 1000, 2)
    assert 440 <= pace.high <= 520
    assert pace.low == pace.high // 2


def test_slow_jobs_are_not_hoarded() -> None:
    """After a stretch without an end the least is buffered again."""
    pace = Pace(ahead_s=0.2, width=1, jobs_min=2, jobs_max=10_000)
    steady(pace, 5000, 1)
    steady(pace, 1, 3.5, since_s=1, begun=5000)
    assert pace.high == 2


def test_grows_step_by_step() -> None:
    """One lucky window multiplies the watermark by the growth factor at most, or makes it as many as have ended in it."""
    pace = Pace(ahead_s=1.0, width=1, jobs_min=4, jobs_max=100_000)
    pace.note(0, 1.0)
    pace.note(10, 1.01)
    assert pace.high == 4 * GROWTH_MAX
    pace.note(10 + 500, 1.02)
    assert pace.high == 500


def test_grows_at_once_where_all_that_was_handed_out_has_ended() -> None:
    """However soon: what ended since it was dry before, has started since."""
    pace = Pace(ahead_s=1.0, width=1, jobs_min=2, jobs_max=10_000)
    pace.note(0, 1.0, is_dry=True)
    pace.note(2, 1.001, is_dry=True)
    assert pace.high == 2 * DRY_GROWTH_MAX
    pace.note(2 + 8, 1.002, is_dry=True)
    assert pace.high == 2 * DRY_GROWTH_MAX, "it had not been filled"
    pace.note(10 + 16, 1.003, is_dry=True)
    assert pace.high == 2 * DRY_GROWTH_MAX**2


def test_the_end_of_a_long_job_does_not_look_like_that_of_a_short_one() -> None:
    """It counts from the time at which nothing was left to do, not from the last look at it."""
    pace = Pace(ahead_s=0.1, width=1, jobs_min=0, jobs_max=10_000)
    pace.note(0, 1.0, is_dry=True)
    pace.note(0, 1.6)
    pace.note(1, 1.61, is_dry=True)
    assert pace.high == 0


def test_short_stretches_tell_nothing() -> None:
    """Looks that follow too closely change nothing, and what they saw counts in the next one."""
    pace = Pace(ahead_s=1.0, width=1, jobs_min=1, jobs_max=10_000)
    pace.note(0, 1.0)
    pace.note(4, 1.0 + WINDOW_S / 2)
    assert pace.high == 1
    pace.note(5, 2.0)
    assert pace.high == 5


def test_a_long_job_is_seen_while_it_runs() -> None:
    """A job that takes long empties the buffer behind it before it has ended."""
    pace = Pace(ahead_s=0.1, width=1, jobs_min=0, jobs_max=10_000)
    steady(pace, 1000, 1)
    assert pace.high >= 90
    pace.note(1000, 1.0 + WINDOW_S_MAX)
    assert pace.high == 0


def test_jobs_longer_than_the_buffer_get_nothing_behind_them() -> None:
    """When less than one job ends in the time that is buffered ahead, nothing is."""
    pace = Pace(ahead_s=0.1, width=1, jobs_min=0, jobs_max=10_000)
    for end in range(1, 20):
        pace.note(end, end * 0.15)
        assert pace.high == 0


def test_a_wide_lane_is_watched_for_two_rounds() -> None:
    """Where many may end together, a moment in which none or all of them do says nothing."""
    pace = Pace(ahead_s=0.1, width=500, jobs_min=0, jobs_max=10_000)
    for tenth in range(1, 20):
        pace.note(500 * (tenth - 1), tenth * 0.1 - 0.04)
        pace.note(500 * tenth, tenth * 0.1)
        assert pace.high == 0 or 450 <= pace.high <= 550
    assert 450 <= pace.high <= 550


def test_having_had_nothing_to_do_is_no_sign_of_long_jobs() -> None:
    """After a pause the buffer is what it was; it still grows, and is halved where it was too much."""
    pace = Pace(ahead_s=0.1, width=1, jobs_min=0, jobs_max=10_000)
    steady(pace, 1000, 1)
    was = pace.high
    pace.note(1001, 10.0, was_idle=True)
    assert pace.high == was
    pace.note(1101, 10.01, was_idle=True)
    assert pace.high == was * GROWTH_MAX
    pace.back_off()
    assert pace.high == was * GROWTH_MAX / 2


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 10), st.booleans()), max_size=50), st.integers(0, 50), st.integers(0, 1000))
def test_bounds(looks: list[tuple[int, float, bool]], jobs_min: int, more: int) -> None:
    """Whatever is seen, the watermark stays between its bounds."""
    pace = Pace(ahead_s=0.2, width=1, jobs_min=jobs_min, jobs_max=jobs_min + more)
    ended, now = 0, 0.0
    for jobs, elapsed, was_idle in looks:
        ended, now = ended + jobs, now + elapsed
        pace.note(ended, now, was_idle=was_idle)
        assert jobs_min <= pace.high <= jobs_min + more
        assert 0 <= pace.low <= pace.high / 2
