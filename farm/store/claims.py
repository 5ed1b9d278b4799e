"""What a lane does with the database: find work, claim it, read it, say that it sleeps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, cast

import psycopg
from psycopg import ClientCursor, Cursor
from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from farm.model import Claim, JobRow, Share
from farm.store.connection import DeadlineConnection
from farm.store.session import Row, Session, bigint_array, send
from farm.store.statements import compose, load

NEAR_IDS = 5_000_000
"""Ids this near to each other lie in two partitions at the most: none is made for fewer."""
CLAIM_JOBS_MAX = 20_000
"""More than this in one lease would make its bits and its reaping slow."""

EACH_JOBS_MAX = 256
"""When each of so many was filed is read. Of more at once only for one in 64: those beside it were filed at about the same time."""
SAMPLE_MASK = 63
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
    first: int
    """Its first entry: a job id, or the number that the entry has in `returned`."""


Bounds = Mapping[tuple[int, int], int]
"""For (class, priority) the job id, or the number in `returned`, up to which entries were claimed."""
Windows = Sequence[tuple[int, int]]
"""Stretches of such numbers: above the first, up to the second."""


class Late(NamedTuple):
    """Like Work, at a bound or below."""

    class_id: int
    priority: int
    from_returned: bool
    first: int
    upto: int
    """How far was looked: to the end of the window, or to the bound."""


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

    def find_work(self, class_ids: Collection[int], id_bounds: Bounds | None = None, seq_bounds: Bounds | None = None) -> list[Work]:
        """Return the pairs of these classes that have work, sorted by class, then priority; what lies at a bound or below is not seen."""
        rows = self._session.fetch("find_work", {**_bounds("id", "above", id_bounds or {}), **_bounds("seq", "above", seq_bounds or {})})
        return _work(rows, class_ids)

    def find_late(self, id_bounds: Bounds, seq_bounds: Bounds, *, id_windows: Windows, seq_windows: Windows) -> list[Late]:
        """Return the pairs that have entries at their bounds or below, with the first one in each of these windows, in order."""
        if not id_windows and not seq_windows:
            return []
        params = {
            **_bounds("id", "upto", id_bounds),
            **_bounds("seq", "upto", seq_bounds),
            "low_ids": bigint_array([low for low, _ in id_windows]),
            "high_ids": bigint_array([high for _, high in id_windows]),
            "low_seqs": bigint_array([low for low, _ in seq_windows]),
            "high_seqs": bigint_array([high for _, high in seq_windows]),
        }
        return sorted(Late(*row) for row in self._session.transact("find_late", params))

    def claim(
        self,
        *,
        lease_id: int,
        priority: int,
        class_ids: Sequence[int],
        above_ids: Sequence[int],
        above_seqs: Sequence[int],
        returned_max: int,
        each_max: int,
        jobs_max: int,
        upto_ids: Sequence[int] | None = None,
        upto_seqs: Sequence[int] | None = None,
    ) -> Claim | None:
        """Claim up to jobs_max jobs of these classes at one priority, of each up to each_max above its two bounds (and up to two others).

        Up to returned_max come from `returned`, and stand first, then those from `ready`, both in the order of their ids. None:
        nothing claimable, or the host that lease_id names is retired. After StoreUnavailable, ask again with the same lease_id: it
        either claims or finds what the first try claimed, and then nobody knows of which classes that was.
        """
        assert 0 < jobs_max <= CLAIM_JOBS_MAX
        assert 0 <= returned_max <= jobs_max
        params = {
            "lease_id": lease_id,
            "priority": priority,
            "class_ids": bigint_array(class_ids),
            "above_ids": bigint_array(above_ids),
            "above_seqs": bigint_array(above_seqs),
            "upto_ids": upto_ids and bigint_array(upto_ids),
            "upto_seqs": upto_seqs and bigint_array(upto_seqs),
            "returned_max": returned_max,
            "each_max": each_max,
            "jobs_max": jobs_max,
            "again": lease_id == self._unanswered,
        }
        self._unanswered = lease_id
        try:
            rows = self._session.transact("claim_jobs", params)
        except psycopg.errors.UniqueViolation:
            rows = self._session.fetch("read_lease", {"lease_id": lease_id})
        self._unanswered = None
        if not rows or not rows[0][0]:
            return None
        job_ids, attempts, losts = rows[0][:3]
        return Claim(lease_id, job_ids, attempts or [0] * len(job_ids), losts, _shares(rows[0][3:]))

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
        mask = SAMPLE_MASK if len(job_ids) > EACH_JOBS_MAX else 0
        params: dict[str, object] = {"lowest_id": min(job_ids), "highest_id": max(job_ids), "mask": mask}
        name = "read_job_range"
        # What was enqueued at once has ids in a row, and then neither side need handle each of them.
        if params["highest_id"] != job_ids[0] + len(job_ids) - 1 or params["lowest_id"] != job_ids[0]:
            name = "read_jobs" if max(job_ids) - min(job_ids) < NEAR_IDS else "read_scattered_jobs"
            params["job_ids"] = bigint_array(job_ids)
        if self._reader is None or self._reader.rows.connection is not connection:
            self._reader = _Reader(ClientCursor(connection), _JobCursor(connection))
        if len(job_ids) <= FEW_JOBS and self._session.keeps_plans:
            params["job_ids"] = bigint_array(job_ids)
            return self._reader.rows.execute(load("read_scattered_jobs"), params, prepare=True).fetchall()
        # Written-in values let the planner prune partitions; a cursor of psycopg that writes them in can't take binary results.
        message = self._reader.values.mogrify(load(name), params)
        return self._reader.rows.execute(message.encode()).fetchall()


def _bounds(kind: str, name: str, bounds: Bounds) -> dict[str, str]:
    return {
        f"{kind}_classes": bigint_array([class_id for class_id, _ in bounds]),
        f"{kind}_priorities": bigint_array([priority for _, priority in bounds]),
        f"{name}_{kind}s": bigint_array(list(bounds.values())),
    }


def _work(rows: Iterable[Row], class_ids: Collection[int]) -> list[Work]:
    wanted = frozenset(class_ids)
    return sorted(Work(*row) for row in rows if row[0] in wanted)


def _shares(columns: Row) -> tuple[Share, ...]:
    """Bring together what a claim tells of each class, first of `ready`, then of `returned`."""
    if not columns:
        return ()
    ready_classes, ready_counts, last_ids, returned_classes, returned_counts, last_seqs = columns
    found = {of: (count, last) for of, count, last in zip(ready_classes or (), ready_counts, last_ids, strict=False)}
    again = {of: (count, last) for of, count, last in zip(returned_classes or (), returned_counts, last_seqs, strict=False)}
    return tuple(Share(of, *found.get(of, (0, 0)), *again.get(of, (0, 0))) for of in found | again)


class _Reader(NamedTuple):
    """The cursors of one connection that read jobs: kept, because making them costs more than a small read."""

    values: ClientCursor[Any]
    rows: _JobCursor


class _JobCursor(Cursor[JobRow]):
    """A cursor that returns texts as the bytes that came, since nobody here looks into them, and times as the numbers that they are."""

    def __init__(self, connection: DeadlineConnection) -> None:
        super().__init__(connection, row_factory=_job_rows)
        self.adapters.register_loader("text", ByteaBinaryLoader)
        # In binary a time is its microseconds since 2000.
        self.adapters.register_loader("timestamptz", Int8BinaryLoader)
        self.format = psycopg.pq.Format.BINARY


def _job_rows(cursor: Any) -> Any:
    return partial(tuple.__new__, JobRow)
