"""How far ahead a buffer is filled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.supervisor.pace import GROWTH_MAX, WINDOW_S, Pace


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
    """After a stretch without a start the least is buffered again."""
    pace = Pace(ahead_s=0.2, width=1, jobs_min=2, jobs_max=10_000)
    steady(pace, 5000, 1)
    steady(pace, 1, 3.5, since_s=1, begun=5000)
    assert pace.high == 2


def test_grows_step_by_step() -> None:
    """One lucky window multiplies the watermark by the growth factor at most."""
    pace = Pace(ahead_s=1.0, width=1, jobs_min=4, jobs_max=10_000)
    pace.note(1_000_000, 1.0)
    assert pace.high == 4 * GROWTH_MAX


def test_short_stretches_tell_nothing() -> None:
    """Looks that follow too closely change nothing, and what they saw counts in the next one."""
    pace = Pace(ahead_s=1.0, width=1, jobs_min=1, jobs_max=10_000)
    pace.note(0, 1.0)
    pace.note(4, 1.0 + WINDOW_S / 2)
    assert pace.high == 1
    pace.note(5, 2.0)
    assert pace.high == 4


def test_one_start_tells_nothing_of_a_job() -> None:
    """A long job's start, in however short a window, puts nothing behind it."""
    pace = Pace(ahead_s=0.05, width=1, jobs_min=1, jobs_max=10_000)
    for start in range(1, 20):
        pace.note(start, start * 0.5)
        pace.note(start, start * 0.5 + WINDOW_S)
        assert pace.high == 1


def test_first_starts_of_a_wide_lane_tell_nothing() -> None:
    """As many starts as can run at once say nothing of how long a job takes."""
    pace = Pace(ahead_s=0.2, width=8, jobs_min=16, jobs_max=10_000)
    pace.note(8, 1.0)
    assert pace.high == 16


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 10)), max_size=50), st.integers(1, 50), st.integers(0, 1000))
def test_bounds(looks: list[tuple[int, float]], jobs_min: int, more: int) -> None:
    """Whatever is seen, the watermark stays between its bounds."""
    pace = Pace(ahead_s=0.2, width=1, jobs_min=jobs_min, jobs_max=jobs_min + more)
    started, now = 0, 0.0
    for jobs, elapsed in looks:
        started, now = started + jobs, now + elapsed
        pace.note(started, now)
        assert jobs_min <= pace.high <= jobs_min + more
        assert 0 <= pace.low < pace.high
