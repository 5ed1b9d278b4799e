"""Claiming: what comes, in which order, for whom, and what a lost answer does."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest

from farm.model import OutcomeKind, Share
from farm.store.claims import EACH_JOBS_MAX, SAMPLE_MASK, ClaimStore, Late, Work
from farm.store.session import Session
from farm.store.statements import compose
from tests.store.bench import Bench, outcome, outcomes


def test_jobs_come_in_the_order_in_which_they_were_enqueued(bench: Bench) -> None:
    ids = bench.enqueue(10)
    host = bench.host()
    assert bench.claim(host, 4).job_ids == ids[:4]
    claim = bench.claim(host, 10)
    assert claim.job_ids == ids[4:]
    assert claim.shares == (Share(bench.class_id(), 6, ids[-1], 0, 0),)
    assert claim.attempts == [0] * 6
    assert claim.losts is None
    assert bench.value("SELECT count(*) FROM farm.ready") == 0


def test_a_claim_takes_one_priority_of_one_class_above_a_bound(bench: Bench) -> None:
    ids = bench.enqueue(3)
    bench.enqueue(2, priority=2)
    bench.enqueue(2, queue="other")
    claim = bench.claims.claim(**bench.asking(bench.lease_id(bench.host()), 10, above_id=ids[0]))
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
    assert claim.shares == (Share(bench.class_id(), 2, ids[5], 2, 2),)
    assert bench.claim(host, 4).job_ids == [ids[2]]


def test_asking_again_with_the_same_lease_gives_the_same_jobs(bench: Bench) -> None:
    bench.enqueue(10)
    arguments = bench.asking(bench.lease_id(bench.host()), 4)
    first = bench.claims.claim(**arguments)
    again = bench.claims.claim(**arguments)
    assert first is not None
    assert again == first._replace(shares=()), "of which classes they are, the lease does not tell"
    assert bench.value("SELECT count(*) FROM farm.ready") == 6


def test_a_retired_host_claims_nothing_and_loses_nothing(bench: Bench) -> None:
    bench.enqueue(3)
    host = bench.host()
    assert bench.hosts.retire(host, None)
    assert bench.claims.claim(**bench.asking(bench.lease_id(host), 4)) is None
    assert bench.value("SELECT count(*) FROM farm.ready") == 3


def test_work_is_found_by_class_and_priority_and_not_below_its_bound(bench: Bench) -> None:
    bench.enqueue(2, queue="a", priority=7)
    ids = bench.enqueue(2, queue="a", priority=1)
    bench.enqueue(1, queue="b")
    bench.enqueue(1, queue="c")
    host = bench.host()
    bench.commit(outcomes(bench.claim(host, queue="b"), OutcomeKind.RELEASED))
    a, b, c = (bench.class_id(queue) for queue in "abc")
    urgent, late = Work(a, 1, False, ids[0]), Work(a, 7, False, ids[0] - 2)
    assert bench.claims.find_work([a, b]) == [urgent, late, Work(b, 4, True, 1)]
    assert bench.claims.find_work([a, c], {(a, 1): ids[1]}) == [late, Work(c, 4, False, ids[1] + 2)]
    assert bench.claims.find_work([a], {(a, 1): ids[0], (a, 3): 0}) == [urgent._replace(first=ids[1]), late]
    assert bench.claims.find_work([b], {}, {(b, 4): 0, (c, 4): 0}) == [Work(b, 4, True, 1)]
    assert bench.claims.find_work([b], {}, {(b, 4): 1}) == []
    assert bench.claims.find_work([]) == []


def test_what_stands_at_a_bound_or_below_is_found_within_windows(bench: Bench) -> None:
    ids = bench.enqueue(6)
    host = bench.host()
    bench.commit(outcomes(bench.claim(host, 2), OutcomeKind.RELEASED))
    key = (bench.class_id(), 4)

    def late(upto_id: int, id_windows: list[tuple[int, int]], upto_seq: int = 0) -> list[Late]:
        return bench.claims.find_late({key: upto_id}, {key: upto_seq}, id_windows=id_windows, seq_windows=[(0, 10)])

    assert late(ids[5], [(0, ids[5])]) == [Late(*key, False, ids[2], ids[5])]
    assert late(ids[5], [(0, ids[2]), (ids[3], ids[5])]) == [Late(*key, False, ids[2], ids[2]), Late(*key, False, ids[4], ids[5])]
    assert late(ids[1], [(0, ids[5])]) == []
    assert late(ids[1], [(0, ids[5])], upto_seq=2) == [Late(*key, True, 1, 2)]


def test_what_came_back_later_is_claimed_later_above_its_own_bound(bench: Bench) -> None:
    ids = bench.enqueue(3)
    host = bench.host()
    claims = [bench.claim(host, 1) for _ in ids]
    for claim in reversed(claims):
        bench.commit(outcomes(claim, OutcomeKind.RELEASED))
    first = bench.claim(host, 1)
    assert (first.job_ids, first.shares) == ([ids[2]], (Share(bench.class_id(), 0, 0, 1, 1),))
    above = {**bench.asking(bench.lease_id(host), 5), "above_seqs": [2]}
    second = bench.claims.claim(**above)
    assert second is not None
    assert second.job_ids == [ids[0]]


def test_a_claim_of_several_classes_takes_alike_of_each(bench: Bench) -> None:
    ids = {queue: bench.enqueue(count, queue=queue) for queue, count in {"a": 5, "b": 1, "c": 5}.items()}
    bench.enqueue(3, queue="a", priority=2)
    a, b, c = (bench.class_id(queue) for queue in "abc")
    asked: dict[str, Any] = {"priority": 4, "class_ids": [c, a, b], "above_ids": [0, ids["a"][0], 0], "above_seqs": [0, 0, 0]}
    host = bench.host()
    claim = bench.claims.claim(lease_id=bench.lease_id(host), **asked, returned_max=0, each_max=3, jobs_max=9)
    assert claim is not None
    assert claim.job_ids == sorted(ids["a"][1:4] + ids["b"] + ids["c"][:3])
    assert set(claim.shares) == {Share(a, 3, ids["a"][3], 0, 0), Share(b, 1, ids["b"][0], 0, 0), Share(c, 3, ids["c"][2], 0, 0)}
    bench.commit(outcomes(claim, OutcomeKind.RELEASED))
    claim = bench.claims.claim(lease_id=bench.lease_id(host), **asked, returned_max=4, each_max=3, jobs_max=6)
    assert claim is not None
    assert sum(share.returned for share in claim.shares) == 4
    assert sum(share.fresh for share in claim.shares) == 2


def test_classes_that_another_is_claiming_are_passed_over_but_for_the_first(bench: Bench) -> None:
    """The first is waited for, and when that was in vain, claimed beside whoever has it, past the rows that are locked."""
    ids = {queue: bench.enqueue(3, queue=queue) for queue in "ab"}
    a, b = (bench.class_id(queue) for queue in "ab")
    host = bench.host()
    asked: dict[str, Any] = {"priority": 4, "above_ids": [0, 0], "above_seqs": [0, 0], "returned_max": 0, "each_max": 5, "jobs_max": 10}
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(1717662318, %s)", [a])
        other.execute("SELECT FROM farm.ready WHERE job_id = %s FOR UPDATE", [ids["a"][0]])
        claim = bench.claims.claim(lease_id=bench.lease_id(host), class_ids=[b, a], **asked)
        assert claim is not None
        assert claim.job_ids == ids["b"]
        claim = bench.claims.claim(lease_id=bench.lease_id(host), class_ids=[a, b], **asked)
        assert claim is not None
        assert claim.job_ids == ids["a"][1:]


def test_a_claim_ends_where_it_is_told_to(bench: Bench) -> None:
    ids = bench.enqueue(4)
    host = bench.host()
    claim = bench.claims.claim(**bench.asking(bench.lease_id(host), 10, above_id=ids[0]), upto_ids=[ids[2]])
    assert claim is not None
    assert claim.job_ids == ids[1:3]
    bench.commit(outcomes(claim, OutcomeKind.RELEASED))
    asked = bench.asking(bench.lease_id(host), 10, above_id=ids[3])
    claim = bench.claims.claim(**asked, upto_seqs=[1])
    assert claim is not None
    assert claim.job_ids == [ids[1]]


@pytest.mark.parametrize("jobs_max", [7, 60])
def test_claimers_side_by_side_share_the_jobs_of_a_class_out_among_them(bench: Bench, jobs_max: int) -> None:
    """With the lock or beside it: none is claimed twice, none is lost, and no server error is told."""
    ids = bench.enqueue(600)
    asked = [bench.asking(bench.lease_id(bench.host()), jobs_max) for _ in range(4)]
    claimed: list[int] = []

    def drain(arguments: dict[str, Any]) -> None:
        session = Session(bench.dsn, application_name="tests", keeps_plans=True)
        store = ClaimStore(session)
        while (claim := store.claim(**arguments)) is not None:
            claimed.extend(claim.job_ids)
            arguments["lease_id"] += 1
        session.close()

    threads = [threading.Thread(target=drain, args=(arguments,)) for arguments in asked]
    for thread in threads:
        thread.start()
    with psycopg.connect(bench.dsn) as other:
        # Nobody gets the lock for a while, so they claim beside it.
        other.execute("SELECT pg_advisory_xact_lock(1717662318, %s)", [bench.class_id()])
    for thread in threads:
        thread.join()
    while (claim := bench.claims.claim(**asked[0])) is not None:
        # What stood behind rows that were locked.
        claimed.extend(claim.job_ids)
        asked[0]["lease_id"] += 1
    assert sorted(claimed) == ids
    assert bench.value("SELECT sum(n) FROM farm.lease") == 600


def test_a_claim_reads_no_more_of_an_index_than_it_takes(bench: Bench) -> None:
    """The statements inside the function go by the key of the queue, whatever the statistics say, and walk over nothing else."""
    bench.enqueue(2000)
    first = bench.claim(bench.host(), 300)
    bench.commit(outcomes(first, OutcomeKind.RELEASED))
    host = bench.host()

    def read() -> dict[str, int]:
        # What a session has counted is seen when it says so, or some time later.
        bench.session.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))
        rows = bench.rows(
            "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname IN ('ready', 'returned')"
            " UNION ALL SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('ready', 'returned')"
        )
        return {name: count or 0 for name, count in rows}

    for statistics in ("SELECT", "VACUUM ANALYZE"):
        bench.sql.execute(statistics)
        before = read()
        bench.claim(host, 200, returned_max=100)
        after = read()
        grown = {name: after[name] - before[name] for name in after}
        assert grown["ready"] == grown["returned"] == grown["returned_job_id"] == 0
        assert 0 < grown["ready_pkey"] <= 800, grown
        assert 0 < grown["returned_pkey"] <= 500, grown


def test_a_claim_above_its_bounds_touches_no_more_when_dead_entries_pile_up(bench: Bench) -> None:
    """They can't be removed while somebody's transaction is open."""
    bench.enqueue(6000)
    host = bench.host()

    def touched(above_id: int) -> int:
        with bench.sql.transaction(force_rollback=True):
            bench.sql.execute(compose("plan_by_index"))
            (plan,) = bench.rows(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
                " SELECT farm.claim_jobs(%s, %s, 4::smallint, '{0}', NULL, %s, NULL, 0, 100, 100, false)",
                bench.lease_id(host),
                [bench.class_id()],
                [above_id],
            )[0]
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT pg_current_xact_id()")
        touched(0)
        before = touched(0)
        last_id = max(bench.claim(host, 5000).job_ids)
        assert touched(last_id) <= 2 * before
        assert touched(0) > touched(last_id) + 20, "without a bound it would walk over all of them"


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
    for wanted in (ids[:4], ids[3:6], [ids[2], ids[1], ids[0]], ids[::3], [ids[7]], [ids[4]], [*ids[:3], *ids[4:10]], [*ids, 10**12]):
        there = [job_id for job_id in wanted if job_id in ids and job_id != ids[4]]
        assert [row[:4] for row in store.read_jobs(wanted)] == [(job_id, b"tests:job", b"[]", 250) for job_id in there]
    session.close()


@pytest.mark.parametrize("keeps_plans", [False, True])
def test_jobs_tell_when_they_were_filed(bench: Bench, keeps_plans: bool) -> None:
    """Each of a few; of many one in 64, whether their ids have gaps or not."""
    session = Session(bench.dsn, application_name="tests", keeps_plans=keeps_plans)
    store = ClaimStore(session)
    ids = bench.enqueue(EACH_JOBS_MAX + 100)
    since_2000 = "created_at - '2000-01-01 00:00:00+00'"
    created_us = bench.value(f"SELECT (extract(epoch FROM {since_2000}) * 1000000)::bigint FROM farm.job WHERE id = %s", ids[0])  # noqa: S608
    for few in (ids[:3], ids[::100], ids[:EACH_JOBS_MAX]):
        assert [row.created_us for row in store.read_jobs(few)] == [created_us] * len(few)
    for many in (ids, [*ids[:100], *ids[101:]]):
        asked = [created_us if job_id % (SAMPLE_MASK + 1) == 0 else None for job_id in many]
        assert [row.created_us for row in store.read_jobs(many)] == asked
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


def test_a_look_touches_no_more_when_jobs_or_dead_entries_pile_up(bench: Bench) -> None:
    """Nor does it walk through a pair that it knows to find those that it does not."""
    bench.enqueue(10)
    bench.enqueue(10, queue="second", priority=2)
    host = bench.host()
    keys = [(bench.class_id(), 4), (bench.class_id("second"), 2)]

    def touched(bounds: list[int]) -> int:
        classes, priorities = [key[0] for key in keys], [key[1] for key in keys]
        (plan,) = bench.rows(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM farm.find_work(%s, %s, %s, '{}', '{}', '{}')",
            classes,
            priorities,
            bounds,
        )[0]
        return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])

    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT pg_current_xact_id()")
        touched([0, 0])
        before = touched([0, 0])
        bench.enqueue(10_000)
        bench.enqueue(10_000, queue="second", priority=2)
        assert touched([0, 0]) <= 2 * before
        bounds = [max(bench.claim(host, 8_000).job_ids), max(bench.claim(host, 8_000, queue="second", priority=2).job_ids)]
        assert touched(bounds) <= 2 * before
