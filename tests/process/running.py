"""A farm in processes of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import yaml

from farm.home import StateDir
from tests.process import crew
from tests.process.crew import wait_for

TASKS = Path(__file__).parent / "tasks"


class RunningFarm:
    """One instance; may be started again after it has ended or was killed. Its log goes to a file."""

    def __init__(
        self,
        *,
        home: Path,
        directory: Path,
        dsn: str | None,
        name: str = "test",
        subworkers: int = 2,
        wrapper: Sequence[str] = (),
        **options: object,
    ) -> None:
        self.home = home
        self.name = name
        self._directory = directory
        self._wrapper = wrapper
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = count(1)
        self.log_path = directory / f"{name}.log.0"
        settings: dict[str, object] = {
            **({} if dsn is None else {"database": dsn}),
            "host": {"name": name, "memory": "auto"},
            "runners": {"python": {"allow": ["chores:*", "operator:*"], "path": [str(TASKS)]}},
            "lanes": {"default": {"queues": ["*"], "subworkers": subworkers}},
            # What is tested of retries has a policy of its own; all others are not to wait.
            "tasks": {"*": {"retry": "0s"}},
            "drain_timeout": "10s",
            "heartbeat": "200ms",
            "lease": "2s",
            "reap_every": "300ms",
            "poll": "50ms",
            **options,
        }
        self.config = directory / f"{name}.yaml"
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))

    def start(self, *arguments: str, ready: bool = True, **environ: str) -> RunningFarm:
        """Start it, by default wait until its subworkers are ready."""
        self.log_path = self._directory / f"{self.name}.log.{next(self._starts)}"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._wrapper, sys.executable, "-m", "farm.cli.main", "start", str(self.config), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "FARM_HOME": str(self.home), **environ},
            )
        if ready:
            self.wait_log("ready$")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    @property
    def whole_log(self) -> str:
        """The logs of all starts."""
        paths = sorted(self._directory.glob(f"{self.name}.log.*"), key=lambda path: int(path.suffix[1:]))
        return "".join(path.read_text("utf-8", "replace") for path in paths)

    def log_lines(self, pattern: str) -> list[str]:
        return [line for line in self.log.splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern: str) -> str:
        """Wait for a line of the log that matches."""

        def look() -> list[str]:
            found = self.log_lines(pattern)
            assert found or self.running, f"ended with {self.exit_code} before it said {pattern!r}:\n{self.log}"
            return found

        return wait_for(look, f"{pattern!r} in the log:\n{self.log}")[0]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Signal the supervisor."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for the supervisor to end; returns its exit code."""
        assert self._process is not None
        wait_for(lambda: self.exit_code is not None, f"the end of the farm; its log:\n{self.log}")
        return self._process.returncode

    def stop(self) -> None:
        """Have it drain, and look that it left in order."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log

    def kill(self) -> None:
        """Kill the supervisor alone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def end(self) -> None:
        """End whatever is left of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self.state is not None:
            crew.end_all(self.state.crew_lock_path)

    @property
    def state(self) -> StateDir | None:
        return StateDir.find(self.home, self.name)

    @property
    def crew_lock(self) -> Path:
        state = self.state
        assert state is not None
        return state.crew_lock_path

    @property
    def rings(self) -> Path:
        """Where its files in shared memory stand."""
        state = self.state
        assert state is not None
        return Path("/dev/shm") / f"farm-{state.id}"

    @property
    def spilled(self) -> list[str]:
        """Names of spill files."""
        state = self.state
        assert state is not None
        return sorted(path.name for path in state.spill_path.iterdir())

    def writer(self) -> int:
        return wait_for(lambda: crew.writers(self.crew_lock), "a writer")[0]

    def zygote(self) -> int:
        return wait_for(lambda: crew.zygotes(self.crew_lock), "a zygote")[0]

    def subworkers(self) -> list[int]:
        return crew.subworkers(self.crew_lock)

    def all_subworkers(self, number: int) -> list[int]:
        """Wait until so many have a post: a farm is ready as soon as one has."""
        return wait_for(lambda: pids if len(pids := self.subworkers()) == number else [], f"{number} subworkers")

    def spares(self) -> list[int]:
        return crew.spares(self.crew_lock)

    def crew_gone(self) -> bool:
        """True when no process holds the crew's lock."""
        return not crew.holders(self.crew_lock)
