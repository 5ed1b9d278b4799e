"""How numbers are spread: counted in buckets with fixed upper bounds, for what is noted once a claim or a commit. Pure data."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

TIME_BOUNDS_S = tuple(float(f"{digits}e{power}") for power in range(-4, 2) for digits in (1, 1.5, 2, 3, 5, 7))
"""From a tenth of a millisecond to 70 s, six a decade."""
SIZE_BOUNDS = (*(float(digit * 10**power) for power in range(4) for digit in (1, 2, 5)), 10_000.0)
"""Of batches of jobs."""
JOB_BOUNDS_S = tuple(2**power / 1e6 for power in (9, 11, *range(13, 20), 21, 23, 25, 28, 31))
"""Of jobs: powers of two in microseconds, since that is how their times are counted (shm/tallies.py), from half a millisecond to 36
minutes. No more than that: each is two lines of every task in every lane."""


class Spread:
    """Counts by bucket, and the sum of all that was noted. One thread notes; others may read, and see one of the two a step ahead."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float], counts: Sequence[int] = (), total: float = 0.0) -> None:
        """counts: one for each bound, and one for what is above the last."""
        self.bounds = bounds
        self.counts = list(counts) or [0] * (len(bounds) + 1)
        assert len(self.counts) == len(bounds) + 1
        self.total = total

    def note(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """None if nothing was noted."""
        count = self.count
        return self.total / count if count else None

    def plus(self, other: Spread) -> Spread:
        """Return both together."""
        return Spread(self.bounds, [a + b for a, b in zip(self.counts, other.counts, strict=True)], self.total + other.total)

    def minus(self, earlier: Spread) -> Spread:
        """Return what was noted since an earlier reading of the same; what has begun anew since then counts from its beginning."""
        counts = [now - before for now, before in zip(self.counts, earlier.counts, strict=True)]
        if min(counts) < 0:
            return Spread(self.bounds, self.counts, self.total)
        return Spread(self.bounds, counts, max(0.0, self.total - earlier.total))

    def quantile(self, share: float) -> float | None:
        """Return the value below which that share lies, 0 to 1, as far as buckets tell; None if nothing was noted.

        Between the bounds of a bucket values are taken to be spread evenly; above the last bound all that is known is that bound.
        """
        count_all = self.count
        if not count_all:
            return None
        rank = share * count_all
        below = 0
        for index, count in enumerate(self.counts):
            if count and below + count >= rank and index < len(self.bounds):
                low = self.bounds[index - 1] if index else 0.0
                return low + (self.bounds[index] - low) * (rank - below) / count
            below += count
        return self.bounds[-1]

    def cumulative(self, bounds: Sequence[float]) -> list[int]:
        """Return how many were at most each of these bounds, which are some of ours, in order; and last, how many there are."""
        sums = list(accumulate(self.counts))
        return [sums[bisect_left(self.bounds, bound)] for bound in bounds] + sums[-1:]
