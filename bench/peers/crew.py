"""The processes of a peer that work on one database: started together, counted while they run, ended when the work is done."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from bench.peers.packages import PeerFailed
from farm import linux

READY_S_MAX = 60.0
RUN_S_MAX = 180.0
END_S_MAX = 3.0
"""What a worker is given to end by itself; its figures are known by then."""
CHUNK_BYTES = 65_536
LINES_SHOWN = 5


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    rest: bytes = b""
    ready: bool = False
    started_us: int | None = None
    ran: int = 0
    errors: Path = field(kw_only=True)


class Crew:
    """Workers that speak as bench/peers/worker.py and worker.mjs do. Leaving the context ends them."""

    def __init__(self, commands: Sequence[Sequence[str]], *, directory: Path, logs: Path) -> None:
        """Start a worker for each command. logs: an existing directory for what they write to standard error."""
        self._selector = selectors.DefaultSelector()
        self._workers = []
        for number, command in enumerate(commands):
            worker = _start(command, directory, logs / f"worker-{number}.log")
            assert worker.process.stdout is not None
            os.set_blocking(worker.process.stdout.fileno(), False)
            self._selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            self._workers.append(worker)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._selector.close()
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(END_S_MAX)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                assert pipe is not None
                pipe.close()

    def begin(self) -> None:
        """Let all of them begin at once, as soon as the last one is ready."""
        deadline = time.monotonic() + READY_S_MAX
        while not all(worker.ready for worker in self._workers):
            self._listen(deadline, "to be ready")
        for worker in self._workers:
            assert worker.process.stdin is not None
            worker.process.stdin.write(b"go\n")
            worker.process.stdin.flush()

    def wait_ran(self, jobs: int) -> float:
        """Wait until so many jobs ran. Returns when the first one started, in seconds since 1970."""
        deadline = time.monotonic() + RUN_S_MAX
        while (ran := sum(worker.ran for worker in self._workers)) < jobs:
            self._listen(deadline, f"to run {jobs:,} jobs: they ran {ran:,}")
        return min(worker.started_us for worker in self._workers if worker.started_us is not None) / 1e6

    def _listen(self, deadline: float, what: str) -> None:
        """Hear what the next workers say. Raises PeerFailed when one has ended, or at the deadline."""
        for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
            worker: _Worker = key.data
            chunk = os.read(key.fd, CHUNK_BYTES)
            if not chunk:
                code = worker.process.wait()
                raise PeerFailed(f"a worker ended with exit code {code}: {last_lines(worker.errors)}")
            *lines, worker.rest = (worker.rest + chunk).split(b"\n")
            for line in lines:
                _hear(worker, line)
        if time.monotonic() >= deadline:
            raise PeerFailed(f"waited in vain for the workers {what}; {last_lines(self._workers[0].errors)}")


def _start(command: Sequence[str], directory: Path, errors: Path) -> _Worker:
    with errors.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=clean_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_too,
        )
    return _Worker(process, errors=errors)


def _hear(worker: _Worker, line: bytes) -> None:
    """Note what a worker said. What is none of our words is a peer's own print, and nothing to us."""
    match line.split():
        case [b"ready"]:
            worker.ready = True
        case [b"started", micros]:
            worker.started_us = int(micros)
        case [b"ran", count]:
            worker.ran = int(count)


def last_lines(log: Path) -> str:
    return "; ".join(log.read_text("utf-8", "replace").strip().splitlines()[-LINES_SHOWN:]) or "it said nothing"


def clean_environ() -> dict[str, str]:
    """Return our environment without the variables of libpq and of farm: they would name another database than the one that is meant."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "FARM_"))} | {"NODE_ENV": "production"}


def _die_too() -> None:
    linux.signal_at_parent_death(signal.SIGKILL)
