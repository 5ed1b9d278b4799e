"""The measurements of shapes: what can be said of them without measuring."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from bench.breadth import BEHIND, PARTITION_IDS, fill_partitions
from bench.database import query
from bench.drain import fill_parked
from bench.producer import Filed, Rates, Stretch, enqueued
from bench.tasks import stumble
from farm.store.claims import ClaimStore
from farm.store.session import Session


def test_parked_jobs_are_claimable_when_they_are_released_and_not_before(dsn: str) -> None:
    fill_parked(dsn, 10, queues=("a", "b"))
    before = _runners(dsn)
    query(dsn, "release_parked")
    released = _runners(dsn)
    query(dsn, "park_jobs")

    assert before == _runners(dsn) == {"a": "parked", "b": "parked"}
    assert released == {"a": "python", "b": "python"}
    assert query(dsn, "is_queue_empty") == [(False,)]


def test_jobs_are_put_near_the_newest_of_so_many_partitions(dsn: str) -> None:
    fill_partitions(dsn, 10, partitions=12)

    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT min(id) / %s, max(id) / %s, count(*) FROM farm.job", [PARTITION_IDS, PARTITION_IDS]).fetchone()
    assert found == (12 - BEHIND, 12 - BEHIND, 10)


def test_a_rate_runs_from_commit_to_commit() -> None:
    filed = [Filed(at_s, 100) for at_s in (0.5, 1.0, 1.5, 3.0, 3.5)]

    assert enqueued(filed, Stretch(0.9, 3.2)) == 200 / 2.0
    with pytest.raises(RuntimeError, match="no measurement"):
        enqueued(filed, Stretch(0.9, 1.1))


def test_both_at_once_are_a_share_of_both_alone() -> None:
    assert Rates(claim_alone=100, enqueue_alone=300, claim=60, enqueue=140).share == 0.5


def test_a_job_stumbles_once_and_others_never(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.write_bytes(bytes(3))

    with pytest.raises(RuntimeError):
        stumble(marks=str(marks), place=1)

    assert stumble(marks=str(marks), place=1) == stumble(customer=1) == {}
    assert marks.read_bytes() == b"\0\1\0"


def _runners(dsn: str) -> dict[str, str]:
    session = Session(dsn, application_name="tests")
    try:
        return {found.queue: found.runner for found in ClaimStore(session).classes().values()}
    finally:
        session.close()
