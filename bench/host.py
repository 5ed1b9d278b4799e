"""A farm under measurement: `farm start` as a child that does not outlive the script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from farm import linux

WAIT_S_MAX = 60.0
LOG_LINES_SHOWN = 20


class Host:
    """One `farm start`. Its log goes to a file; leaving the context drains it if it still runs."""

    def __init__(self, home: Path, config: str, *, burst: bool = False, name: str = "farm") -> None:
        """Start it. home: its FARM_HOME, beside which its configuration and its log are kept, under this name."""
        path = home.with_name(f"{name}.yaml")
        path.write_text(config, encoding="utf-8")
        self._log_path = home.with_name(f"{name}.log")
        command = [str(Path(sys.executable).with_name("farm")), "start", str(path), *(["--burst"] if burst else [])]
        # FARM_DSN would name another database than the one that is meant.
        environ = {name: value for name, value in os.environ.items() if name != "FARM_DSN"} | {"FARM_HOME": str(home)}
        with self._log_path.open("wb") as log:
            self.executed_ns = time.monotonic_ns()
            """CLOCK_MONOTONIC just before the command was executed."""
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True, preexec_fn=_die_too
            )

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(WAIT_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until its subworkers serve."""
        wait_for(lambda: " ready\n" in self.log(), "the farm to be ready", self._raise_if_ended)

    def wait_end(self) -> None:
        """Wait until it has left by itself. Raises RuntimeError if it left in failure."""
        if self._process.wait(WAIT_S_MAX * 5) != 0:
            self._raise_if_ended()

    def log(self) -> str:
        return self._log_path.read_text("utf-8", "replace")

    def _raise_if_ended(self) -> None:
        code = self._process.poll()
        if code is not None:
            raise RuntimeError(f"farm start ended with exit code {code}:\n" + "\n".join(self.log().splitlines()[-LOG_LINES_SHOWN:]))


def config(
    database: str,
    *,
    allow: str = "farm.demo:*",
    path: str = "",
    subworkers: str = "auto",
    lanes: str = "",
    name: str = "auto",
    overcommit: str = "false",
) -> str:
    """Return a configuration with everything else at its defaults. database: `embedded` or a DSN; name: that of the host.

    allow: patterns of tasks, with commas between them; path: a directory of modules of jobs; lanes: as YAML, where it is not one for
    anything with so many subworkers; overcommit: `true` where they may be promised more memory than there is. Jobs that fail, as some
    do once on purpose, are tried again without a pause.
    """
    allowed = ", ".join(f'"{pattern}"' for pattern in allow.split(","))
    lanes = lanes or f'{{default: {{queues: ["*"], subworkers: {subworkers}}}}}'
    return (
        f'database: "{database}"\n'
        f"host: {{name: {name}, overcommit: {overcommit}}}\n"
        f"runners: {{python: {{allow: [{allowed}], path: [{path}]}}}}\n"
        f"lanes: {lanes}\n"
        'tasks: {"*": {retry: 0s}}\n'
    )


def wait_for(condition: Callable[[], bool], what: str, check: Callable[[], None] = lambda: None, *, every_s: float = 0.005) -> None:
    """Wait until a condition holds; check is called each time and may raise. Raises TimeoutError after a minute."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {what} for {WAIT_S_MAX:.0f} s")
        time.sleep(every_s)


def _die_too() -> None:
    linux.signal_at_parent_death(signal.SIGTERM)
