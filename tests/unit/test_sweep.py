"""Where late commits are looked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.supervisor.claims.sweep import SLOW_S, WIDTH_MIN, Sweep


def test_all_is_looked_through_while_that_is_quick() -> None:
    sweep = Sweep()
    assert sweep.windows(0, settled=True) == []
    assert sweep.windows(10**9, settled=False) == [(0, 10**9)]
    assert not sweep.certain
    assert sweep.windows(10**9, settled=True) == [(0, 10**9)]
    assert sweep.certain


@given(st.integers(1, 10**7), st.lists(st.booleans(), max_size=8))
def test_slow_sweeps_miss_nothing_in_the_end(newest: int, failures: list[bool]) -> None:
    """The newest window is in every sweep, and a pass covers everything down to the first number without a gap."""
    sweep = Sweep()
    for failed in failures:
        sweep.note(2 * SLOW_S, newest, failed=failed)
    seen: list[tuple[int, int]] = []
    for _ in range(-(-newest // WIDTH_MIN) + 1):
        windows = sweep.windows(newest, settled=True)
        assert windows[-1][1] == newest
        assert windows == sorted(windows)
        seen += windows
        if sweep.certain:
            break
    assert sweep.certain
    reached = 0
    for low, high in sorted(seen):
        assert low <= reached
        reached = max(reached, high)
    assert reached == newest


def test_a_pass_that_began_unsettled_is_not_certain() -> None:
    sweep = Sweep()
    sweep.note(1.0, 8 * WIDTH_MIN, failed=True)
    certain = []
    for number in range(14):
        sweep.windows(8 * WIDTH_MIN, settled=number > 2)
        certain.append(sweep.certain)
    assert certain == [False] * 13 + [True]


def test_it_becomes_wide_again() -> None:
    sweep = Sweep()
    sweep.note(1.0, 10**6)
    assert len(sweep.windows(10**6, settled=True)) == 2
    sweep.note(0.0, 10**6)
    assert len(sweep.windows(10**6, settled=True)) == 1
