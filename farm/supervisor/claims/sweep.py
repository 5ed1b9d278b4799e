"""How far back to look for late commits at a time: everything while that is quick, else the newest and one older stretch in turn. Pure."""

from __future__ import annotations

QUICK_S, SLOW_S = 0.01, 0.05
"""A sweep that took longer than SLOW_S makes the next ones narrower, one that took less than QUICK_S wider."""
NARROWER, MUCH_NARROWER = 2, 16
WIDTH_MIN, WIDTH_MAX = 10_000, 1 << 62


class Sweep:
    """Chooses windows of numbers, above the first and up to the second, below bounds that claims have reached.

    As long as a transaction stays open, dead entries of any number stand below the bounds, and a look over all of them would take
    seconds and then fail. Late commits are young as a rule: the newest window is in every sweep. The older one moves down from
    sweep to sweep and begins anew at the top: that is a pass, and pass follows pass, so that none is missed for good.
    """

    def __init__(self) -> None:
        self._width = WIDTH_MAX
        self._older = 0
        """Where the older window ends below; 0: the pass is at its end."""
        self._certain = False

    @property
    def certain(self) -> bool:
        """True when a pass has ended in whose whole course nothing more could become late: then nothing is left below the bounds."""
        return self._older == 0 and self._certain

    def windows(self, newest: int, *, settled: bool) -> list[tuple[int, int]]:
        """Return what to look through, from below, given the highest bound there is; settled: nothing more can become late."""
        if newest <= self._width:
            self._older, self._certain = 0, settled
            return [(0, newest)] if newest else []
        young = newest - self._width
        if 0 < self._older < young:
            high, self._certain = self._older, self._certain and settled
        else:
            high, self._certain = young, settled
        self._older = max(0, high - self._width)
        return [(self._older, high), (young, newest)]

    def note(self, taken_s: float, newest: int, *, failed: bool = False) -> None:
        """Take in how long a sweep took. One that failed may have taken too long for the database."""
        if failed or taken_s > SLOW_S:
            self._width = max(WIDTH_MIN, min(self._width, newest) // (MUCH_NARROWER if failed else NARROWER))
        elif taken_s < QUICK_S:
            self._width = min(WIDTH_MAX, self._width * 2)
