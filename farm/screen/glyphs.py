"""The signs of the screen, in Unicode and in ASCII: marks, bars, sparklines. Each takes one cell. No I/O.

A colour never says anything that a sign does not say as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Glyphs:
    """A set of signs. Each is another one: what was drawn with one is kept."""

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

    def spark(self, values: Sequence[float], most: int, width: int) -> str:
        """Return a curve of width cells whose highest is the largest value. most: how many values there can be, the newest last.

        Each cell stands for as many values as the others, so a curve may be shorter than its width; fewer values stand at its end.
        """
        if width <= 0:
            return ""
        size = -(-most // width)
        means = _means(values[-most:], size)
        highest, top = max(means, default=0.0), len(self.levels) - 1
        curve = [self.levels[max(1, min(round(mean / highest * top), top))] if mean > 0 else self.levels[0] for mean in means]
        return "".join(curve).rjust(most // size).ljust(width)[:width]


def _means(values: Sequence[float], size: int) -> list[float]:
    """Return the means of groups of so many; the oldest that do not fill a group are left out."""
    if size == 1:
        return list(values)
    return [sum(values[at : at + size]) / size for at in range(len(values) % size, len(values), size)]


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
