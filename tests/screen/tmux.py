"""A terminal to try the screen in, as a person would: tmux, with a server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

WAIT_S_MAX = 15.0
LOOK_S = 0.05
ROOT = Path(__file__).parents[2]
PLAYED = f"{sys.executable} -m tests.screen.played"
_numbers = count(1)


def tmux() -> str:
    """Return the path of tmux. Without one the test is skipped; where FARM_TEST_PG names what must be tested, that is an error."""
    found = shutil.which("tmux", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
    if found is None:
        missing = pytest.fail if os.environ.get("FARM_TEST_PG") else pytest.skip
        missing("no tmux on this machine: `make test` gets it where there is apt, else install it")
    return found


class Terminal:
    """One window with a shell in it."""

    def __init__(self, width: int, height: int, command: str | None = None) -> None:
        self._tmux = tmux()
        self._name = f"farm-test-{os.getpid()}-{next(_numbers)}"
        environment = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE", "NO_COLOR")}
        self._environment = {**environment, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", "PS1": "ready> ", "PYTHONPATH": str(ROOT)}
        command = command or "exec bash --norc --noprofile"
        self._run("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), "-c", str(ROOT), command)
        # A window that is not shown anywhere keeps the size that it is given.
        self._run("set-option", "-g", "window-size", "manual")

    @property
    def attach(self) -> str:
        """The command that shows it in another terminal."""
        return f"exec env -u TMUX {self._tmux} -L {self._name} attach"

    def type(self, line: str) -> None:
        """Type a line and enter."""
        self._run("send-keys", "-l", line)
        self._run("send-keys", "Enter")

    def keys(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        self._run("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def rows(self) -> list[str]:
        """Return what is seen."""
        return self._run("capture-pane", "-p").splitlines()

    def ask(self, what: str) -> str:
        """Return what tmux knows of the window, such as `#{alternate_on}`."""
        return self._run("display-message", "-p", what).strip()

    def wait(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Wait until what is seen is so, and return it."""
        until = time.monotonic() + WAIT_S_MAX
        while True:
            rows = self.rows()
            if condition(rows):
                return rows
            assert time.monotonic() < until, "\n".join(rows)
            time.sleep(LOOK_S)

    def wait_for(self, text: str) -> list[str]:
        """Wait until a text is seen."""
        return self.wait(lambda rows: any(text in row for row in rows))

    def detach(self) -> None:
        """Have whoever looks at it leave."""
        self._run("detach-client", "-a", "-s", "0")

    def close(self) -> None:
        """End the server, and with it all that runs there."""
        subprocess.run([self._tmux, "-L", self._name, "kill-server"], env=self._environment, capture_output=True, check=False)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._tmux, "-L", self._name, *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout
