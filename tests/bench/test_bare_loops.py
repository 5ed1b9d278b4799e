"""The bare SQL loops against which the farm is measured: they must do the farm's work whole, or the ratio means nothing."""

from __future__ import annotations

import psycopg

from bench.bare_loops import run_bare
from bench.database import ARGS, NOOP
from farm.client import Client
from farm.store import invariants
from farm.store.session import Session

JOBS = 70


def test_they_settle_every_job_as_the_farm_would(dsn: str) -> None:
    with Client(dsn) as client:
        job_ids = client.enqueue_many({"task": NOOP, "args": ARGS} for _ in range(JOBS))

    run_bare(dsn, 20)

    session = Session(dsn, application_name="tests")
    try:
        assert invariants.check(session) == []
    finally:
        session.close()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT id, state, attempt, result, host FROM farm.jobs ORDER BY id").fetchall()
        leases = connection.execute("SELECT count(*) FROM farm.lease").fetchone()
        results_of = connection.execute("SELECT count(DISTINCT lease_id) FROM farm.result").fetchone()
    assert rows == [(job_id, "succeeded", 1, {}, "bare loops") for job_id in job_ids]
    assert leases == (0,)
    assert results_of == (4,)
