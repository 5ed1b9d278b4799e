"""Counting values into buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread

VALUES = st.lists(st.floats(min_value=0.0, max_value=69.0), min_size=1, max_size=50)


def spread_of(values: list[float]) -> Spread:
    spread = Spread(TIME_BOUNDS_S)
    for value in values:
        spread.note(value)
    return spread


@given(values=VALUES, share=st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_off_by_less_than_its_bucket(values: list[float], share: float) -> None:
    """It lies in the bucket of the value that has that rank."""
    found = spread_of(values).quantile(share)
    rank = max(1, -int(-share * len(values) // 1))
    exact = sorted(values)[min(rank, len(values)) - 1]
    assert found is not None
    bucket = next(index for index, bound in enumerate(TIME_BOUNDS_S) if exact <= bound)
    low = TIME_BOUNDS_S[bucket - 1] if bucket else 0.0
    assert low <= found <= TIME_BOUNDS_S[bucket]


@given(values=VALUES)
def test_cumulative_counts_say_how_many_are_at_most_a_bound(values: list[float]) -> None:
    bounds = [bound for bound in TIME_BOUNDS_S if f"{bound:e}"[0] in "125" and "1.5" not in f"{bound:e}"]
    assert spread_of(values).cumulative(bounds) == [sum(value <= bound for value in values) for bound in bounds] + [len(values)]


@given(values=VALUES, more=VALUES)
def test_what_was_noted_since_is_the_difference(values: list[float], more: list[float]) -> None:
    assert spread_of(values + more).minus(spread_of(values)).counts == spread_of(more).counts
    assert spread_of(values).plus(spread_of(more)).counts == spread_of(values + more).counts


def test_a_spread_that_began_anew_counts_from_its_beginning() -> None:
    assert spread_of([1.0]).minus(spread_of([2.0, 3.0])).count == 1


def test_of_nothing_nothing_is_known() -> None:
    spread = Spread(SIZE_BOUNDS)
    assert (spread.quantile(0.5), spread.mean, spread.count) == (None, None, 0)
    spread.note(20_000)
    assert (spread.quantile(0.5), spread.mean) == (10_000, 20_000)
