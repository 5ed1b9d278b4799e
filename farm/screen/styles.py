"""The few styles of the screen by name, and rows of styled text: as what a terminal reads, as plain text, and as rich draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.style import Style

if TYPE_CHECKING:
    from rich.color import ColorSystem
    from rich.segment import Segment

Span = tuple[str, str]
"""A text and the name of its style."""
Row = tuple[Span, ...]
"""One row of a screen, exactly as wide as it."""

STYLES = {
    "": "",
    "dim": "dim",
    "bold": "bold",
    "name": "bold cyan",
    "title": "bold",
    "focused": "bold cyan",
    "selected": "reverse",
    "good": "green",
    "busy": "cyan",
    "warning": "yellow",
    "bad": "red",
    "alarm": "bold red",
    "notice": "bold yellow",
    "key": "bold",
    "question": "bold reverse",
}
"""Only the sixteen colours that every terminal has its own idea of: so they suit a dark and a light one."""


class Palette:
    """What turns a style on, for one terminal. color_system: None for one that has no colours, or is to show none."""

    def __init__(self, color_system: ColorSystem | None) -> None:
        self._on: dict[str, str] = {}
        for name, definition in STYLES.items():
            style = Style.parse(definition)
            shown = style.render("x", color_system=color_system) if color_system is not None else _monochrome(style)
            self._on[name] = shown.partition("x")[0]

    def encode(self, row: Row) -> str:
        """Return a row as a terminal reads it; it begins and ends in the terminal's usual style."""
        on = self._on
        return "".join([f"{start}{text}\x1b[0m" if (start := on[style]) else text for text, style in row])


class Encoder:
    """Encodes frames that follow each other: rows that are as they were are not encoded again."""

    def __init__(self, palette: Palette) -> None:
        self._palette = palette
        self._rows: Sequence[Row] = ()
        self._encoded: list[str] = []

    def encode(self, rows: Sequence[Row]) -> list[str]:
        """Return the rows of a frame as a terminal reads them."""
        encode = self._palette.encode
        if len(rows) != len(self._rows):
            self._rows, self._encoded = rows, [encode(row) for row in rows]
        else:
            known = zip(rows, self._rows, self._encoded, strict=True)
            self._rows, self._encoded = rows, [text if row == before else encode(row) for row, before, text in known]
        return self._encoded


def plain(row: Iterable[Span]) -> str:
    """Return the text of a row."""
    return "".join([text for text, _ in row])


def segments(rows: Iterable[Row]) -> Iterable[Segment]:
    """Return rows as rich draws them, a line each."""
    from rich.segment import Segment

    for row in rows:
        for text, style in row:
            yield Segment(text, Style.parse(STYLES[style]))
        yield Segment.line()


def _monochrome(style: Style) -> str:
    from rich.color import ColorSystem

    return style.without_color.render("x", color_system=ColorSystem.STANDARD)
