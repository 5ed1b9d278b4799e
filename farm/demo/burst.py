"""A farm that runs what is in one queue and leaves: `farm start --burst` as a child that never outlives its parent for long."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from farm.errors import FarmError

PR_SET_PDEATHSIG = 1
DRAIN_TIMEOUT_S = 5

CONFIG = """\
# Written by `farm demo`; it is written anew each time.
{database}
host: {{name: demo}}
runners: {{python: {{allow: ["farm.demo:*"]}}}}
lanes: {{default: {{queues: ["{queue}"]}}}}
tasks: {{"*": {{retry: 0s}}}}
drain_timeout: {drain_timeout_s}s
"""


class Burst:
    """The farm of one run of the demo; its log goes to a file. Leaving the context drains it if it still runs."""

    def __init__(self, *, directory: Path, queue: str, dsn: str | None) -> None:
        """Start it. dsn None: the embedded database."""
        self.log_path = directory / "demo.log"
        config = directory / "demo.yaml"
        database = "database: embedded" if dsn is None else "# The database is that of FARM_DSN."
        config.write_text(CONFIG.format(database=database, queue=queue, drain_timeout_s=DRAIN_TIMEOUT_S), encoding="utf-8")
        environ = {name: value for name, value in os.environ.items() if name not in ("FARM_DSN", "FARM_LANES")}
        if dsn is not None:
            environ["FARM_DSN"] = dsn
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "farm.cli.main", "start", str(config), "--burst"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                # Ctrl-C is for us alone: one signal drains, and a second one from the terminal would hurry the farm.
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end for so long; say whether it has ended. Raises FarmError if it ended badly."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        if code != 0:
            how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            raise FarmError(f"the demo's farm ended with {how}; run `farm demo` again to go on. {self._last_words()}")
        return True

    def stop(self) -> None:
        """Drain it and wait for its end; a farm that has ended is fine."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def _last_words(self) -> str:
        lines = self.log_path.read_text("utf-8", "replace").splitlines()
        return f"Its log, {self.log_path}, ends: {lines[-1].strip() if lines else '(nothing)'}"


def _die_with(parent: int) -> Callable[[], None]:
    """Return what the child calls before it becomes the farm: when we are killed, the kernel tells it to drain."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_signal() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return set_signal
