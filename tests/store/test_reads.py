"""What people see of jobs, hosts and queues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import psycopg
import pytest

from farm.headway import Progress
from farm.model import OutcomeKind, State
from farm.store.invariants import check
from farm.store.progress import ProgressStore
from farm.store.reads import ReadStore
from farm.store.session import Session
from farm.store.statements import load
from tests.store.bench import Bench, error, outcome


@pytest.fixture
def reads(bench: Bench) -> ReadStore:
    return ReadStore(bench.session)


def one_of_each(bench: Bench) -> dict[str, int]:
    """Bring one job into each state that there is."""
    ids = bench.enqueue(8, queue="q")
    (scheduled,) = bench.enqueue(queue="q", delay_s=3600)
    host = bench.host("ada")
    claim = bench.claim(host, 7, queue="q")
    kinds = [OutcomeKind.SUCCEEDED, OutcomeKind.REJECTED, OutcomeKind.CANCELLED, OutcomeKind.FAILED, OutcomeKind.RELEASED]
    bench.commit([outcome(claim, position, kind) for position, kind in enumerate(kinds)])
    # Backoff will put jobs into scheduled with attempts used.
    bench.sql.execute("DELETE FROM farm.returned WHERE job_id = %s", [ids[3]])
    bench.sql.execute(
        "INSERT INTO farm.scheduled SELECT id, now() + interval '1 h', class_id, 0, priority, 1, 0 FROM farm.job WHERE id = %s", [ids[3]]
    )
    assert bench.hosts.beat(host, [ids[5]], [12.5])
    names = ["succeeded", "failed", "cancelled", "retrying", "returned", "running", "claimed", "ready"]
    return {**dict(zip(names, ids, strict=True)), "scheduled": scheduled}


def test_every_state_is_shown_with_what_is_known_of_it(bench: Bench, reads: ReadStore) -> None:
    ids = one_of_each(bench)
    seen = {row["id"]: row for row in reads.jobs(limit=100)}
    assert {name: seen[job_id]["state"] for name, job_id in ids.items()} == {name: name if name != "returned" else "ready" for name in ids}
    attempts = {name: seen[job_id]["attempt"] for name, job_id in ids.items()}
    assert attempts == {
        "succeeded": 1, "failed": 0, "cancelled": 1, "retrying": 1, "returned": 0, "running": 1, "claimed": 0, "ready": 0, "scheduled": 0,
    }  # fmt: skip
    assert {name for name, job_id in ids.items() if seen[job_id]["host"] == "ada"} == {
        "succeeded",
        "failed",
        "cancelled",
        "running",
        "claimed",
    }
    assert {name for name, job_id in ids.items() if seen[job_id]["started_at"] is not None} == {"succeeded", "cancelled", "running"}
    assert {name for name, job_id in ids.items() if seen[job_id]["run_at"] is not None} == {"scheduled", "retrying"}
    succeeded, failed = seen[ids["succeeded"]], seen[ids["failed"]]
    assert (succeeded["result"], succeeded["error"], succeeded["task"], succeeded["args"]) == ({"n": 1}, None, "tests:job", [])
    assert (failed["result"], failed["error"]["type"]) == (None, "rejected")
    assert check(bench.session) == []


def test_jobs_are_listed_newest_first_by_state_and_queue(bench: Bench, reads: ReadStore) -> None:
    ids = one_of_each(bench)
    other = bench.enqueue(3, queue="other")
    assert [row["id"] for row in reads.jobs(limit=2)] == other[:0:-1]
    assert [row["id"] for row in reads.jobs(queue="other")] == other[::-1]
    for state in State:
        found = [row["id"] for row in reads.jobs(state=state, queue="q")]
        expected = [job_id for name, job_id in ids.items() if name == state or (name == "returned" and state == State.READY)]
        assert found == sorted(expected, reverse=True)
    assert reads.jobs(state="ready", queue="nowhere") == []


def test_one_job_is_shown_with_every_attempt(bench: Bench, reads: ReadStore) -> None:
    """Those that failed, the one that runs, the one that succeeded, an end without a start, and the retries by hand in between."""
    (job_id,) = bench.enqueue()
    host = bench.host("ada")

    def shown() -> list[tuple[Any, ...]]:
        job = reads.job(job_id)
        assert job is not None
        return [(a["attempt"], a["kind"], a["host"], a["error"] and a["error"]["message"]) for a in job["attempts"]]

    for kind in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT):
        bench.commit([outcome(bench.claim(host), 0, kind)])
    tried: list[tuple[Any, ...]] = [(1, "failed", "ada", "it failed"), (2, "timed_out", "ada", "it timed_out")]
    assert shown() == tried
    claim = bench.claim(host)
    assert shown() == tried
    bench.hosts.beat(host, [job_id], [7.0])
    assert shown() == [*tried, (3, "running", "ada", None)]
    job = reads.job(job_id)
    assert job is not None
    assert 7 <= job["attempts"][-1]["took_s"] < 60
    bench.commit([outcome(claim, 0, OutcomeKind.REJECTED)])
    tried.append((None, "failed", "ada", "it rejected"))
    assert shown() == tried
    assert bench.value("SELECT farm.retry_jobs(%s, 'eve')", [job_id]) == [job_id]
    tried[-1] = (0, "retried", None, "tried again by hand")
    assert shown() == tried
    bench.commit([outcome(bench.claim(host), 0)])
    assert shown() == [*tried, (1, "succeeded", "ada", None)]
    job = reads.job(job_id)
    assert job is not None
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert [a["took_s"] for a in job["attempts"]] == [1, 1, None, 1]
    assert (job["retry"], job["expires_at"], job["memory_bytes"]) == (None, None, None)
    assert reads.job(job_id + 1) is None


def test_one_job_is_shown_with_what_it_was_enqueued_with(bench: Bench, reads: ReadStore) -> None:
    for retry, shown in (("1.5 to 600", "1500ms to 10m"), ("0 d", "0s"), ("7200", "2h")):
        (job_id,) = bench.enqueue(retry=retry, expires_s=90.0, memory="300MB")
        job = reads.job(job_id)
        assert job is not None
        assert (job["retry"], job["memory_bytes"]) == (shown, 512_000_000)
        assert (job["expires_at"] - job["created_at"]).total_seconds() == 90
        assert not {"retry_base_ms", "retry_cap_ms", "memory_mb"} & job.keys()


def test_the_view_hides_the_error_of_no_job_and_keeps_json(bench: Bench, reads: ReadStore) -> None:
    (job_id,) = bench.enqueue(max_attempts=1)
    bench.commit([outcome(bench.claim(bench.host()), 0, OutcomeKind.FAILED, payload=error("Oops \u2713"))])
    assert bench.value("SELECT error->>'message' FROM farm.jobs WHERE id = %s AND state = 'failed'", job_id) == "it Oops \u2713"


def test_the_status_counts_what_waits_and_what_runs(bench: Bench, reads: ReadStore) -> None:
    assert reads.status() == {"hosts": [], "queues": [], "claimed": 0, "running": 0, "scheduled": 0, "next_due_s": None}
    one_of_each(bench)
    bench.sql.execute("SELECT farm.enqueue('a:b', queue => 'big') FROM generate_series(1, 10010)")
    status = reads.status()
    assert [(queue["queue"], queue["ready"], queue["ready_at_least"]) for queue in status["queues"]] == [
        ("big", 10001, True),
        ("q", 2, False),
    ]
    assert all(0 <= queue["oldest_age_s"] < 600 for queue in status["queues"])
    assert (status["claimed"], status["running"], status["scheduled"]) == (2, 1, 2)
    assert 3000 < status["next_due_s"] <= 3600
    (host,) = status["hosts"]
    assert (host["name"], host["state"], host["running"], host["capacity"], host["lanes"]) == (
        "ada",
        "live",
        1,
        2,
        {"default": {"queues": ["*"], "state": {}}},
    )


PLANTED = [
    (
        "INSERT INTO farm.ready (class_id, priority, job_id) SELECT class_id, priority, id FROM farm.job WHERE id = %(succeeded)s",
        "2 places",
    ),
    ("INSERT INTO farm.returned SELECT id, class_id, 0, priority, 0, 0 FROM farm.job WHERE id = %(running)s", "2 places"),
    ("DELETE FROM farm.ready", "stands nowhere"),
    ("INSERT INTO farm.ready (class_id, priority, job_id) VALUES (1, 4, 4000)", "there is no such job"),
    ("UPDATE farm.lease SET done = set_bit(done, 5, 1)", "stands nowhere"),
    ("UPDATE farm.lease SET done = set_bit(done, 0, 0)", "2 places"),
    ("UPDATE farm.lease SET done = done || '\\x00'", "its numbers do not agree"),
    ("UPDATE farm.lease SET attempts = '{1}'", "its numbers do not agree"),
    ("UPDATE farm.lease SET done = '\\x7f'", "its numbers do not agree"),
    (
        "INSERT INTO farm.result (job_id, shard, status, attempt, finished_at, value) VALUES (%(succeeded)s, 1, 1, 1, now(), '1')",
        "has 2 results",
    ),
    ("UPDATE farm.result SET value = NULL", "without a value"),
    ("UPDATE farm.result SET error = NULL", "has no error"),
    ("UPDATE farm.job SET run_at = now() + interval '1 h'", "before it was due"),
    ("UPDATE farm.result SET attempt = 6 WHERE status = 2", "used 6 attempts of 5"),
    ("UPDATE farm.job SET max_attempts = 1; UPDATE farm.scheduled SET attempt = 2", "used 2 attempts of 1"),
    ("DELETE FROM farm.failure", "0 failures are kept, not 1"),
    ("UPDATE farm.scheduled SET priority = 7", "another class or priority"),
    ("DELETE FROM farm.host", "never registered"),
    ("DELETE FROM farm.heartbeat", "forgotten"),
    ("UPDATE farm.heartbeat SET state = 'retired', beat_at = now() - interval '1 h'", "retired long ago"),
]


class OneTransaction:
    """Stands in for a session, so that what was planted can be looked at and taken back."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def fetch(self, name: str, params: Mapping[str, Any], *, deadline_s: float, plan: str) -> list[tuple[Any, ...]]:
        assert deadline_s > 0
        assert plan in ("", "plan_by_hash")
        return self._connection.execute(load(name), params).fetchall()


