"""The signs of the screen, in Unicode and in ASCII: marks, bars, sparklines. Each takes one cell. No I/O.

A colour never says anything that a sign does not say as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """A set of signs."""

    ascii_only: bool
    """Whether text from jobs is to be ASCII as well."""
    rule: str
    divider: str
    ellipsis: str
    selected: str
    blocks: str
    """From an empty cell to a full one: how the end of a bar is drawn."""
    rest: str
    """A cell of a bar that is empty."""
    levels: str
    """From nothing to the most: a cell of a sparkline. The first stands for nothing at all, and only for that."""
    good: str
    idle: str
    coming: str
    going: str
    held: str
    warning: str
    dead: str
    more_above: str
    more_below: str
    up_down: str

    def bar(self, share: float, width: int) -> tuple[str, str]:
        """Return the full and the empty part of a bar, width cells together. share: 0 to 1, anything beyond is cut off."""
        steps = len(self.blocks) - 1
        filled = round(min(max(share, 0.0), 1.0) * width * steps)
        if share > 0 and not filled:
            filled = 1
        whole, part = divmod(filled, steps)
        full = self.blocks[-1] * whole + (self.blocks[part] if part else "")
        return full, self.rest * (width - len(full))

    def spark(self, values: Sequence[float], width: int) -> str:
        """Return a curve of width cells whose highest is the largest value, from the oldest to the newest."""
        if not values or width <= 0:
            return " " * max(width, 0)
        means = _means(values, width)
        most = max(means)
        if most <= 0:
            return (self.levels[0] * len(means)).ljust(width)
        top = len(self.levels) - 1
        curve = [self.levels[max(1, min(round(mean / most * top), top))] if mean > 0 else self.levels[0] for mean in means]
        return "".join(curve).ljust(width)


def _means(values: Sequence[float], width: int) -> list[float]:
    """Return the values in at most width groups of equal size; the oldest that do not fill a group are left out."""
    size = -(-len(values) // width)
    count = len(values) // size
    first = len(values) - count * size
    if size == 1:
        return list(values[first:])
    return [sum(values[at : at + size]) / size for at in range(first, len(values), size)]


UNICODE = Glyphs(
    ascii_only=False,
    rule="─",
    divider="│",
    ellipsis="…",
    selected="▶",
    blocks=" ▏▎▍▌▋▊▉█",
    rest="·",
    levels="▁▂▃▄▅▆▇█",
    good="●",
    idle="○",
    coming="◌",
    going="◐",
    held="‖",
    warning="▲",
    dead="✗",
    more_above="↑",
    more_below="↓",
    up_down="↑↓",
)
ASCII = Glyphs(
    ascii_only=True,
    rule="-",
    divider="|",
    ellipsis="~",
    selected=">",
    blocks=" #",
    rest=".",
    levels="_.-:=+*#",
    good="*",
    idle="o",
    coming="+",
    going="~",
    held="=",
    warning="!",
    dead="x",
    more_above="^",
    more_below="v",
    up_down="j/k",
)
