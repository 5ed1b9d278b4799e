"""What is made of the sleeps of a run."""

from __future__ import annotations

import pytest

from bench.sleeps import Sleep, steady_part


def test_slots_that_are_always_asleep() -> None:
    """Two slots, one sleep after the other without a gap: all of their time, though the sleeps are cut off at both ends."""
    sleeps = [Sleep(at, at + 1.0, 1.0) for second in range(10) for at in (float(second), second + 0.5)]
    steady = steady_part(sleeps, 3, 2)
    assert (steady.rate, steady.share, steady.late_s) == pytest.approx((2.0, 1.0, 0.0))


def test_slots_that_wait() -> None:
    """A slot that sleeps half of its time, and oversleeps."""
    steady = steady_part([Sleep(2.0 * at, 2.0 * at + 1.5, 1.0) for at in range(10)], 2, 1)
    assert (steady.rate, steady.share, steady.late_s) == pytest.approx((0.5, 0.5, 0.5))
