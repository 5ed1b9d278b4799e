"""Claiming: what comes, in which order, for whom, and what a lost answer does."""

from __future__ import annotations

import json

import pytest

from farm.model import OutcomeKind
from farm.store.claims import ClaimStore, Work
from farm.store.session import Session
from tests.store.bench import Bench, outcome, outcomes


def test_jobs_come_in_the_order_in_which_they_were_enqueued(bench: Bench) -> None:
    ids = bench.enqueue(10)
    host = bench.host()
    assert bench.claim(host, 4).job_ids == ids[:4]
    claim = bench.claim(host, 10)
    assert claim.job_ids == ids[4:]
    assert claim.from_ready == 6
    assert claim.attempts == [0] * 6
    assert claim.losts is None
    assert bench.value("SELECT count(*) FROM farm.ready") == 0


def test_a_claim_takes_one_priority_of_one_class_above_a_bound(bench: Bench) -> None:
    ids = bench.enqueue(3)
    bench.enqueue(2, priority=2)
    bench.enqueue(2, queue="other")
    claim = bench.claims.claim(
        lease_id=bench.lease_id(bench.host()), class_id=bench.class_id(), priority=4, above_id=ids[0], returned_max=0, jobs_max=10
    )
    assert claim is not None
    assert claim.job_ids == ids[1:]


def test_what_came_back_is_claimed_first_with_its_attempts_and_up_to_a_limit(bench: Bench) -> None:
    ids = bench.enqueue(6)
    host = bench.host()
    first = bench.claim(host, 4)
    bench.commit([outcome(first, 0, OutcomeKind.FAILED), outcome(first, 1, OutcomeKind.RELEASED), outcome(first, 2, OutcomeKind.FAILED)])
    claim = bench.claim(host, 4, returned_max=2)
    assert claim.job_ids == [ids[0], ids[1], ids[4], ids[5]]
    assert claim.attempts == [1, 0, 0, 0]
    assert claim.from_ready == 2
    assert bench.claim(host, 4).job_ids == [ids[2]]


def test_asking_again_with_the_same_lease_gives_the_same_jobs(bench: Bench) -> None:
    bench.enqueue(10)
    arguments = {"lease_id": bench.lease_id(bench.host()), "class_id": bench.class_id(), "priority": 4, "above_id": 0}
    first = bench.claims.claim(**arguments, returned_max=0, jobs_max=4)
    again = bench.claims.claim(**arguments, returned_max=0, jobs_max=4)
    assert first == again
    assert bench.value("SELECT count(*) FROM farm.ready") == 6


def test_a_retired_host_claims_nothing_and_loses_nothing(bench: Bench) -> None:
    bench.enqueue(3)
    host = bench.host()
    assert bench.hosts.retire(host, None)
    claim = bench.claims.claim(lease_id=bench.lease_id(host), class_id=bench.class_id(), priority=4, above_id=0, returned_max=0, jobs_max=4)
    assert claim is None
    assert bench.value("SELECT count(*) FROM farm.ready") == 3


def test_work_is_found_by_class_and_priority_and_not_below_its_bound(bench: Bench) -> None:
    bench.enqueue(2, queue="a", priority=7)
    ids = bench.enqueue(2, queue="a", priority=1)
    bench.enqueue(1, queue="b")
    bench.enqueue(1, queue="c")
    host = bench.host()
    bench.commit(outcomes(bench.claim(host, queue="b"), OutcomeKind.RELEASED))
    a, b, c = (bench.class_id(queue) for queue in "abc")
    assert bench.claims.find_work([a, b]) == [Work(a, 1, False), Work(a, 7, False), Work(b, 4, True)]
    assert bench.claims.find_work([a, c], {(a, 1): ids[1]}) == [Work(a, 7, False), Work(c, 4, False)]
    assert bench.claims.find_work([a], {(a, 1): ids[0], (a, 3): 0}) == [Work(a, 1, False), Work(a, 7, False)]
    assert bench.claims.find_work([]) == []


def test_arguments_are_read_as_the_bytes_of_their_json(bench: Bench) -> None:
    ids = [
        bench.value("SELECT farm.enqueue('tests:job', %s::jsonb, timeout_s => 1.5)", json.dumps({"name": "Zoë \\ \u2713", "n": 1e3})),
        bench.value("SELECT farm.enqueue('SELECT \u00e9', '[]', runner => 'sql')"),
    ]
    second, first = bench.claims.read_jobs([ids[1], 999, ids[0]])
    assert (first.job_id, first.task, first.timeout_ms) == (ids[0], b"tests:job", 1500)
    assert json.loads(first.args) == {"name": "Zoë \\ \u2713", "n": 1000}
    assert (second.job_id, second.task, second.args, second.timeout_ms) == (ids[1], "SELECT \u00e9".encode(), b"[]", 0)
    assert bench.claims.read_jobs([]) == []


@pytest.mark.parametrize("keeps_plans", [False, True])
def test_jobs_are_read_in_the_order_asked_for_with_gaps_or_without(bench: Bench, keeps_plans: bool) -> None:
    session = Session(bench.dsn, application_name="tests", keeps_plans=keeps_plans)
    store = ClaimStore(session)
    ids = bench.enqueue(10, timeout_s=0.25)
    bench.sql.execute("DELETE FROM farm.job WHERE id = %s", [ids[4]])
    for wanted in (ids[:4], ids[3:6], [ids[2], ids[1], ids[0]], ids[::3], [ids[7]], [ids[4]], [*ids, 10**12]):
        there = [job_id for job_id in wanted if job_id in ids and job_id != ids[4]]
        assert store.read_jobs(wanted) == [(job_id, b"tests:job", b"[]", 250) for job_id in there]
    session.close()


def test_a_lane_says_that_it_sleeps_and_that_it_does_not(bench: Bench) -> None:
    host = bench.host()
    bench.claims.declare_idle(host, "fast", [1, 2])
    bench.claims.declare_idle(host, "fast", None)
    bench.claims.declare_idle(host, "slow", [3])
    assert sorted(bench.rows("SELECT lane, classes FROM farm.idle")) == [("fast", None), ("slow", [3])]
    bench.claims.withdraw_idle(host, "slow")
    assert bench.rows("SELECT lane FROM farm.idle") == [("fast",)]
    bench.hosts.retire(host, None)
    assert bench.rows("SELECT lane FROM farm.idle") == []
