"""What a lane does with the database: find work, claim it, read it, say that it sleeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, cast

import psycopg
from psycopg import ClientCursor, Cursor
from psycopg.types.string import ByteaBinaryLoader

from farm.model import Claim, JobRow
from farm.store.connection import DeadlineConnection
from farm.store.session import Session, bigint_array, send
from farm.store.statements import compose, load

CLAIM_JOBS_MAX = 20_000
"""More than this in one lease would make its bits and its reaping slow."""

FEW_JOBS = 8
"""So many are read with a kept plan: it opens every partition, but to make a plan would take longer than that, and than the reading."""


class JobClass(NamedTuple):
    """What jobs of a class need of a lane."""

    queue: str
    runner: str
    memory_mb: int
    """0: no memory class."""


class Work(NamedTuple):
    """A (class, priority) pair that has jobs to claim, in `ready` or in `returned`."""

    class_id: int
    priority: int
    from_returned: bool


class ClaimStore:
    """The statements of the claim thread. Every method is one short call and raises StoreUnavailable when the database is away."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader: _Reader | None = None
        self._unanswered: int | None = None
        """The lease of a claim whose answer never came: perhaps it has jobs, perhaps it is still being made."""

    def classes(self) -> dict[int, JobClass]:
        """Return every class by its id."""
        return {row[0]: JobClass(*row[1:]) for row in self._session.fetch("list_classes")}

    def find_work(self, class_ids: Sequence[int], bounds: Mapping[tuple[int, int], int] | None = None) -> list[Work]:
        """Return the pairs that have work, from `returned` its most urgent priority only; sorted by class, then priority.

        bounds: for (class, priority), the job id up to which `ready` was claimed; what lies below it is not seen.
        """
        known = bounds or {}
        rows = self._session.fetch(
            "find_work",
            {
                "class_ids": list(class_ids),
                "bound_classes": [pair[0] for pair in known],
                "bound_priorities": [pair[1] for pair in known],
                "bound_ids": list(known.values()),
            },
        )
        return sorted(Work(*row) for row in rows)

    def claim(self, *, lease_id: int, class_id: int, priority: int, above_id: int, returned_max: int, jobs_max: int) -> Claim | None:
        """Claim up to jobs_max jobs of a class: up to returned_max from `returned`, the rest from `ready` at this priority.

        Only ids above above_id are taken from `ready`. In the claim those from `returned` come first, then those from `ready` in
        the order of their ids. None: nothing claimable, or the host that lease_id names is retired. After StoreUnavailable, ask
        again with the same lease_id: it either claims or finds what the first try claimed (then from_ready is a guess: all).
        """
        assert 0 < jobs_max <= CLAIM_JOBS_MAX
        assert 0 <= returned_max <= jobs_max
        params = {
            "lease_id": lease_id,
            "class_id": class_id,
            "priority": priority,
            "above_id": above_id,
            "returned_max": returned_max,
            "jobs_max": jobs_max,
            "again": lease_id == self._unanswered,
        }
        self._unanswered = lease_id
        try:
            rows = self._session.transact("claim_jobs", params)
        except psycopg.errors.UniqueViolation:
            rows = [(*row, len(row[0])) for row in self._session.fetch("read_lease", {"lease_id": lease_id})]
        self._unanswered = None
        if not rows or not rows[0][0]:
            return None
        job_ids, attempts, losts, from_ready = rows[0]
        return Claim(lease_id, job_ids, attempts or [0] * len(job_ids), losts, from_ready)

    def read_jobs(self, job_ids: Sequence[int]) -> list[JobRow]:
        """Return the jobs in the order asked for; one whose row is gone is left out. Arguments are JSON text, not decoded."""
        if not job_ids:
            return []
        rows = self._session.run(partial(self._read, job_ids=job_ids))
        # As a rule they come in the order of the primary key, and were asked for so.
        if list(map(itemgetter(0), rows)) == job_ids:
            return rows
        by_id = {row[0]: row for row in rows}
        return [by_id[job_id] for job_id in job_ids if job_id in by_id]

    def declare_idle(self, host_id: int, lane: str, classes: Sequence[int] | None) -> int:
        """Ask to be notified on channel farm_wake when jobs of these classes arrive (None: of any class).

        Returns a number: transactions that have written jobs and could not see this have lower ones.
        """
        params = {"host_id": host_id, "lane": lane, "classes": None if classes is None else list(classes)}
        # The number has to be taken by a transaction that begins when the declaration has committed.
        message = compose("begin", "declare_idle", "commit", "take_number")
        return cast(int, self._session.run(lambda connection: send(connection, message, params))[0][0][0])

    def oldest_open(self) -> int:
        """Return the number below which every transaction has ended: what they have left, the next statement sees."""
        return cast(int, self._session.fetch("find_oldest")[0][0])

    def withdraw_idle(self, host_id: int, lane: str) -> None:
        """Ask no longer to be notified."""
        self._session.fetch("withdraw_idle", {"host_id": host_id, "lane": lane})

    def _read(self, connection: DeadlineConnection, job_ids: Sequence[int]) -> list[JobRow]:
        params: dict[str, object] = {"lowest_id": min(job_ids), "highest_id": max(job_ids)}
        name = "read_job_range"
        # What was enqueued at once has ids in a row, and then neither side need handle each of them.
        if params["highest_id"] != job_ids[0] + len(job_ids) - 1 or params["lowest_id"] != job_ids[0]:
            name = "read_jobs"
            params["job_ids"] = bigint_array(job_ids)
        if self._reader is None or self._reader.rows.connection is not connection:
            self._reader = _Reader(ClientCursor(connection), _JobCursor(connection))
        if len(job_ids) <= FEW_JOBS and self._session.keeps_plans:
            params["job_ids"] = bigint_array(job_ids)
            return self._reader.rows.execute(load("read_jobs"), params, prepare=True).fetchall()
        # Written-in values let the planner prune partitions; a cursor of psycopg that writes them in can't take binary results.
        message = self._reader.values.mogrify(load(name), params)
        return self._reader.rows.execute(message.encode()).fetchall()


class _Reader(NamedTuple):
    """The cursors of one connection that read jobs: kept, because making them costs more than a small read."""

    values: ClientCursor[Any]
    rows: _JobCursor


class _JobCursor(Cursor[JobRow]):
    """A cursor that returns texts as the bytes that came, since nobody here looks into them."""

    def __init__(self, connection: DeadlineConnection) -> None:
        super().__init__(connection, row_factory=_job_rows)
        self.adapters.register_loader("text", ByteaBinaryLoader)
        self.format = psycopg.pq.Format.BINARY


def _job_rows(cursor: Any) -> Any:
    return partial(tuple.__new__, JobRow)
