"""Tables are aligned text in a pipe, and fit the terminal on one."""

from __future__ import annotations

import io
import re

import pytest

from farm.cli.table import Table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def table() -> Table:
    table = Table("id", "state", "args", right=("id",), wide=("args",), title="jobs")
    table.add(7, "failed", "[red]" + "x" * 300)
    table.add(1234, "running", None)
    return table


def test_a_pipe_gets_every_cell_whole_and_aligned() -> None:
    out = io.StringIO()
    table().show(out)
    assert out.getvalue() == f"jobs:\n  ID  STATE    ARGS\n   7  failed   [red]{'x' * 300}\n1234  running\n"


def shown(table: Table, monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    """Return the lines of a table on a terminal that is so wide."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    table.show(out)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()


def test_what_may_not_be_cut_is_whole_on_a_terminal_that_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("id", "state", "task", "args", "outcome", right=("id",), wide=("task", "args", "outcome"), spare=("args",))
    table.add(1234567, "succeeded", "mail:send_many", "a" * 30, "o" * 30)
    assert shown(table, monkeypatch, 100)[-1].split() == ["1234567", "succeeded", "mail:send_many", "a" * 30, "o" * 30]
    assert "a" * 10 + "..." in shown(table, monkeypatch, 80)[-1]
    assert shown(table, monkeypatch, 40)[-1].split() == ["1234567", "succeeded", "mail:...", "ooooo..."]
    assert shown(table, monkeypatch, 20)[-1].split() == ["1234567", "succeeded", "mail:...", "ooooo..."]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_terminal_gets_lines_that_fit_and_markup_as_text(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = shown(table(), monkeypatch, width)
    assert max(map(len, lines)) <= width
    assert any("[red]x" in line and line.rstrip().endswith("...") for line in lines)
    assert any(line.strip().startswith("1234") for line in lines)
