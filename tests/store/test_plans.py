"""How PostgreSQL carries out the hot statements, whatever its statistics say: by keys, and in the partitions concerned alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from farm.model import KEEP_ALL
from farm.store.prunes import PruneStore
from farm.store.statements import compose, load
from tests.store.bench import Bench

JOBS = 3000
HOT = {"ready", "returned", "scheduled", "lease", "heartbeat", "job", "result", "failure", "waiter", "cancel_request"}

LOOKS: dict[str, dict[str, Any]] = {
    "find_late": {
        "id_classes": "{1}",
        "id_priorities": "{4}",
        "upto_ids": "{1000}",
        "low_ids": "{0,500}",
        "high_ids": "{100,1000}",
        "seq_classes": "{1}",
        "seq_priorities": "{4}",
        "upto_seqs": "{1000}",
        "low_seqs": "{0}",
        "high_seqs": "{1000}",
    },
    "read_lease": {"lease_id": 1 << 32},
    "read_jobs": {"lowest_id": 1, "highest_id": 2000, "mask": 63, "job_ids": "{1,2,3,2000}"},
    "read_scattered_jobs": {"lowest_id": 1, "highest_id": 2000, "mask": 0, "job_ids": "{1,2,3,2000}"},
    "read_job_range": {"lowest_id": 1, "highest_id": 2000, "mask": 63},
    "lock_leases": {"lease_ids": "{4294967297,4294967298}"},
    "read_limits": {"lowest_id": 1, "highest_id": 2000, "job_ids": "{1,2,3,2000}"},
    "count_crashes": {"lowest_id": 1, "highest_id": 2000, "job_ids": "{1,2,3,2000}"},
    "find_written": {"job_ids": "{1,2}", "lease_ids": "{3,4}"},
    "return_jobs": {
        "returned_ids": "{1,2}",
        "returned_attempts": "{1,1}",
        "returned_losts": "{0,0}",
        "returned_lowest": 1,
        "returned_highest": 2,
    },
    "postpone_jobs": {
        "later_ids": "{1,2}",
        "later_attempts": "{1,1}",
        "later_losts": "{0,0}",
        "later_lowest": 1,
        "later_highest": 2,
        "delays_us": "{1000,2000}",
    },
    "mark_done": {"marked_ids": "{4294967297,4294967298}", "bits": [b"\1", b"\2"]},
    "drop_leases": {"full_ids": "{4294967297,4294967298}"},
    "register_waiters": {"lowest_id": 1, "highest_id": 2000, "job_ids": "{1,2,3,2000}", "first": True},
    "read_ends": {"lowest_id": 1, "highest_id": 2000, "job_ids": "{1,2,3,2000}"},
    "count_leases": {"host_id": 1},
    "list_progress": {"job_ids": "{1,2,3,2000}"},
    "list_orphaned_hosts": {},
    "reap_leases": {"host_id": 1, "started": None, "tasks": ["tests:job"], "limits": [1]},
    "list_started_tasks": {"host_id": 1, "started": None},
    "list_failed": {"queue": "default", "since": None, "above_id": 0, "limit": 1000},
    "promote_jobs": {"jobs_max": 1000},
    "list_cancels": {"host_id": 1, "limit": 100},
    "page_ready": {"class_id": 1, "priority": 4, "above_id": 7, "jobs_max": 1000, "task": "a:%"},
    "page_returned": {"class_ids": [1], "above_id": 7, "jobs_max": 1000, "task": "a:%"},
    "page_scheduled": {"class_ids": [1], "above_id": 7, "jobs_max": 1000, "task": "a:%", "new": True, "retrying": False},
    "page_leases": {"class_ids": [1], "above_id": 7, "leases_max": 2, "task": "a:%", "running": True, "claimed": False},
}
"""The hot statements, each with values as its store sends them."""

PLACES = {"ready", "returned", "scheduled", "lease", "result"}

ONE_PARTITION = {"read_jobs", "read_scattered_jobs", "read_job_range", "read_limits", "count_crashes", "return_jobs", "postpone_jobs"}


class Plan:
    """A plan, flattened."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.nodes = list(_walk(root))

    def scans(self, table: str) -> set[str]:
        """Return how a table, or partitions of it, are read: `Seq Scan`, `Tid Scan`, or the name of an index."""
        found = set()
        for node in self.nodes:
            relation = str(node.get("Relation Name", ""))
            if (relation == table or relation.startswith(f"{table}_p")) and node["Node Type"].endswith("Scan"):
                found.add(str(node.get("Index Name", node["Node Type"])))
        return found

    def partitions(self, table: str) -> set[str]:
        return {name for node in self.nodes if (name := str(node.get("Relation Name", ""))).startswith(f"{table}_p")}

    @property
    def whole(self) -> set[str]:
        """The hot tables that are read from end to end."""
        return {table for table in HOT if "Seq Scan" in self.scans(table)}


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _walk(inner)


