"""What a screen makes of counters that only grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model import OutcomeKind
from farm.screen.rates import MINUTE_S, RATE_S, RECENT_S, Minute, Rate
from farm.shm.tallies import KINDS, Figures, bucket_of

STEPS = st.lists(st.tuples(st.floats(0.05, 100.0), st.integers(0, 10_000)), min_size=1, max_size=60)


@given(STEPS)
def test_rates_are_never_negative_and_lose_nothing_that_is_over(steps: list[tuple[float, int]]) -> None:
    rate, now, noted = Rate(), 100.0, 0
    rate.note(now, 77)
    assert (rate.per_second, rate.seconds) == (0.0, ())
    for wait_s, events in steps:
        now += wait_s
        rate.note(now, events)
        noted += events
        assert rate.per_second >= 0.0
        assert len(rate.seconds) <= MINUTE_S
        assert all(second >= 0.0 for second in rate.seconds)
    rate.note(now + 1.0, 0)
    if int(now + 1.0) - 100 < MINUTE_S:
        assert sum(rate.seconds) == noted, "each event stands in one second"


def test_a_rate_is_of_the_last_few_seconds() -> None:
    rate = Rate()
    for quarter in range(101):
        rate.note(quarter / 4, 25)
    assert rate.per_second == pytest.approx(100.0)
    assert rate.seconds == (75.0, *[100.0] * 24), "what was counted before the first look is not known to be recent"
    for quarter in range(101, 101 + int(4 * RATE_S) + 1):
        rate.note(quarter / 4, 0)
    assert rate.per_second == 0.0


def test_a_minute_tells_of_failures_and_of_lately() -> None:
    minute = Minute()
    assert minute.recent(0.0).failure_share is None
    second: Figures = (1_000_000 << 64 * KINDS) + (1 << 64 * (KINDS + 2 + bucket_of(1_000_000)))
    minute.note(0.0, 3 * ((1 << 64 * OutcomeKind.SUCCEEDED) + second))
    minute.note(5.0, 1 << 64 * OutcomeKind.CRASHED)
    recent = minute.recent(5.0)
    assert recent.failure_share == 0.25
    assert recent.run_time.p50_s is not None
    assert 0.75 <= recent.run_time.p50_s <= 1.25
    assert recent.queue_time.p99_s is None
    late = minute.recent(RECENT_S + 1.0)
    assert late.run_time.p50_s is None
    assert late.median_run_s is not None
    minute.note(MINUTE_S + 1.0, 0)
    assert minute.recent(MINUTE_S + 1.0).failure_share == 1.0, "the successes were longer ago"
