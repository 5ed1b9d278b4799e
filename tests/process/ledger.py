"""What the database says of the jobs of a test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from farm.store import invariants
from farm.store.session import Session
from tests.process.crew import wait_for

PLACES = """
SELECT 'ready' AS place, job_id, 0 AS attempt, 0 AS lost FROM farm.ready
UNION ALL SELECT 'returned', job_id, attempt, lost FROM farm.returned
UNION ALL SELECT 'scheduled', job_id, attempt, lost FROM farm.scheduled
UNION ALL SELECT 'leased', u.job_id, coalesce(l.attempts[u.position], 0), coalesce(l.losts[u.position], 0)
    FROM farm.lease AS l CROSS JOIN LATERAL unnest(l.job_ids) WITH ORDINALITY AS u (job_id, position)
    WHERE get_bit(l.done, (u.position - 1)::int) = 0
UNION ALL SELECT 'result', job_id, attempt, 0 FROM farm.result
"""


class Place(NamedTuple):
    """Where one job stands."""

    place: str
    attempt: int
    lost: int


class Ledger:
    """Enqueues and looks, on short connections of its own: the server of a test may go away between two calls."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def query(self, statement: str, *values: object) -> list[Any]:
        """Run one statement; rows are named tuples."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=namedtuple_row, connect_timeout=10) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def enqueue(self, task: str, args: object = (), **options: object) -> int:
        """Enqueue one job of module chores, or any task with a colon."""
        return self.enqueue_all([(task, args)], **options)[0]

    def enqueue_all(self, jobs: list[tuple[str, object]], **options: object) -> list[int]:
        """Enqueue jobs with the same options in one transaction; returns their ids."""
        named = "".join(f", {name} => %s" for name in options)
        statement = f"SELECT farm.enqueue(%s, %s{named})"
        ids: list[int] = []
        with psycopg.connect(self.dsn) as connection:
            for task, args in jobs:
                full = task if ":" in task else f"chores:{task}"
                given = Jsonb(list(args) if isinstance(args, tuple) else args)
                row = connection.execute(statement.encode(), (full, given, *options.values())).fetchone()
                assert row is not None
                ids.append(row[0])
        return ids

    def enqueue_marks(self, number: int, effects: Path, *, seconds: float = 0.0) -> dict[int, int]:
        """Enqueue that many jobs that leave a line each; returns job ids by number."""
        rows = self.query(
            "SELECT n, farm.enqueue('chores:mark', jsonb_build_array(%s::text, n, %s::float8)) AS id FROM generate_series(1, %s::int) AS n",
            str(effects),
            seconds,
            number,
        )
        return {row.n: row.id for row in rows}

    def result(self, job_id: int) -> Any:
        """Wait for a job's result: status (1 succeeded, 2 failed), attempt, value, error, started_at, finished_at."""
        return wait_for(lambda: self.query("SELECT * FROM farm.result WHERE job_id = %s", job_id), f"a result of job {job_id}")[0]

    def error(self, job_id: int) -> str:
        """Wait for a job to fail; returns `Type: message`."""
        row = self.result(job_id)
        assert (row.status, row.value) == (2, None), row
        return f"{row.error['type']}: {row.error['message']}"

    def failures(self, job_id: int) -> list[str]:
        """Return what each used attempt of a job that did not succeed came to."""
        rows = self.query("SELECT kind FROM farm.failure WHERE job_id = %s ORDER BY attempt, finished_at", job_id)
        return [row.kind for row in rows]

    def results(self) -> dict[int, Any]:
        """Return all results by job id."""
        return {row.job_id: row for row in self.query("SELECT * FROM farm.result")}

    def settled(self) -> int:
        """Count results."""
        return int(self.query("SELECT count(*) AS n FROM farm.result")[0].n)

    def places(self) -> dict[int, Place]:
        """Return where each job stands. Fails if one stands in two places."""
        rows = self.query(PLACES)
        found = {row.job_id: Place(row.place, row.attempt, row.lost) for row in rows}
        assert len(found) == len(rows), [job_id for job_id, n in Counter(row.job_id for row in rows).items() if n > 1]
        return found

    def check(self) -> None:
        """Look that every job stands in exactly one place, and that all that the database can show is as it must be."""
        jobs = {row.id for row in self.query("SELECT id FROM farm.job")}
        assert set(self.places()) == jobs
        session = Session(self.dsn, application_name="tests")
        try:
            assert invariants.check(session) == []
        finally:
            session.close()

    def check_all_ended(self) -> None:
        """Look that every job has exactly one result and stands nowhere else, and that no lease and no living host is left."""
        self.check()
        assert {place.place for place in self.places().values()} <= {"result"}
        assert self.query("SELECT id FROM farm.lease") == []

    def live_hosts(self) -> list[int]:
        return [row.host_id for row in self.query("SELECT host_id FROM farm.heartbeat WHERE state = 'live' ORDER BY host_id")]


def effects_of(path: Path) -> Counter[int]:
    """Count the lines that each job has left, by its number."""
    return Counter(int(line.split()[0]) for line in path.read_text().splitlines()) if path.exists() else Counter()


def effects_left(path: Path) -> int:
    """Count all lines."""
    return path.read_bytes().count(b"\n") if path.exists() else 0
