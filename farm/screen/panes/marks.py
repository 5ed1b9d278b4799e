"""Cells that several lists share: marks before names, bars, numbers that turn yellow or red. Pure."""

from __future__ import annotations

from farm.screen.amounts import NONE, share_text, time_text
from farm.screen.columns import Cell
from farm.screen.glyphs import Glyphs
from farm.screen.styles import Span
from farm.screen.text import clean, fit

FAILURES_MANY = 0.05
MEMORY_MUCH, MEMORY_HIGH = 0.75, 0.9
RING_HIGH = 0.8


def marked(mark: Span, name: str, size: int, glyphs: Glyphs, style: str = "bold") -> Cell:
    """Return a sign and a name behind it."""
    return [mark, (" ", ""), (fit(clean(name, ascii_only=glyphs.ascii_only), size - 2, glyphs.ellipsis), style)]


def foreign(text: str, glyphs: Glyphs, style: str = "") -> Span:
    """Return a text that may hold anything."""
    return (clean(text, ascii_only=glyphs.ascii_only), style)


def bar(share: float, size: int, glyphs: Glyphs, style: str) -> Cell:
    """Return a bar, the empty part of it dim."""
    full, rest = glyphs.bar(share, size)
    return [(full, style), (rest, "dim")]


def time_cell(seconds: float | None, style: str = "") -> Span:
    return (time_text(seconds), "dim" if seconds is None else style)


def failure_cell(share: float | None, glyphs: Glyphs) -> Span:
    """Return a share of failures: with a sign where it is large."""
    if not share:
        return (share_text(share), "dim")
    return (share_text(share), "warning") if share < FAILURES_MANY else (f"{glyphs.warning}{share_text(share)}", "bad")


def count_cell(text: str, count: int | None) -> Span:
    """Return a number that is dim while it is none."""
    return (text, "" if count else "dim")


def none_cell() -> Span:
    return (NONE, "dim")


def memory_style(share: float) -> str:
    """Return the style of a memory bar."""
    return "bad" if share >= MEMORY_HIGH else "warning" if share >= MEMORY_MUCH else "good"
