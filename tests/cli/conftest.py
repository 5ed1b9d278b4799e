"""The real command in a process of its own, as a user runs it: away from a terminal, or on one."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "farm.cli.main")
RUN_S_MAX = 50.0

Farm = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> Farm:
    """Run `farm` with these arguments; environ adds to the environment."""

    def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "120", **environ},
        )

    return run


@pytest.fixture
def terminal() -> Callable[..., tuple[int, str]]:
    """Run `farm` on a terminal of its own; gives its exit code and all that was shown there."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        environ = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
        os.close(theirs)
        shown = b""
        try:
            while True:
                assert select.select([ours], [], [], RUN_S_MAX)[0], shown
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # Linux says EIO when the other side is gone.
                    break
                if not piece:
                    break
                shown += piece
            return process.wait(RUN_S_MAX), shown.decode().replace("\r\n", "\n")
        finally:
            os.close(ours)
            process.kill()
            process.wait()

    return run
