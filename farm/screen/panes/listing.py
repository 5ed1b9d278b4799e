"""A list with a title: only the rows that are seen are made, around the chosen one. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

from farm.screen.columns import Column, filled, head_row, item_row
from farm.screen.glyphs import Glyphs
from farm.screen.lists import ORDERS, everything, listed, order_name, place
from farm.screen.model import Snapshot
from farm.screen.state import Cursor, Pane, View
from farm.screen.styles import Row, Span, plain
from farm.screen.text import cells, clean

T = TypeVar("T")
_SPACE: Span = (" ", "")
FRAME = 2
"""Rows of a list that are no items: its title and the names of its columns."""


@lru_cache(maxsize=64)
def title_row(name: str, notes: tuple[str, ...], right: str, width: int, glyphs: Glyphs, *, focused: bool = False) -> Row:
    """Return a line with a title in it, notes behind it, and a word at its right end."""
    spans: list[Span] = [(glyphs.rule + " ", "dim"), (name, "focused" if focused else "title")]
    for note in notes:
        spans.append((f" {glyphs.rule} ", "dim"))
        spans.append((note, ""))
    spans.append((" ", ""))
    end = f" {right} {glyphs.rule}" if right else ""
    room = width - sum(cells(text) for text, _ in spans) - cells(end)
    if room < 0:
        return filled(spans, width, glyphs)
    return (*spans, (glyphs.rule * room, "dim"), (end, "dim"))


def rows_needed(pane: Pane, snapshot: Snapshot, view: View) -> int:
    """Return how many rows a list would take to show everything; an empty one is its title alone."""
    if not everything(pane, snapshot):
        return 1
    return FRAME + max(len(listed(pane, snapshot, view)), 1)


def draw_list(
    pane: Pane,
    columns: tuple[Column[T], ...],
    snapshot: Snapshot,
    height: int,
    width: int,
    view: View,
    glyphs: Glyphs,
    *,
    focused: bool,
    empty: str = "none",
) -> list[Row]:
    """Return at most height rows: the title, the names of the columns, and the items around the chosen one."""
    name = pane.capitalize()
    total = len(everything(pane, snapshot))
    if total == 0:
        return [title_row(name, (empty,), "", width, glyphs, focused=focused)][:height]
    items = listed(pane, snapshot, view)
    at = place(items, view.cursors.get(pane, Cursor()))
    shown = max(height - FRAME, 0)
    first = max(0, min(at - shown // 2, len(items) - shown))
    notes = [f"{total:,}" if len(items) == total else f"{len(items):,} of {total:,}"]
    if view.orders.get(pane, 0) % len(ORDERS[pane]):
        notes.append(order_name(pane, view))
    if view.filter:
        notes.append("/" + clean(view.filter, ascii_only=glyphs.ascii_only))
    rows = [title_row(name, tuple(notes), _beyond(first, shown, len(items), glyphs), width, glyphs, focused=focused)]
    inner = width - 2
    rows.append((_SPACE, *head_row(columns, inner, glyphs), _SPACE))
    if not items:
        rows.append(filled([("  nothing matches the filter", "dim")], width, glyphs))
    for index in range(first, min(first + shown, len(items))):
        row = item_row(columns, inner, glyphs, items[index])
        if focused and index == at:
            rows.append(((glyphs.selected + plain(row) + " ", "selected"),))
        else:
            rows.append((_SPACE, *row, _SPACE))
    return rows[:height]


def _beyond(first: int, shown: int, count: int, glyphs: Glyphs) -> str:
    """Say which rows are seen where that is not all of them."""
    if count <= shown:
        return ""
    up = glyphs.more_above if first > 0 else " "
    down = glyphs.more_below if first + shown < count else " "
    return f"{first + 1:,}-{min(first + shown, count):,} {up}{down}"