def test_every_planted_violation_is_found(bench: Bench) -> None:
    ids = one_of_each(bench)
    assert check(bench.session) == []
    for statement, finding in PLANTED:
        with bench.sql.transaction(force_rollback=True):
            psycopg.ClientCursor(bench.sql).execute(statement.encode(), ids)
            found = check(cast(Session, OneTransaction(bench.sql)))
        assert any(finding in line for line in found), (statement, found)
    assert check(bench.session) == []


def test_progress_is_shown_of_jobs_that_run(bench: Bench, reads: ReadStore) -> None:
    """By the last heartbeat, on a host that lives, and only until there is a result; each job with what it has said itself."""
    ids = bench.enqueue(3)
    host = bench.host("ada")
    claim = bench.claim(host, 3)
    bench.hosts.tell_progress(host, {ids[0]: Progress(0.5, "half"), ids[1]: Progress(None, "größe"), ids[2]: Progress(1.0, "")})

    def shown() -> list[Any]:
        listed = [row["progress"] for row in reads.jobs(limit=3)][::-1]
        jobs = [reads.job(job_id) for job_id in ids]
        assert listed == [job and job["progress"] for job in jobs]
        read = ProgressStore(bench.session).read(ids)
        assert listed == [read[job_id]._asdict() if job_id in read else None for job_id in ids]
        return listed

    assert shown() == [None] * 3
    bench.hosts.beat(host, ids[:2], [1.0, 1.0])
    assert shown() == [{"fraction": 0.5, "text": "half"}, {"fraction": None, "text": "größe"}, None]
    bench.hosts.tell_progress(host, {ids[1]: Progress(0.25, "")})
    assert shown() == [None, {"fraction": 0.25, "text": ""}, None]
    bench.commit([outcome(claim, 1)])
    assert shown() == [None] * 3
    bench.hosts.retire(host, None)
    bench.sql.execute("UPDATE farm.heartbeat SET beat_at = beat_at - interval '2 h'")
    bench.sql.execute("DELETE FROM farm.lease")
    assert bench.upkeep.prune_hosts() == [host]
    assert bench.value("SELECT count(*) FROM farm.progress") == 0


