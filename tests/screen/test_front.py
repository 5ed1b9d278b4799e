"""`farm start` on a terminal: the screen is in front, and whatever becomes of it or of the terminal, the farm goes on."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from farm.control import connect
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm
from tests.screen.conftest import MakeFarm

ECHO, LFLAGS = termios.ECHO, 3
OTHER_SCREEN = "\x1b[?1049h"


class OnTerminal:
    """A farm on a terminal of its own, whose other end is read here."""

    def __init__(self, farm: RunningFarm, *arguments: str) -> None:
        self.farm = farm
        self.pid, self._master = pty.fork()
        if not self.pid:
            environ = {**os.environ, "FARM_HOME": str(farm.home), "TERM": "xterm-256color"}
            command = [sys.executable, "-m", "farm.cli.main", "start", str(farm.config), *arguments]
            os.execve(sys.executable, command, environ)
        self.said = ""
        self._open = True
        self._ended: int | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_said(self, pattern: str) -> None:
        wait_for(lambda: re.search(pattern, self.said), f"{pattern!r} on the terminal: {self.said[-2000:]!r}")

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown: a screen turns that off."""
        return bool(termios.tcgetattr(self._master)[LFLAGS] & ECHO)

    @property
    def screen(self) -> int:
        """The process that has the terminal."""
        return os.tcgetpgrp(self._master)

    def hang_up(self) -> None:
        self._open = False
        # A read that is under way would keep it open.
        self._reader.join()
        os.close(self._master)

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""

        def ended() -> bool:
            if self._ended is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._ended = os.waitstatus_to_exitcode(status) if pid else None
            return self._ended is not None

        wait_for(ended, f"its end; it said: {self.said[-2000:]!r}")
        assert self._ended is not None
        return self._ended

    def end(self) -> None:
        if self._ended is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._open:
            self.hang_up()

    def _read(self) -> None:
        with suppress(OSError):
            while self._open:
                if select.select([self._master], [], [], 0.05)[0]:
                    self.said += os.read(self._master, 1 << 16).decode("utf-8", "replace")


Start = Callable[..., OnTerminal]


@pytest.fixture
def start(make_farm: MakeFarm) -> Iterator[Start]:
    started: list[OnTerminal] = []

    def begin(*arguments: str) -> OnTerminal:
        started.append(OnTerminal(make_farm(name="front", subworkers=1), *arguments))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.end()


def test_the_screen_is_left_and_the_farm_goes_on_logging(start: Start) -> None:
    on = start()
    on.wait_said(re.escape(OTHER_SCREEN))
    wait_for(lambda: on.screen != on.pid and not on.echoes, "the screen in front")
    log_path = on.farm.home / "instances" / "front" / "farm.log"
    wait_for(lambda: " ready\n" in log_path.read_text(), "its log in a file")
    assert " ready\r\n" not in on.said, "the terminal is the screen's"
    with connect(on.farm.home) as farm:
        assert farm.ask("screen")["log_path"] == str(log_path)
    assert on.pid not in {os.getpgid(child.pid) for child in psutil.Process(on.pid).children(recursive=True)}, "keys are for it alone"
    on.type(b"q")
    on.wait_said(r"the screen was left, the farm goes on: .*farm\.log, too")
    wait_for(lambda: on.screen == on.pid and on.echoes, "its terminal back")
    on.type(b"\x03")
    assert on.wait() == 0
    on.wait_said("draining: running jobs may end within .*\r\n.*left: 0 outcomes committed")
    assert log_path.read_text().endswith(" left: 0 outcomes committed\n"), "the file has all of it"


def test_a_drain_from_elsewhere_ends_the_screen_and_says_where_the_log_is(start: Start) -> None:
    on = start("--tui")
    on.wait_said(re.escape(OTHER_SCREEN))
    wait_for(lambda: on.screen != on.pid and not on.echoes, "the screen in front")
    with connect(on.farm.home) as farm:
        farm.ask("drain")
    assert on.wait() == 0
    on.wait_said(r"what was logged behind the screen stands in .*farm\.log")


def test_the_farm_outlives_its_screen_and_its_terminal(start: Start, ledger: Ledger) -> None:
    on = start("--tui")
    on.wait_said(re.escape(OTHER_SCREEN))
    wait_for(lambda: on.screen != on.pid and not on.echoes, "the screen in front")
    os.kill(on.screen, signal.SIGKILL)
    on.wait_said("the screen has ended, the farm goes on")
    wait_for(lambda: on.screen == on.pid and on.echoes, "a terminal that is right again")
    assert "\x1b[?1049l" in on.said.rpartition(OTHER_SCREEN)[2]
    on.hang_up()
    log_path = on.farm.home / "instances" / "front" / "farm.log"
    wait_for(lambda: "the terminal is gone; the farm goes on\n" in log_path.read_text(), "that it noticed")
    job_id = ledger.enqueue("give_back", ("still here",))
    assert ledger.result(job_id).status == 1

    def reloaded() -> bool:
        os.kill(on.pid, signal.SIGHUP)
        return "reload: every subworker is replaced" in log_path.read_text()

    wait_for(reloaded, "that SIGHUP has it read its configuration again, as ever")
    assert log_path.read_text().count("the terminal is gone") == 1
    with connect(on.farm.home) as farm:
        farm.ask("drain")
    assert on.wait() == 0


def test_without_a_terminal_there_is_no_screen(make_farm: MakeFarm) -> None:
    farm = make_farm(name="front", subworkers=1)
    farm.start("--tui", ready=False)
    assert farm.wait() == 2
    assert farm.log.startswith("farm: --tui needs a terminal: ")
    assert not (Path(farm.home) / "instances").exists()
