"""Following the ends of jobs as they are committed: each look finds those that the one before could not see, and no other.

What tells them apart is the snapshot of the look before, not a time: ends are committed out of their order, by several hosts. Times only
say where to look, so an end that is committed more than LOOKBACK_S after its job ended, as after an outage of its host alone, is not
found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import errors

from farm.store.connection import DeadlineConnection
from farm.store.ends import CANCELLED, FAILED, SUCCEEDED
from farm.store.selections import like
from farm.store.session import Session, send
from farm.store.statements import compose

LOOKBACK_S = 10.0
ENDS_MAX = 1000
"""In one look: nobody reads more."""
XID_MAX = (1 << 32) - 1
STATES = {SUCCEEDED: "succeeded", FAILED: "failed", CANCELLED: "cancelled"}


class Wanted(NamedTuple):
    """Which ends; None: any."""

    states: Sequence[str] | None = None
    queues: Sequence[str] | None = None
    task: str | None = None
    """A task, in which * stands for any characters."""
    host: str | None = None
    """The name of a host."""


class NewEnd(NamedTuple):
    """A job that has ended."""

    id: int
    state: str
    queue: str
    task: str
    attempt: int
    started_at: datetime | None
    finished_at: datetime
    host: str | None
    result: str | None
    """JSON text, cut; of one that succeeded."""
    error_type: str | None
    error_message: str | None


class Look(NamedTuple):
    """What a look has found."""

    ends: list[NewEnd]
    """In the order in which the jobs ended."""
    more: bool
    """There were more than ENDS_MAX: some are left out."""


class TailStore:
    """Looks for new ends. Each look is one message, which reads as much of the results as was written in the last seconds."""

    def __init__(self, session: Session, wanted: Wanted) -> None:
        self._session = session
        statuses = None if wanted.states is None else [status for status, state in STATES.items() if state in wanted.states]
        self._filters = {
            "statuses": statuses,
            "queues": None if wanted.queues is None else list(wanted.queues),
            "task": wanted.task and like(wanted.task),
            "host": wanted.host,
        }
        self._message = compose("begin_reading", "plan_by_time", "read_snapshot", "list_new_ends", "commit")
        self._seen: str | None = None
        self._seen_at: datetime | None = None

    def begin(self, since_s: float = 0.0) -> None:
        """Note where to begin: at what ends from now on, or has ended up to so long ago."""
        snapshot, now = self._session.fetch("read_snapshot")[0]
        self._seen, self._seen_at = (None, now - timedelta(seconds=since_s)) if since_s else (snapshot, now)

    def look(self) -> Look:
        """Return what was committed since the last look that was answered."""
        assert self._seen_at is not None, "begin() comes first"
        since = self._seen_at if self._seen is None else self._seen_at - timedelta(seconds=LOOKBACK_S)
        oldest = None if self._seen is None else str(int(self._seen.partition(":")[0]) & XID_MAX)
        times = {"seen_at": self._seen_at, "since": since}
        params: dict[str, Any] = {"seen": self._seen, "oldest": oldest, "limit": ENDS_MAX + 1, **times, **self._filters}
        ((snapshot, now),), rows = self._session.run(lambda connection: send(connection, self._message, params))
        self._seen, self._seen_at = snapshot, now
        ends = [NewEnd(job_id, STATES[status], *rest) for job_id, status, *rest in rows[:ENDS_MAX]]
        return Look(sorted(ends, key=lambda end: (end.finished_at, end.id)), len(rows) > ENDS_MAX)

    def tidy(self) -> bool:
        """Have the index know what was written lately, so that looks stay short; False if that is not allowed, or a vacuum is doing it."""

        def unit(connection: DeadlineConnection) -> bool:
            try:
                send(connection, compose("begin", "limit_locks", "summarize_results", "commit"))
            except (errors.InsufficientPrivilege, errors.LockNotAvailable, errors.ObjectNotInPrerequisiteState):
                connection.rollback()
                return False
            return True

        return self._session.run(unit)
