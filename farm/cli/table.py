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
    """Rows under named columns. Cells are made printable here; `right` names the columns of numbers, `wide` those that may be cut, `spare`
    those that may be left out, the first first.

    On a terminal the wide columns are cut to its width, and the spare ones go where that is not enough. All others are whole even then, in
    lines that are too long for it: half a number is none. A pipe gets every cell.
    """

    def __init__(
        self, *columns: str, right: Sequence[str] = (), wide: Sequence[str] = (), spare: Sequence[str] = (), title: str | None = None
    ) -> None:
        self._columns = columns
        self._right = frozenset(right)
        self._wide = frozenset(wide)
        self._spare = spare
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
        widths = self._widths(console.width)
        # What is wider is broken by the terminal, where rich would cut every column.
        console.width = max(console.width, _total(widths))
        for index in widths:
            name = self._columns[index]
            table.add_column(name, justify="right" if name in self._right else "left", no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            # Text, not str: a str would be read for [markup].
            table.add_row(*(Text(shortened(row[index], width), style=STYLES.get(row[index], "")) for index, width in widths.items()))
        if self._title:
            console.print(Text(self._title, style="bold"))
        console.print(table)

    def _widths(self, total: int) -> dict[int, int]:
        """Return the width of each column that is shown, by its index: see Table for how they come to fit into `total`."""
        rows = [self._columns, *self._rows]
        widths = {index: max(len(row[index]) for row in rows) for index in range(len(self._columns))}
        least = {index: min(width, CELL_WIDTH_MIN) if self._columns[index] in self._wide else width for index, width in widths.items()}
        for name in self._spare:
            if _total(least) > total:
                index = self._columns.index(name)
                del widths[index], least[index]
        while _total(widths) > total:
            widest = max(widths, key=lambda index: widths[index] - least[index])
            if widths[widest] == least[widest]:
                break
            widths[widest] -= 1
        return widths


def _total(widths: dict[int, int]) -> int:
    """Return the width of a table with columns of these widths."""
    return sum(widths.values()) + RICH_GAP * len(widths)
