"""How deep the queues are: counted by one host at a time, and kept in a row where all others read it."""

from __future__ import annotations

import json
from typing import Any, cast

from psycopg import errors

from farm.model import Depths, QueueDepth
from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import load

TURN_S = 30.0
"""Who has taken the turn to count and is never heard of again keeps it for so long."""


class DepthStore:
    """The statements of whoever counts. They read indexes only, and the one row that all share."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self) -> Depths:
        """Return the depths as they were counted last."""
        rows = self._session.fetch("read_depths")
        if not rows:
            return Depths((), None, 0.0)
        queues, age_s, due_s = rows[0]
        return Depths(tuple(_depth(queue) for queue in queues), age_s, due_s)

    def take_turn(self) -> bool:
        """Take the turn to count, if it is time and nobody else has it."""
        return bool(self._session.fetch("take_depths", {"turn_s": TURN_S}))

    def count(self, limit_s: float) -> list[QueueDepth] | None:
        """Count what waits, exactly up to 10,000 jobs of a class; None if that takes longer than limit_s: then nothing is known."""

        def unit(connection: DeadlineConnection) -> list[dict[str, Any]] | None:
            try:
                with connection.transaction():
                    connection.execute(load("allow_time"), {"statement_ms": round(limit_s * 1000)})
                    rows = connection.execute(load("list_queues")).fetchall()
            except errors.QueryCanceled:
                return None
            return [{"queue": row[0], "ready": row[1], "more": row[2], "oldest_s": row[4]} for row in rows]

        rows = self._session.run(unit)
        return None if rows is None else [_depth(row) for row in rows]

    def store(self, queues: list[QueueDepth], pause_s: float) -> None:
        """Tell all hosts, and have nobody count again for so long."""
        told = json.dumps([queue._asdict() for queue in queues])
        self._session.fetch("store_depths", {"queues": told, "pause_s": pause_s})


def _depth(row: dict[str, Any]) -> QueueDepth:
    return QueueDepth(cast(str, row["queue"]), cast(int, row["ready"]), cast(bool, row["more"]), cast("float | None", row["oldest_s"]))
