"""Reading what `farm why` reasons from: a job, and what is around it that keeps it where it is."""

from __future__ import annotations

from typing import Any

from psycopg.rows import dict_row

from farm.answers.facts import Ahead, CancelAsked, Facts, Hold, RunningTask
from farm.model import State
from farm.store.connection import DeadlineConnection
from farm.store.reads import ReadStore
from farm.store.session import Params, Session
from farm.store.statements import load

OPEN = frozenset({State.SCHEDULED, State.RETRYING, State.BLOCKED, State.READY, State.CLAIMED, State.RUNNING})
"""States in which hosts matter."""


class CircumstanceStore:
    """Reading statements: they lock nothing, and count no further than to 10,001."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reads = ReadStore(session)

    def facts(self, job_id: int) -> Facts:
        """Return what is known of a job; of one that does not exist, which ids there have been.

        Read in several statements: a job that moves meanwhile shows some facts of before and some of after.
        """
        job = self._reads.job(job_id)
        around = self._read("read_circumstances", {"job_id": job_id})[0]
        is_open = job is not None and State(job["state"]) in OPEN
        is_ready = job is not None and job["state"] == State.READY
        waits_for_slot = job is not None and job["state"] in (State.READY, State.CLAIMED)
        return Facts(
            now=around["now"],
            job_id=job_id,
            job=job,
            hosts=self._reads.hosts() if is_open else (),
            ahead=self._ahead(job_id) if is_ready else Ahead(),
            running=[RunningTask(**row) for row in self._read("list_running", {})] if waits_for_slot else (),
            waiting_queues=frozenset(row["queue"] for row in self._read("list_waiting_queues", {})) if is_ready else frozenset(),
            hold=None if around["host_id"] is None else Hold(**{name: around[name] for name in ("host_id", "claimed_at", "before")}),
            timeout_s=None if around["timeout_ms"] is None else around["timeout_ms"] / 1000,
            cancel=None
            if around["cancel_asked_at"] is None
            else CancelAsked(asked_at=around["cancel_asked_at"], reason=around["cancel_reason"]),
            last_id=around["last_id"],
        )

    def _ahead(self, job_id: int) -> Ahead:
        # None: it was deleted a moment ago.
        rows = self._read("count_ahead", {"job_id": job_id})
        return Ahead(**rows[0]) if rows else Ahead()

    def _read(self, name: str, params: Params) -> list[dict[str, Any]]:
        def unit(connection: DeadlineConnection) -> list[dict[str, Any]]:
            with connection.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(load(name), params).fetchall()

        return self._session.run(unit)
