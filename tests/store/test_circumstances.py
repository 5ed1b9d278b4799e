"""What `farm why` and `farm queues` read: places in the queue, leases, cancels, what runs, and depths."""

from __future__ import annotations

from typing import Any

import pytest

from farm.answers.facts import Ahead
from farm.answers.why import why
from farm.model import OutcomeKind
from farm.store.circumstances import CircumstanceStore
from farm.store.reads import ReadStore
from tests.store.bench import Bench, outcome


@pytest.fixture
def store(bench: Bench) -> CircumstanceStore:
    return CircumstanceStore(bench.session)


def test_what_is_in_front_of_a_job_is_counted(bench: Bench, store: CircumstanceStore) -> None:
    """More urgent ones of its queue, whatever their class; older ones of its own; those that came back before those that never ran."""
    old = bench.enqueue(3, queue="q")
    bench.enqueue(2, queue="q", priority=0)
    bench.enqueue(1, queue="q", priority=3, runner="shell")
    bench.enqueue(5, queue="other", priority=0)
    bench.enqueue(4, queue="q", priority=9)
    (job,) = bench.enqueue(queue="q")
    assert store.facts(job).ahead == Ahead(more_urgent=3, older=3)
    assert store.facts(old[0]).ahead == Ahead(more_urgent=3, older=0)
    host = bench.host("ada")
    claim = bench.claim(host, 2, queue="q", priority=4)
    bench.commit([outcome(claim, position, OutcomeKind.RELEASED) for position in range(2)])
    assert store.facts(job).ahead == Ahead(more_urgent=3, older=3)
    assert store.facts(old[2]).ahead == Ahead(more_urgent=3, older=2)
    assert store.facts(old[1]).ahead == Ahead(more_urgent=3, older=1)
    assert store.facts(job).waiting_queues == {"q", "other"}


def test_who_holds_a_job_and_what_runs_is_known(bench: Bench, store: CircumstanceStore) -> None:
    ids = bench.enqueue(4, queue="q", timeout_s=60)
    host = bench.host("ada")
    claim = bench.claim(host, 4, queue="q")
    bench.commit([outcome(claim, 1)])
    bench.hosts.beat(host, [ids[0]], [12.5], '{"slow": {"running": [1, 1]}}')
    facts = store.facts(ids[3])
    assert facts.hold is not None
    assert (facts.hold.host_id, facts.hold.before, facts.timeout_s) == (host, 2, 60.0)
    told = [(task.host_id, task.lane, task.queue, task.jobs, task.longest_s >= 12.5) for task in facts.running]
    assert told == [(host, "slow", "q", 1, True)]
    assert facts.cancel is None
    bench.sql.execute("SELECT farm.cancel_jobs(%s, 'too late')", [[ids[3]]])
    asked = store.facts(ids[3]).cancel
    assert asked is not None
    assert asked.reason == "too late"
    assert store.facts(ids[1]).hold is None, "it has ended"


def test_what_runs_is_known_by_lane(bench: Bench, store: CircumstanceStore) -> None:
    """Both lanes take from both queues; and one more job is named that has not started."""
    ids = [*bench.enqueue(3, queue="a"), *bench.enqueue(2, queue="b")]
    host = bench.host("ada")
    lanes = '{"fast": {"buffered": 0, "running": [1, 1]}, "idle": {"buffered": 0}, "slow": {"buffered": 0, "running": [2, 4]}}'
    bench.hosts.beat(host, [ids[3], ids[0], ids[1], ids[4], ids[2]], [1.0, 2.0, 9.0, 3.0, 0.0], lanes)
    (waiting,) = bench.enqueue()
    found = {(task.lane, task.queue): (task.jobs, round(task.longest_s)) for task in store.facts(waiting).running}
    assert found == {("fast", "b"): (1, 1), ("slow", "a"): (2, 9), ("slow", "b"): (1, 3)}
    (told,) = ReadStore(bench.session).hosts()
    assert told["lanes"]["default"]["state"] == {}


def test_ids_that_no_job_has_are_told_apart(bench: Bench, store: CircumstanceStore) -> None:
    assert why(store.facts(1)).code == "never"
    (job,) = bench.enqueue()
    bench.sql.execute("SELECT nextval('farm.job_id_seq')")
    assert [why(store.facts(number)).code for number in (job, job + 1, job + 2)] == ["no_host", "not_there", "never"]


def test_depths_are_by_queue(bench: Bench) -> None:
    bench.enqueue(3, queue="a", priority=0)
    bench.enqueue(2, queue="a", memory="1GB")
    bench.enqueue(4, queue="b", delay_s=60)
    bench.enqueue(1, queue="c")
    bench.claim(bench.host("ada"), 1, queue="c")
    rows: dict[str, dict[str, Any]] = {row["queue"]: row for row in ReadStore(bench.session).depths()}
    assert {queue: (row["ready"], row["scheduled"], row["retrying"]) for queue, row in rows.items()} == {
        "a": (5, 0, 0), "b": (0, 4, 0), "c": (0, 0, 0),
    }  # fmt: skip
    assert (rows["a"]["runners"], rows["a"]["memory_mb"], rows["a"]["later_at_least"]) == (["python"], [0, 1000], False)
    assert rows["a"]["oldest_age_s"] >= 0
    assert rows["b"]["oldest_age_s"] is None


def test_counts_stop_after_ten_thousand(bench: Bench, store: CircumstanceStore) -> None:
    (last,) = bench.enqueue(queue="a", priority=9)
    bench.enqueue(queue="b", delay_s=60)
    # Entries alone: jobs would take their time to be made, and nobody looks at them.
    bench.sql.execute(
        "INSERT INTO farm.ready (shard, class_id, priority, job_id) SELECT 0, %s, 4, -n FROM generate_series(1, 12000) AS n",
        [bench.class_id("a")],
    )
    bench.sql.execute(
        "INSERT INTO farm.scheduled (shard, run_at, job_id, class_id, priority, attempt, lost) "
        "SELECT 0, now() + interval '1 h', -n, %s, 4, 0, 0 FROM generate_series(1, 12000) AS n",
        [bench.class_id("b")],
    )
    a, b = ReadStore(bench.session).depths()
    assert (a["ready"], b["scheduled"], b["later_at_least"]) == (10_001, 10_001, True)
    assert store.facts(last).ahead == Ahead(more_urgent=10_001)