def explain(bench: Bench, name: str, params: dict[str, Any]) -> Plan:
    """Plan a statement as transact does, and throw it away."""
    with bench.sql.transaction(force_rollback=True), psycopg.ClientCursor(bench.sql) as cursor:
        cursor.execute(compose("plan_by_index"))
        cursor.execute(b"EXPLAIN (FORMAT JSON) " + compose(name), params)
        return _plan(cursor)


def _plan(cursor: psycopg.Cursor[Any]) -> Plan:
    row = cursor.fetchone()
    assert row is not None
    return Plan((row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"])


def fill(bench: Bench) -> None:
    """File jobs, and give every table some rows."""
    bench.enqueue(JOBS)
    bench.enqueue(50, delay_s=3600)
    bench.sql.execute("INSERT INTO farm.returned SELECT job_id, class_id, 0, priority, 0, 0 FROM farm.ready LIMIT 100")
    bench.sql.execute("""
        INSERT INTO farm.result (job_id, status, attempt, finished_at, value)
        SELECT id, 1, 1, now(), '1' FROM farm.job ON CONFLICT DO NOTHING""")
    bench.sql.execute(
        "INSERT INTO farm.failure SELECT id, 1, now(), now(), 0, 1, 'failed', '{}' FROM farm.job LIMIT 200 ON CONFLICT DO NOTHING"
    )
    host = bench.host()
    for _ in range(20):
        bench.claim(host, 50)


def age_statistics(bench: Bench, age: str) -> None:
    """Fill the tables, with statistics that are missing, or true, or say that all is empty."""
    fill(bench)
    if age == "of empty tables":
        # Rows that come and go leave pages behind, so that VACUUM can note how few rows stand on them: none.
        bench.sql.execute("DELETE FROM farm.ready; DELETE FROM farm.returned; DELETE FROM farm.scheduled; DELETE FROM farm.lease")
        bench.sql.execute("VACUUM ANALYZE")
        fill(bench)
    if age == "of a pruned partition":
        # All of it stays, so it is as large as before, in other tables.
        prunes = PruneStore(bench.session)
        assert prunes.begin_next(0.0)
        (partition,) = prunes.partitions()
        assert prunes.begin(partition, partition, KEEP_ALL)
        while prunes.go_on(10_000, 1.0).state == "copying":
            pass
        assert prunes.finish(1000) == "pruned"
    if age == "true":
        bench.sql.execute("VACUUM ANALYZE")


AGES = pytest.mark.parametrize("age", ["missing", "of empty tables", "true", "of a pruned partition"])


@AGES
def test_hot_statements_go_by_keys_and_by_ctid(bench: Bench, age: str) -> None:
    age_statistics(bench, age)
    for name, params in LOOKS.items():
        plan = explain(bench, name, params)
        assert plan.whole <= {"heartbeat"}, name
        if name in ONE_PARTITION:
            assert len(plan.partitions("job") | plan.partitions("failure")) == 1, name
        _check_details(name, plan)


@AGES
def test_plans_that_are_kept_are_as_good(bench: Bench, age: str) -> None:
    """The parts that keep their plans have them made without values."""
    if bench.sql.info.server_version < 160000:
        pytest.skip("EXPLAIN (GENERIC_PLAN) is of PostgreSQL 16")
    age_statistics(bench, age)
    for name, params in LOOKS.items():
        if name in ONE_PARTITION:
            continue  # always sent with its values written in
        statement = compose(name)
        for number, param in enumerate(params, 1):
            statement = statement.replace(b"%%(%s)s" % param.encode(), b"$%d" % number)
        with bench.sql.transaction(force_rollback=True), psycopg.ClientCursor(bench.sql) as cursor:
            cursor.execute(compose("plan_by_index"))
            cursor.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + statement)
            plan = _plan(cursor)
        assert plan.whole <= {"heartbeat"}, name
        _check_details(name, plan)


def _check_details(name: str, plan: Plan) -> None:
    if name == "find_late":
        assert plan.scans("ready") == {"ready_pkey"}
        assert plan.scans("returned") == {"returned_pkey"}
    if name == "promote_jobs":
        assert plan.scans("scheduled") == {"scheduled_pkey", "Tid Scan"}
    if name == "list_failed":
        assert all("shard_job_id" in index for index in plan.scans("result")), plan.scans("result")
    if name in ("reap_leases", "return_jobs", "postpone_jobs", "list_started_tasks", "list_failed"):
        assert all(index.endswith("_pkey") for index in plan.scans("job")), name


@AGES
def test_a_look_for_work_reads_no_table_whole(bench: Bench, age: str) -> None:
    age_statistics(bench, age)

    def counts() -> list[tuple[Any, ...]]:
        # Statistics are sent when a transaction ends, at the latest when the connection does.
        bench.session.close()
        bench.sql.execute("SELECT pg_stat_force_next_flush()")
        return bench.rows(
            "SELECT relname, coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE relname IN ('ready', 'returned') ORDER BY 1"
        )

    before = counts()
    for _ in range(12):
        assert bench.claims.find_work([1], {(1, 4): 5}, {(1, 4): 5})
        assert bench.claims.find_work([1])
    assert counts() == before


def test_a_retry_by_hand_reads_no_table_whole(bench: Bench) -> None:
    fill(bench)
    bench.sql.execute("UPDATE farm.result SET status = 2, value = NULL, error = '{}' WHERE job_id <= 500")

    def read_whole() -> int:
        bench.sql.execute("SELECT pg_stat_force_next_flush()")
        return int(bench.value("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname ~ '^(job|result|failure)_p|^returned$'"))

    bench.sql.execute("DELETE FROM farm.ready; DELETE FROM farm.lease; DELETE FROM farm.returned")
    before = read_whole()
    assert len(bench.value("SELECT farm.retry_jobs(ARRAY(SELECT generate_series(1, 1000)))")) == 500
    assert read_whole() == before


VIEW = {
    "WHERE id = 1234": PLACES,
    "WHERE id = ANY ('{1234, 99999}')": PLACES,
    "WHERE state = 'succeeded' ORDER BY id DESC LIMIT 20": {"result"},
    "WHERE state = 'failed' ORDER BY id DESC LIMIT 20": {"result"},
    "WHERE state = 'cancelled' ORDER BY id DESC LIMIT 20": {"result"},
    "WHERE state = 'ready' AND id = 99999": {"ready", "returned"},
    "WHERE state = 'ready' AND queue = 'rare'": {"ready", "returned"},
    "WHERE state = 'scheduled' AND id = 1234": {"scheduled"},
    "WHERE state = 'retrying'": {"scheduled"},
    "WHERE state = 'claimed'": {"lease"},
    "WHERE state = 'running'": {"lease"},
    "WHERE state = 'blocked'": set(),
}
"""Looks at the view, and the places in which jobs of that kind can be."""

LARGE = {"job_p1", "result_p1", "ready"}


def fill_plenty(bench: Bench) -> None:
    bench.enqueue(2, queue="rare")
    bench.enqueue(30, delay_s=3600)
    bench.sql.execute("""
        INSERT INTO farm.job (id, class_id, priority, task, args)
        SELECT nextval('farm.job_id_seq'), c.id, 4, 'tests:job', '[]'
        FROM farm.class AS c, generate_series(1, 100000) WHERE c.queue = 'default'""")
    bench.sql.execute("""
        INSERT INTO farm.result (job_id, lease_id, status, attempt, finished_at, value)
        SELECT id, 1::bigint << 32, CASE WHEN id % 200 = 0 THEN 2 ELSE 1 END, 1, now(), '1'
        FROM farm.job WHERE id BETWEEN 100 AND 80000""")
    bench.sql.execute("INSERT INTO farm.ready (class_id, priority, job_id) SELECT class_id, priority, id FROM farm.job WHERE id > 80000")
    host = bench.host()
    for _ in range(5):
        bench.claim(host, 50)
    bench.sql.execute("VACUUM ANALYZE")


def test_the_view_looks_only_where_a_job_can_be_and_reads_nothing_large_whole(bench: Bench) -> None:
    fill_plenty(bench)
    for where, places in VIEW.items():
        with psycopg.ClientCursor(bench.sql) as cursor:
            cursor.execute(b"EXPLAIN (FORMAT JSON) SELECT * FROM farm.jobs " + where.encode())
            plan = _plan(cursor)
        assert {place for place in PLACES if plan.scans(place)} == places, where
        if "queue" not in where:
            # How many jobs a queue has, the planner cannot know from its name.
            assert not {str(node.get("Relation Name")) for node in plan.nodes if node["Node Type"] == "Seq Scan"} & LARGE, where
        if where.startswith("WHERE id = 1234"):
            assert len(plan.partitions("result")) == 1, where
        if "'failed'" in where or "'cancelled'" in where:
            assert any("shard_job_id" in scan for scan in plan.scans("result")), where
        if "LIMIT" in where:
            # An empty partition may well be sorted.
            assert max([0, *(node["Plan Rows"] for node in plan.nodes if node["Node Type"] == "Sort")]) < 1000, where


def test_the_newest_jobs_are_found_from_the_ends_of_keys(bench: Bench) -> None:
    fill_plenty(bench)
    for name in ("list_newest", "list_finished", "list_ready", "list_scheduled"):
        for queue in (None, "default"):
            with psycopg.ClientCursor(bench.sql) as cursor:
                cursor.execute(b"EXPLAIN (FORMAT JSON) " + compose(name), {"queue": queue, "state": "ready", "status": 2, "limit": 20})
                plan = _plan(cursor)
            assert not {str(node.get("Relation Name")) for node in plan.nodes if node["Node Type"] == "Seq Scan"} & LARGE, (name, queue)


@pytest.mark.parametrize("name", ["check_attempts", "check_places", "check_results"])
def test_a_check_walks_through_no_table_for_every_row_of_another(bench: Bench, name: str) -> None:
    """Not even where there are no statistics, as after a crash of the server: with a million jobs that would take days."""
    with bench.sql.transaction(force_rollback=True), psycopg.ClientCursor(bench.sql) as cursor:
        cursor.execute(load("plan_by_hash"))
        cursor.execute(b"EXPLAIN (FORMAT JSON) " + load(name), {"attempts_max": 5})
        row = cursor.fetchone()
    assert row is not None
    loops = [node for node in _walk(row[0][0]["Plan"]) if node["Node Type"] == "Nested Loop"]
    inner = {node["Plans"][1]["Node Type"] for node in loops}
    assert inner <= {"Function Scan"}, "a list may be unfolded for each row"
