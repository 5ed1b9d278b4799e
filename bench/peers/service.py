"""A process that is kept running, as systemd keeps one with `Restart=always`: killed, it is started again 0.1 s later."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from bench.peers.crew import clean_environ, last_lines
from bench.peers.packages import PeerFailed
from farm import linux

RESTART_S = 0.1
"""RestartSec of systemd where a unit says nothing else."""
END_S_MAX = 20.0
"""What it is given to end by itself when all is over."""
ENDS_MAX = 10
"""How often it may end by itself before that is a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a process is started."""

    command: Sequence[str]
    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    """Besides our own."""


class Service:
    """Such a process. Leaving the context ends it."""

    def __init__(self, launch: Launch, *, log: Path) -> None:
        """Start it. log: where its standard output and error go."""
        self._launch = launch
        self._log = log
        self._ends = 0
        self._process = self._start()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self, pid: int) -> None:
        """Kill -9 it, or a process of its own that has this pid now; and start it again if it is not running any more."""
        if pid == self.pid:
            self._process.kill()
            self._process.wait()
            self._restart()
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def look(self) -> None:
        """Start it again if it has ended by itself. Raises PeerFailed when it did so too often."""
        if self._process.poll() is not None:
            self._ends += 1
            if self._ends > ENDS_MAX:
                raise PeerFailed(f"it ended by itself, with exit code {self._process.returncode}: {last_lines(self._log)}")
            self._restart()

    def _restart(self) -> None:
        time.sleep(RESTART_S)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._launch.command,
                cwd=self._launch.directory,
                env=clean_environ() | dict(self._launch.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_too,
            )


def _end_too() -> None:
    linux.signal_at_parent_death(signal.SIGTERM)
