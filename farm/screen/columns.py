"""Tables whose columns go one by one, the least needed first, where there is no room for all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from farm.screen.glyphs import Glyphs
from farm.screen.styles import Row, Span
from farm.screen.text import cells, fit

WIDE = 150
"""From this width on there are two cells between columns, else one."""
T = TypeVar("T")
Cell = Span | list[Span]
"""A text that is fitted into its column, or spans that are exactly as wide as it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Column(Generic[T]):
    """One column. `cell` makes what stands in it of an item, the column's width, and the signs."""

    name: str
    width: int
    """The least, in cells."""
    cell: Callable[[T, int, Glyphs], Cell]
    keep: int
    """The lower, the sooner it goes."""
    most: int = 0
    """Up to which width it grows where there is room; 0: not at all."""
    grow: int = 1
    """How many cells it gets of what is left when others get one."""
    right: bool = False


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


def head_row(columns: tuple[Column[T], ...], width: int, glyphs: Glyphs) -> Row:
    """Return the names of the columns, as wide as their rows."""
    gap = " " * gap_at(width)
    names = [fit(column.name, size, glyphs.ellipsis, right=column.right) for column, size in chosen(columns, width)]
    return ((fit(gap.join(names), width, glyphs.ellipsis), "dim"),)


def item_row(columns: tuple[Column[T], ...], width: int, glyphs: Glyphs, item: T) -> list[Span]:
    """Return the row of an item, exactly as wide as asked for."""
    gap = " " * gap_at(width)
    ellipsis = glyphs.ellipsis
    spans: list[Span] = []
    taken = -len(gap)
    for column, size in chosen(columns, width):
        cell = column.cell(item, size, glyphs)
        if isinstance(cell, tuple):
            spans.append((fit(cell[0], size, ellipsis, right=column.right) + gap, cell[1]))
        else:
            spans.extend(cell)
            spans.append((gap, ""))
        taken += size + len(gap)
    # The last gap stands in what is left; where nothing is, it has to go.
    text, style = spans.pop()
    spans.append((text[: len(text) - len(gap)] + " " * (width - taken), style))
    return spans


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
