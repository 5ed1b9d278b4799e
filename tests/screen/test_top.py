"""`farm top` beside a terminal, and the terminal that is slow: what cannot be tried in a window."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farm.cli.main import main
from farm.errors import FarmError
from farm.screen import abilities
from farm.screen.glyphs import ASCII, UNICODE
from farm.screen.looker import Looker, News
from farm.screen.model import Snapshot
from farm.screen.state import Action, Do
from farm.screen.terminal import BEGIN, LEAVE
from tests.screen.lively import LivelySource

ROOT = Path(__file__).parents[2]
WAIT_S_MAX = 15.0


@contextmanager
def _played(*options: str, **environment: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The screen on a pseudo terminal; gives that and the process."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "tests.screen.played", *options]
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environ, start_new_session=True, cwd=ROOT)
    os.close(inner)
    try:
        yield terminal, process
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def _read_until(terminal: int, text: bytes) -> bytes:
    """Read until something was written, and return all of it."""
    read, until = b"", time.monotonic() + WAIT_S_MAX
    while text not in read:
        assert select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0], read[-200:]
        read += os.read(terminal, 65536)
    return read


def test_a_terminal_that_takes_nothing_holds_nothing_up() -> None:
    """Nobody reads: the screen goes on with whole frames as soon as somebody does, and leaves though nobody does."""
    with _played() as (terminal, process):
        _read_until(terminal, b"prod-c")
        # What it writes meanwhile fills the terminal's buffer: it must not wait for that, and hears a signal.
        time.sleep(2.0)
        os.write(terminal, b"\t")
        late = _read_until(terminal, BEGIN.encode()) + _read_until(terminal, b"w0")
        assert late.count(BEGIN.encode()) < 4, "frames were kept for it"
        time.sleep(2.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S_MAX) == 128 + signal.SIGTERM


def test_no_color_is_honoured_and_attributes_stay() -> None:
    with _played(NO_COLOR="1") as (terminal, _process):
        written = _read_until(terminal, b"prod-c")
        os.write(terminal, b"q")
        assert not any(f"\x1b[{number}m".encode() in written or f";{number}m".encode() in written for number in range(30, 48))
        assert b"\x1b[1m" in written
        _read_until(terminal, LEAVE.encode())


@pytest.mark.parametrize(("codeset", "glyphs"), [("UTF-8", UNICODE), ("ANSI_X3.4-1968", ASCII), ("ISO-8859-1", ASCII), ("nonsense", ASCII)])
def test_signs_follow_the_locale(codeset, glyphs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("locale.nl_langinfo", lambda _item: codeset)
    assert abilities.glyphs_for(ascii_only=False) is glyphs
    assert abilities.glyphs_for(ascii_only=True) is ASCII


def test_beside_a_terminal_it_prints_one_picture_as_text(capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    source = LivelySource()
    monkeypatch.setattr("farm.cli.topsource.open_source", lambda **_options: source)
    assert main(["top"]) == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.splitlines()[0].startswith(" farm  default on prod-a")
    assert all(f" w{number} " in printed for number in range(10))
    assert source.asked == ["close"]


WRONG = {
    "--interval 100ms": "from 250ms to 1h",
    "--instance a --all": "expected either --instance",
    "--instance no": "no",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_one_line(line, capsys, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("FARM_HOME", str(tmp_path))
    try:
        code: object = main(["top", *line.split()])
    except SystemExit as left:
        code = left.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert WRONG[line] in printed.err
    assert printed.err.count("\n") == 1


def test_a_look_that_fails_is_told_and_the_next_one_may_do() -> None:
    class Failing(LivelySource):
        def look(self, seen: Collection[str] | None = None) -> Snapshot:
            if self.asked == []:
                self.asked.append("failed")
                raise FarmError("the farm has gone")
            return super().look(seen)

    source = Failing()
    looker = Looker(source, 0.01)
    looker.start()
    first, second = looker.news.get(timeout=WAIT_S_MAX), looker.news.get(timeout=WAIT_S_MAX)
    assert first.said is not None
    assert (first.said.text, first.said.bad) == ("the farm has gone", True)
    assert second.snapshot is not None
    assert looker.close()
    assert source.asked == ["failed", "close"]


def test_a_frozen_picture_costs_no_looks_and_actions_go_on() -> None:
    looker = Looker(LivelySource(), 0.01)
    looker.freeze(True)
    looker.start()
    looker.ask(Action(Do.PAUSE, lane="fast"))
    news: News = looker.news.get(timeout=WAIT_S_MAX)
    assert news.said is not None
    assert news.said.text == "paused: lane fast"
    assert looker.news.empty()
    looker.freeze(False)
    assert looker.news.get(timeout=WAIT_S_MAX).snapshot is not None
    assert looker.close()
