"""Tables whose columns go one by one, the least needed first, where there is no room for all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from farm.screen.glyphs import Glyphs
from farm.screen.styles import Row, Span
from farm.screen.text import cells, fit

WIDE = 150
"""From this width on there are two cells between columns, else one."""
ROWS_KEPT, CELLS_KEPT = 256, 4096
T = TypeVar("T")
Cell = Span | list[Span]
"""A text that is fitted into its column, or spans that are exactly as wide as it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Column(Generic[T]):
    """One column. `cell` makes what stands in it of an item, the column's width, and the signs; or of what `of` says of the item."""

    name: str
    width: int
    """The least, in cells."""
    cell: Callable[[Any, int, Glyphs], Cell]
    keep: int
    """The lower, the sooner it goes."""
    most: int = 0
    """Up to which width it grows where there is room; 0: not at all."""
    grow: int = 1
    """How many cells it gets of what is left when others get one."""
    right: bool = False
    of: Callable[[T], Hashable] | None = None
    """What of an item is shown: cells of which that is the same are kept. For lists whose rows change all the time, a little each."""


@lru_cache(maxsize=256)
def chosen(columns: tuple[Column[T], ...], width: int) -> tuple[tuple[Column[T], int], ...]:
    """Return the columns that fit into a width, and how wide each is; one always stays, cut if need be."""
    gap = gap_at(width)
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + gap for column in kept) - gap > width:
        kept.remove(min(kept, key=lambda column: column.keep))
    widths = [column.width for column in kept]
    if len(kept) == 1:
        widths[0] = min(widths[0], width)
    room = width - sum(widths) - gap * (len(kept) - 1)
    growing = [index for index, column in enumerate(kept) if column.most > widths[index]]
    while room > 0 and growing:
        for index in growing:
            more = min(kept[index].grow, kept[index].most - widths[index], room)
            widths[index] += more
            room -= more
        growing = [index for index in growing if kept[index].most > widths[index]]
    return tuple(zip(kept, widths, strict=True))


def gap_at(width: int) -> int:
    """Return how many cells stand between two columns."""
    return 2 if width >= WIDE else 1


@lru_cache(maxsize=256)
def head_row(columns: tuple[Column[T], ...], width: int, glyphs: Glyphs) -> Row:
    """Return the names of the columns, as wide as their rows."""
    gap = " " * gap_at(width)
    names = [fit(column.name, size, glyphs.ellipsis, right=column.right) for column, size in chosen(columns, width)]
    return ((fit(gap.join(names), width, glyphs.ellipsis), "dim"),)


@lru_cache(maxsize=ROWS_KEPT)
def item_row(columns: tuple[Column[T], ...], width: int, glyphs: Glyphs, item: T) -> Row:
    """Return the row of an item, exactly as wide as asked for. Most items look as they did in the last frame: so rows are kept."""
    between = gap_at(width)
    gap = " " * between
    spans: list[Span] = []
    taken = -between
    for column, size in chosen(columns, width):
        if column.of is None:
            spans += _cell(column, item, size, gap, glyphs)
        else:
            spans += _kept_cell(column, column.of(item), size, gap, glyphs)
        taken += size + between
    # The last gap stands in what is left; where nothing is, it has to go.
    text, style = spans.pop()
    spans.append((text[: len(text) - between] + " " * (width - taken), style))
    return tuple(spans)


def _cell(column: Column[Any], shown: Any, size: int, gap: str, glyphs: Glyphs) -> Sequence[Span]:
    """Return what stands in a column, and the gap behind it."""
    cell = column.cell(shown, size, glyphs)
    if isinstance(cell, tuple):
        return ((fit(cell[0], size, glyphs.ellipsis, right=column.right) + gap, cell[1]),)
    return (*cell, (gap, ""))


_kept_cell = lru_cache(maxsize=CELLS_KEPT)(_cell)


def filled(spans: Sequence[Span], width: int, glyphs: Glyphs) -> Row:
    """Return spans as a row of exactly that width: cut at its end, or filled with spaces."""
    row: list[Span] = []
    left = width
    for text, style in spans:
        size = cells(text)
        if size > left:
            row.append((fit(text, left, glyphs.ellipsis), style))
            return tuple(row)
        row.append((text, style))
        left -= size
    if left:
        row.append((" " * left, ""))
    return tuple(row)


def fields(candidates: Sequence[tuple[int, Sequence[Span]]], width: int, glyphs: Glyphs) -> Row:
    """Return groups of spans side by side with dividers, those with the lowest number left out where there is no room for all."""
    kept = list(candidates)
    sizes = {id(one): sum(cells(text) for text, _ in one[1]) + 3 for one in kept}
    while len(kept) > 1 and sum(sizes[id(one)] for one in kept) - 2 > width:
        kept.remove(min(kept, key=lambda one: one[0]))
    spans: list[Span] = [(" ", "")]
    for index, (_, group) in enumerate(kept):
        if index:
            spans.append((f" {glyphs.divider} ", "dim"))
        spans.extend(group)
    return filled(spans, width, glyphs)
