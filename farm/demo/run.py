"""One run of the demo: a queue of its own, enqueued in one transaction, taken up again where it was cut short."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from farm.client import Client
from farm.store.session import Session

TASK = "farm.demo:survey"
LARGEST_MAX = 5
FINAL = ("succeeded", "failed", "cancelled")


class Found(NamedTuple):
    """What the finished jobs of a run add up to."""

    files: int
    lines: int
    nodes: int
    functions: int
    classes: int
    size_bytes: int
    compressed_bytes: int
    duplicates: int
    """Files with the same content as another one."""
    unparsed: int
    finished: int
    """Jobs that ended since the time asked for..."""
    elapsed_s: float | None
    """...and from the first start to the last end among them."""
    median_s: float | None
    longest_s: float | None


class Largest(NamedTuple):
    """One of the files with the most syntax in it."""

    job_id: int
    path: str
    lines: int
    nodes: int
    functions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """A run whose jobs are in the database."""

    queue: str
    first_id: int
    last_id: int
    jobs: int
    resumed: bool
    """It was begun by an earlier command."""

    def counts(self, session: Session) -> dict[str, int]:
        """Count its jobs by state."""
        return dict(session.fetch("count_run", self._params()))

    def finished(self, session: Session) -> int:
        """Count its jobs that have ended."""
        return sum(count for state, count in self.counts(session).items() if state in FINAL)

    def found(self, session: Session, since: datetime) -> Found:
        """Add up what its succeeded jobs found; `since` is a time of the database."""
        return Found(*session.fetch("sum_run", {**self._params(), "since": since})[0])

    def largest(self, session: Session) -> list[Largest]:
        """Return the files with the most syntax."""
        return [Largest(*row) for row in session.fetch("list_run", {**self._params(), "files_max": LARGEST_MAX})]

    def _params(self) -> dict[str, object]:
        return {"queue": self.queue, "first_id": self.first_id, "last_id": self.last_id}


class DemoMemory:
    """The name of the run that is under way, kept in the demo's state directory until it has been finished."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "run.json"

    def begin(self, session: Session, client: Client, sources: list[str]) -> DemoRun:
        """Take up the run that an earlier command began, or enqueue a new one: all of its jobs or none."""
        queue = self._read()
        if queue is not None:
            first_id, last_id, jobs = session.fetch("find_run", {"queue": queue})[0]
            if jobs:
                return DemoRun(queue=queue, first_id=first_id, last_id=last_id, jobs=jobs, resumed=True)
        queue = queue or f"demo-{secrets.token_hex(2)}"
        # Written before the jobs are there: a kill in between leaves a name without jobs, never jobs without a name.
        self._write(queue)
        ids = client.enqueue_many({"task": TASK, "args": {"path": path}, "queue": queue} for path in sources)
        return DemoRun(queue=queue, first_id=min(ids), last_id=max(ids), jobs=len(ids), resumed=False)

    def forget(self) -> None:
        """Forget the run: the next demo begins a new one."""
        self._file.unlink(missing_ok=True)

    def _read(self) -> str | None:
        try:
            queue = json.loads(self._file.read_text("utf-8"))["queue"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return queue if isinstance(queue, str) and queue.startswith("demo-") else None

    def _write(self, queue: str) -> None:
        draft = self._file.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump({"queue": queue}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
