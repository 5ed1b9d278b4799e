"""The screen on a real terminal: keys, sizes, somebody who leaves and comes back, and every way to an end."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.screen.tmux import PLAYED, Terminal

TOP = "exit code"


@contextmanager
def _terminal(width: int = 120, height: int = 40, command: str | None = None) -> Iterator[Terminal]:
    terminal = Terminal(width, height, command)
    try:
        yield terminal
    finally:
        terminal.close()


@contextmanager
def _playing(options: str = "", width: int = 120, height: int = 40) -> Iterator[Terminal]:
    """A shell in which the screen runs; when it has ended, its exit code is seen."""
    with _terminal(width, height) as terminal:
        terminal.type(f"stty -g >$HOME/before; {PLAYED} {options}; echo {TOP} $?; stty -g | diff - $HOME/before && echo as before")
        terminal.wait_for("─ Hosts")
        yield terminal


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HOME", str(tmp_path))


def _left(terminal: Terminal, code: int) -> list[str]:
    """Wait until the screen was left and look that the terminal is as it was."""
    rows = terminal.wait(lambda rows: "as before" in rows)
    assert any(row.startswith(f"{TOP} {code}") for row in rows), rows
    assert terminal.ask("#{alternate_on} #{cursor_flag} #{wrap_flag}") == "0 1 1"
    return rows


def test_somebody_steers_the_farm_and_leaves() -> None:
    with _playing() as terminal:
        assert terminal.ask("#{alternate_on} #{cursor_flag}") == "1 0"
        terminal.keys("Down")
        terminal.wait_for("▶▲ emails")
        terminal.keys("p")
        terminal.wait_for("pause lane emails?")
        terminal.keys("y")
        terminal.wait_for("paused: lane emails")
        terminal.wait_for("▶‖ emails")
        terminal.keys("Tab", "Tab", "Enter")
        terminal.wait_for("─ Logs ─ 60 lines")
        terminal.keys("r", "y")
        terminal.wait_for("▲ job 4700321 has not failed")
        terminal.keys("Escape")
        terminal.wait_for("─ Hosts")
        terminal.keys("/", "m", "a", "i", "l", "Enter")
        terminal.wait_for("Lanes ─ 1 of 4 ─ /mail")
        terminal.keys("?")
        terminal.wait_for("─ Keys")
        terminal.keys("q")
        rows = _left(terminal, 0)
        assert any(row == "asked: pause emails; job 4700321; retry 4700321; job 4700321; close" for row in rows), rows


def test_a_slow_database_never_holds_the_keys_up() -> None:
    with _playing("--slow 60") as terminal:
        terminal.keys("d", "y")
        # That takes a minute; meanwhile:
        terminal.keys("Tab")
        terminal.wait_for("▶● w0")
        terminal.wait_for("▲ nothing new for")
        terminal.keys("q")
        _left(terminal, 0)


def test_it_follows_the_size_of_its_window() -> None:
    with _playing() as terminal:
        terminal.wait_for("STOLEN")
        terminal.resize(80, 24)
        rows = terminal.wait(lambda rows: len(rows) == 24 and "quit" in rows[-1] and not any("STOLEN" in row for row in rows))
        assert sum("─ Lanes" in row for row in rows) == 1
        terminal.resize(30, 6)
        terminal.wait_for("30 x 6 is too small")
        terminal.resize(200, 60)
        rows = terminal.wait(lambda rows: any("WAIT P50" in row for row in rows) and "quit" in rows[-1])
        assert sum("─ Lanes" in row for row in rows) == 1
        terminal.keys("q")
        _left(terminal, 0)


def test_somebody_detaches_and_comes_back() -> None:
    with _playing() as inner, _terminal(command=inner.attach) as outer:
        outer.wait_for("─ Lanes")
        inner.detach()
        inner.keys("Tab")
        inner.wait_for("▶● w0")
        with _terminal(command=inner.attach) as again:
            again.wait_for("▶● w0")
            again.keys("q")
            inner.wait(lambda rows: "as before" in rows)


def test_suspended_it_gives_the_terminal_back_and_takes_it_again() -> None:
    with _playing() as terminal:
        terminal.keys("Tab")
        terminal.wait_for("▶● w0")
        terminal.keys("C-z")
        terminal.wait_for("Stopped")
        assert terminal.ask("#{alternate_on} #{cursor_flag} #{wrap_flag}") == "0 1 1"
        terminal.type("echo $((40 + 2))")
        terminal.wait(lambda rows: "42" in rows)
        terminal.type("fg")
        terminal.wait_for("▶● w0")
        assert terminal.ask("#{alternate_on} #{cursor_flag}") == "1 0"
        terminal.keys("q")
        terminal.wait_for("asked: close")
        assert terminal.ask("#{alternate_on} #{cursor_flag} #{wrap_flag}") == "0 1 1"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)])
def test_a_signal_ends_it_in_order(number: signal.Signals, code: int) -> None:
    with _playing() as terminal:
        os.kill(_pid(terminal), number)
        _left(terminal, code)


def test_a_mistake_in_the_program_leaves_the_terminal_as_it_was() -> None:
    with _playing("--looks 4") as terminal:
        rows = _left(terminal, 1)
        assert any("RuntimeError: a mistake in the source" in row for row in rows)


def test_it_ends_with_its_terminal() -> None:
    with _playing() as terminal:
        gone = os.pidfd_open(_pid(terminal))
    try:
        assert select.select([gone], [], [], 15.0)[0], "it outlives its terminal"
    finally:
        os.close(gone)


def test_ascii_only_where_it_is_asked_for() -> None:
    with _terminal(80, 24) as terminal:
        terminal.type(f"{PLAYED} --ascii")
        rows = terminal.wait_for("- Failures")
        assert all(row.isascii() for row in rows)
        terminal.keys("q")


def _pid(terminal: Terminal) -> int:
    """Return the process of the screen: the child of the window's shell."""
    shell = int(terminal.ask("#{pane_pid}"))
    return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