def test_hosts_are_shown_with_how_their_lanes_do(bench: Bench, reads: ReadStore) -> None:
    """What a beat leaves out is as it was; a description that is told anew takes the place of the first."""
    host = bench.host("ada")
    bench.hosts.beat(host, [], [], '{"fast": {"serving": 1, "of": 1, "busy": 93}}', ["mail"])
    bench.hosts.describe(host, lanes={"fast": {"queues": ["q"]}}, runners=["python"], capacity=7, memory_bytes=8)
    bench.hosts.beat(host, [], [])
    (shown,) = reads.status()["hosts"]
    assert shown["lanes"] == {"fast": {"queues": ["q"], "state": {"serving": 1, "of": 1, "busy": 93, "running": 0}}}
    # In the order of the configuration, which jsonb does not keep.
    lanes = {name: {"place": place} for place, name in enumerate(("small", "b", "a", "default"))}
    bench.hosts.describe(host, lanes=lanes, runners=["python"], capacity=7, memory_bytes=8)
    assert list(reads.hosts()[0]["lanes"]) == list(lanes)
    assert (shown["paused_queues"], shown["runners"], shown["capacity"], shown["memory_bytes"]) == (["mail"], ["python"], 7, 8)


def test_a_beat_leaves_the_indexes_alone(bench: Bench) -> None:
    """The row is rewritten every second: each time on its page, whatever it says of lanes."""
    host = bench.host("ada")
    lanes = json.dumps({f"lane{number}": {"serving": 8, "of": 8, "busy": 93, "busy_60s": 90, "buffered": 2000} for number in range(8)})
    for beat in range(200):
        bench.hosts.beat(host, [beat], [1.0], lanes.replace("2000", str(beat)), [])
    bench.session.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
    bench.hosts.beat(host, [], [])
    updates = bench.sql.execute("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'heartbeat'").fetchone()
    assert updates is not None
    assert updates[1] >= updates[0] * 0.9
