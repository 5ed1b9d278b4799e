"""How far back to look for late commits at a time: everything while that is quick, else the newest and one older stretch in turn. Pure."""

from __future__ import annotations

QUICK_S, SLOW_S = 0.01, 0.05
"""A sweep that took longer than SLOW_S makes the next ones narrower, one that took less than QUICK_S wider."""
WIDTH_MIN, WIDTH_MAX = 10_000, 1 << 62


class Sweep:
    """Chooses windows of numbers, above the first and up to the second, below bounds that claims have reached.

    As long as a transaction stays open, dead entries of any number stand below the bounds, and a look over all of them would take
    seconds and then fail. Late commits are young as a rule: the newest window is in every sweep. The older one moves down from
    sweep to sweep and begins anew at the top, so that none is missed for good.
    """

    def __init__(self) -> None:
        self._width = WIDTH_MAX
        self._older = 0

    @property
    def whole(self) -> bool:
        """True when the last windows reached down to the first number."""
        return self._older == 0

    def windows(self, newest: int) -> list[tuple[int, int]]:
        """Return what to look through, given the highest bound there is."""
        if newest <= self._width:
            self._older = 0
            return [(0, newest)] if newest else []
        young = newest - self._width
        high = self._older if 0 < self._older < young else young
        self._older = max(0, high - self._width)
        return [(young, newest), (self._older, high)]

    def note(self, taken_s: float, newest: int) -> None:
        """Take in how long a sweep took."""
        if taken_s > SLOW_S:
            self._width = max(WIDTH_MIN, min(self._width, newest) // 2)
        elif taken_s < QUICK_S:
            self._width = min(WIDTH_MAX, self._width * 2)
