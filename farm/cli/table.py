"""Tables: with lines and colours on a terminal, aligned text anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from farm.cli.plain import one_line, shortened

GAP = "  "
RICH_GAP = 2
CELL_WIDTH_MIN = 8

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "claimed": "cyan",
    "retrying": "yellow",
    "live": "green",
    "retired": "dim",
}
"""Colours of the words that mean a state."""


class Table:
    """Rows under named columns. Cells are made printable here; `right` names the columns of numbers, `wide` those that may be cut.

    A terminal cuts the wide columns to its width; a pipe gets every cell whole.
    """

    def __init__(self, *columns: str, right: Sequence[str] = (), wide: Sequence[str] = (), title: str | None = None) -> None:
        self._columns = columns
        self._right = frozenset(right)
        self._wide = frozenset(wide)
        self._title = title
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: object) -> None:
        """Add a row; None is shown as an empty cell."""
        assert len(cells) == len(self._columns), f"{len(cells)} cells for {len(self._columns)} columns"
        self._rows.append(tuple("" if cell is None else one_line(cell) for cell in cells))

    def show(self, file: TextIO | None = None) -> None:
        """Print the table."""
        out = sys.stdout if file is None else file
        if out.isatty():
            self._show_rich(out)
        else:
            out.write(self.text())

    def text(self) -> str:
        """Return the table as aligned text."""
        rows = [tuple(name.upper() for name in self._columns), *self._rows]
        widths = [max(len(row[index]) for row in rows) for index in range(len(self._columns))]
        lines = [f"{self._title}:"] if self._title else []
        for row in rows:
            cells = (
                cell.rjust(width) if name in self._right else cell.ljust(width)
                for name, cell, width in zip(self._columns, row, widths, strict=True)
            )
            lines.append(GAP.join(cells).rstrip())
        return "\n".join(lines) + "\n"

    def _show_rich(self, out: TextIO) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        console = Console(file=out, highlight=False)
        table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in self._columns:
            table.add_column(name, justify="right" if name in self._right else "left", no_wrap=True, overflow="ellipsis")
        widths = self._widths(console.width)
        for row in self._rows:
            # Text, not str: a str would be read for [markup].
            table.add_row(*(Text(shortened(cell, width), style=STYLES.get(cell, "")) for cell, width in zip(row, widths, strict=True)))
        if self._title:
            console.print(Text(self._title, style="bold"))
        console.print(table)

    def _widths(self, total: int) -> list[int]:
        """Return the width of each column, the wide ones narrowed from the widest down until all fit into `total`."""
        rows = [self._columns, *self._rows]
        widths = [max(len(row[index]) for row in rows) for index in range(len(self._columns))]
        narrowable = [index for index, name in enumerate(self._columns) if name in self._wide]
        while narrowable and sum(widths) + RICH_GAP * len(widths) > total:
            widest = max(narrowable, key=lambda index: widths[index])
            if widths[widest] <= CELL_WIDTH_MIN:
                break
            widths[widest] -= 1
        return widths
