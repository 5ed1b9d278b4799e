"""Jobs that are to end, jobs that expire, and jobs that are moved: in each place where a job can be, and in every order beside others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import psycopg
import pytest

import farm.store.session
from farm.errors import InvalidJob
from farm.model import CancelRequest, Claim, OutcomeKind, State
from farm.store.cancels import Cancelled, CancelStore, Changed
from farm.store.claims import ClaimStore
from farm.store.commits import CommitStore
from farm.store.connection import DeadlineConnection
from farm.store.invariants import check
from farm.store.selections import HELD, WAITING, Selection, SelectionStore, like
from farm.store.session import Session, send
from farm.store.statements import compose
from tests.store.bench import NOW_NS, QUICK, Bench, batch_of, outcome, outcomes
from tests.store.stepping import Stage, SteppedConnection, orders

Work = Callable[[Session], Any]
COMMIT = 3
"""Messages: lock, copy, finish."""
EVERYWHERE = frozenset({*WAITING, *HELD})


@pytest.fixture
def cancels(bench: Bench) -> CancelStore:
    return CancelStore(bench.session)


@pytest.fixture
def stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(farm.store.session, "DeadlineConnection", SteppedConnection)
    with Stage(bench.dsn) as opened:
        yield opened


def results(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.rows("SELECT job_id, status, attempt, started_at, error->>'type', error->>'message' FROM farm.result ORDER BY 1")


def requests(bench: Bench) -> list[int]:
    return [row[0] for row in bench.rows("SELECT job_id FROM farm.cancel_request ORDER BY 1")]


def sweep(bench: Bench) -> int:
    return bench.upkeep.sweep_cancels(0, 1000).cancelled


def in_every_place(bench: Bench) -> dict[str, int]:
    """Put one job into each place in which a job can be."""
    host = bench.host()
    (ended, held, returned, retrying) = bench.enqueue(4)
    claim = bench.claim(host)
    bench.commit([outcome(claim, 0), outcome(claim, 2, OutcomeKind.FAILED), outcome(claim, 3, OutcomeKind.FAILED)])
    # A retry that waits, as a policy with a delay leaves it.
    bench.sql.execute("DELETE FROM farm.returned WHERE job_id IN (SELECT job_id FROM farm.scheduled) OR job_id = %s", [retrying])
    bench.sql.execute(
        """INSERT INTO farm.scheduled (run_at, job_id, class_id, priority, attempt, lost)
        SELECT now() + interval '1 h', id, class_id, priority, 1, 0 FROM farm.job WHERE id = %s ON CONFLICT DO NOTHING""",
        [retrying],
    )
    bench.sql.execute(
        """WITH due AS (DELETE FROM farm.scheduled WHERE job_id = %s RETURNING class_id, priority, job_id, attempt, lost)
        INSERT INTO farm.returned (class_id, priority, job_id, attempt, lost) SELECT * FROM due""",
        [returned],
    )
    (ready,) = bench.enqueue(1)
    (scheduled,) = bench.enqueue(1, delay_s=3600)
    return {"ended": ended, "held": held, "returned": returned, "retrying": retrying, "ready": ready, "scheduled": scheduled}


def test_what_waits_is_final_and_of_what_a_host_holds_it_is_told(bench: Bench, cancels: CancelStore) -> None:
    jobs = in_every_place(bench)
    assert check(bench.session) == []
    assert cancels.cancel([*jobs.values(), 10**12, jobs["ready"]], "no longer wanted") == Cancelled(4, 1, 1, 1)
    assert cancels.cancel([*jobs.values(), 10**12]) == Cancelled(0, 1, 5, 1)
    assert [row for row in results(bench) if row[1] == 3] == [
        (jobs["returned"], 3, 1, None, "Cancelled", "no longer wanted"),
        (jobs["retrying"], 3, 1, None, "Cancelled", "no longer wanted"),
        (jobs["ready"], 3, 0, None, "Cancelled", "no longer wanted"),
        (jobs["scheduled"], 3, 0, None, "Cancelled", "no longer wanted"),
    ]
    assert bench.hosts.cancels(1) == [CancelRequest(jobs["held"], "cancelled by request", False)], "the later word counts"
    assert bench.hosts.cancels(2) == []
    answer = bench.hosts.beat(1, [], [])
    assert answer is not None
    assert answer.cancels
    assert check(bench.session) == []


def test_a_request_stands_until_its_job_has_ended_or_come_back(bench: Bench, cancels: CancelStore) -> None:
    first, second, third = bench.enqueue(3)
    claim = bench.claim(bench.host())
    assert cancels.cancel([first, second, third]) == Cancelled(0, 3, 0, 0)
    assert bench.upkeep.any_cancels()
    assert sweep(bench) == 0
    assert requests(bench) == [first, second, third]
    bench.commit([outcome(claim, 0), outcome(claim, 1, OutcomeKind.RELEASED)])
    assert bench.upkeep.sweep_cancels(0, 1)[:2] == (1, first)
    assert bench.upkeep.sweep_cancels(first, 1) == (1, second, 1)
    assert requests(bench) == [third]
    bench.commit([outcome(claim, 2, OutcomeKind.CANCELLED)])
    assert sweep(bench) == 0
    assert not bench.upkeep.any_cancels()
    assert [row[:3] for row in results(bench)] == [(first, 1, 1), (second, 3, 0), (third, 3, 1)]
    assert check(bench.session) == []
    answer = bench.hosts.beat(1, [], [])
    assert answer is not None
    assert not answer.cancels


def test_a_request_for_a_job_that_is_gone_does_not_stay(bench: Bench) -> None:
    bench.sql.execute("INSERT INTO farm.cancel_request (job_id, only_unstarted, reason) VALUES (77, false, 'x')")
    assert sweep(bench) == 0
    assert requests(bench) == []


def test_who_waits_for_a_cancelled_job_is_told(bench: Bench, cancels: CancelStore) -> None:
    one, two = bench.enqueue(2)
    bench.claim(bench.host(), 1)
    pid = bench.value("SELECT pg_backend_pid()")
    bench.sql.execute("SELECT farm.listen_for_ends()")
    for job_id in (one, two):
        bench.sql.execute("INSERT INTO farm.waiter (job_id, pid) VALUES (%s, %s)", [job_id, pid])
    cancels.cancel([one, two])
    assert [notify.payload for notify in bench.sql.notifies(timeout=5, stop_after=1)] == [str(two)]
    bench.hosts.retire(1, None)
    bench.upkeep.reap(1, [])
    assert sweep(bench) == 1
    assert [notify.payload for notify in bench.sql.notifies(timeout=5, stop_after=1)] == [str(one)]


def test_hosts_are_told_only_of_what_they_may_hold(bench: Bench, cancels: CancelStore) -> None:
    one, _two = bench.enqueue(2)
    bench.claim(bench.host(), 1)
    bench.sql.execute("LISTEN farm_wake")
    cancels.cancel([one])
    assert [notify.payload for notify in bench.sql.notifies(timeout=5, stop_after=1)] == ["cancel"]
    cancels.cancel([_two, 10**12])
    assert list(bench.sql.notifies(timeout=0.1)) == []


def test_a_job_that_is_tried_again_by_hand_is_not_what_was_cancelled_before(bench: Bench, cancels: CancelStore) -> None:
    (job_id,) = bench.enqueue(1, max_attempts=1)
    host = bench.host()
    claim = bench.claim(host)
    cancels.cancel([job_id])
    bench.commit([outcome(claim, 0, OutcomeKind.FAILED)])
    bench.sql.execute("SELECT farm.retry_jobs(%s)", [[job_id]])
    assert bench.claim(host).job_ids == [job_id]
    assert bench.hosts.cancels(host) == []
    assert sweep(bench) == 0
    assert requests(bench) == []
    cancels.cancel([job_id], "once more")
    assert bench.hosts.cancels(host) == [CancelRequest(job_id, "once more", False)]


def test_parts_of_a_cancel_can_be_left_out(bench: Bench, cancels: CancelStore) -> None:
    jobs = in_every_place(bench)
    assert cancels.cancel(list(jobs.values()), held=False) == Cancelled(4, 0, 1, 0)
    assert requests(bench) == []
    assert cancels.cancel(list(jobs.values()), waiting=False) == Cancelled(0, 1, 5, 0)


def test_a_job_that_is_not_started_in_time_expires(bench: Bench) -> None:
    assert bench.upkeep.expire(10) == (0, None)
    host = bench.host()
    ready, started, failed, unstarted = bench.enqueue(4)
    assert bench.claim(host, 4).job_ids == [ready, started, failed, unstarted]
    (late,) = bench.enqueue(1, delay_s=3600)
    claim = Claim((host << 32) + 1, [ready, started, failed, unstarted], [0] * 4, None, ())
    bench.commit([outcome(claim, 0, OutcomeKind.RELEASED), outcome(claim, 2, OutcomeKind.FAILED)])
    bench.hosts.beat(host, [started], [1.0])
    (later,) = bench.enqueue(1)
    for job_id in (ready, started, failed, unstarted, late, 10**12):
        bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() - interval '1 s', %s)", [job_id])
    bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() + interval '1 h', %s)", [later])
    assert bench.upkeep.expire(1).jobs == 1
    jobs, next_due_s = bench.upkeep.expire(100)
    assert jobs == 5
    assert next_due_s is not None
    assert 3590 < next_due_s <= 3600
    assert results(bench) == [(ready, 3, 0, None, "Expired", "expired"), (late, 3, 0, None, "Expired", "expired")]
    # What has used an attempt had started in time. Of what is with a host, only the host knows.
    assert bench.hosts.cancels(host) == [CancelRequest(started, "expired", True), CancelRequest(unstarted, "expired", True)]
    assert sweep(bench) == 0
    assert requests(bench) == [unstarted], "the other one is known to run"
    bench.hosts.retire(host, None)
    bench.upkeep.reap(host, None)
    assert sweep(bench) == 1
    assert [row[0] for row in results(bench)] == [ready, unstarted, late]
    assert requests(bench) == []
    assert bench.value("SELECT count(*) FROM farm.expiry") == 1
    assert check(bench.session) == []


def test_a_cancel_wins_over_an_expiry_that_is_asked_for(bench: Bench, cancels: CancelStore) -> None:
    (job_id,) = bench.enqueue(1)
    host = bench.host()
    claim = bench.claim(host)
    bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() - interval '1 s', %s)", [job_id])
    bench.upkeep.expire(10)
    cancels.cancel([job_id], "enough")
    bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() - interval '1 s', %s)", [job_id])
    bench.upkeep.expire(10)
    assert bench.hosts.cancels(host) == [CancelRequest(job_id, "enough", False)]
    bench.commit([outcome(claim, 0, OutcomeKind.FAILED)])
    bench.upkeep.promote(10)
    assert sweep(bench) == 1
    assert results(bench) == [(job_id, 3, 1, None, "Cancelled", "enough")]


def test_an_expiry_does_not_wait_for_somebody_who_cancels_the_same_job(bench: Bench) -> None:
    """Upkeep also finds dead hosts, and somebody's transaction may stay open for hours."""
    (job_id,) = bench.enqueue(1)
    host = bench.host()
    bench.claim(host)
    bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() - interval '1 s', %s)", [job_id])
    with psycopg.connect(bench.dsn) as somebody:
        somebody.execute("SELECT farm.cancel_jobs(ARRAY[%s::bigint], 'enough')", [job_id])
        bench.sql.execute("SET lock_timeout = '1ms'")
        bench.session.run(lambda connection: send(connection, b"SET lock_timeout = '1ms'"))
        assert bench.upkeep.expire(10).jobs == 1
        assert bench.hosts.cancels(host) == [CancelRequest(job_id, "expired", True)]
    assert bench.hosts.cancels(host) == [CancelRequest(job_id, "enough", False)]


def test_what_has_used_an_attempt_does_not_expire_in_the_hands_of_a_host(bench: Bench) -> None:
    used, fresh = bench.enqueue(2)
    host = bench.host()
    claim = bench.claim(host)
    bench.commit([outcome(claim, 0, OutcomeKind.FAILED), outcome(claim, 1, OutcomeKind.RELEASED)])
    bench.claim(host)
    for job_id in (used, fresh):
        bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) VALUES (now() - interval '1 s', %s)", [job_id])
    assert bench.upkeep.expire(10).jobs == 2
    assert bench.hosts.cancels(host) == [CancelRequest(fresh, "expired", True)]


def entry(bench: Bench, job_id: int) -> tuple[str, str, int]:
    """Say where a job waits, by which queue and priority; the view finds it by the key of its entry."""
    rows = bench.rows(
        """SELECT tableoid::regclass::text FROM farm.ready WHERE job_id = %(id)s UNION ALL
        SELECT tableoid::regclass::text FROM farm.returned WHERE job_id = %(id)s UNION ALL
        SELECT tableoid::regclass::text FROM farm.scheduled WHERE job_id = %(id)s""".replace("%(id)s", str(job_id))
    )
    ((queue, priority),) = bench.rows("SELECT queue, priority FROM farm.jobs WHERE id = %s", job_id)
    return rows[0][0].removeprefix("farm."), queue, priority


def test_waiting_jobs_are_moved_and_keep_what_they_have_used(bench: Bench, cancels: CancelStore) -> None:
    jobs = in_every_place(bench)
    bench.sql.execute("LISTEN farm_wake")
    assert cancels.change([*jobs.values(), 10**12, jobs["ready"]], queue="other", priority=1) == Changed(4, 1, 1, 1)
    assert entry(bench, jobs["ready"]) == ("returned", "other", 1)
    assert entry(bench, jobs["returned"]) == ("returned", "other", 1)
    assert entry(bench, jobs["retrying"]) == ("scheduled", "other", 1)
    assert entry(bench, jobs["scheduled"]) == ("scheduled", "other", 1)
    assert bench.rows("SELECT queue, priority FROM farm.jobs WHERE id = %s", jobs["held"]) == [("default", 4)]
    assert check(bench.session) == []
    # One that fails again goes back to where it was moved to.
    host = bench.host()
    claim = bench.claim(host, queue="other", priority=1)
    assert (claim.job_ids, claim.attempts) == ([jobs["returned"], jobs["ready"]], [1, 0])
    bench.commit([outcome(claim, 0), outcome(claim, 1, OutcomeKind.RELEASED)])
    assert entry(bench, jobs["ready"]) == ("returned", "other", 1)
    assert cancels.change([jobs["ready"]], priority=0) == Changed(1, 0, 0, 0)
    assert entry(bench, jobs["ready"]) == ("returned", "other", 0)
    assert cancels.cancel([jobs["ready"]]).cancelled == 1
    assert check(bench.session) == []
    heard = [notify.payload for notify in bench.sql.notifies(timeout=0.2)]
    assert "classes" in heard


def test_a_time_moves_jobs_between_now_and_later(bench: Bench, cancels: CancelStore) -> None:
    jobs = in_every_place(bench)
    waiting = [jobs[place] for place in ("ready", "returned", "retrying", "scheduled")]
    now = datetime.now(UTC)
    assert cancels.change(waiting, run_at=now + timedelta(hours=2)).changed == 4
    assert [entry(bench, job_id) for job_id in waiting] == [("scheduled", "default", 4)] * 4
    assert {row[0] for row in bench.rows("SELECT run_at FROM farm.jobs WHERE state IN ('scheduled', 'retrying')")} == {
        now + timedelta(hours=2)
    }
    assert cancels.change(waiting, run_at=now).changed == 4
    assert [entry(bench, job_id) for job_id in waiting] == [("returned", "default", 4)] * 4
    assert sorted(bench.claim(bench.host()).attempts) == [0, 0, 1, 1]
    assert cancels.change(waiting, run_at=now) == Changed(0, 4, 0, 0)
    assert check(bench.session) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue": "No"}, r"^queue: expected a name like .*, got 'No'"),
        ({"priority": 10}, "^priority: expected 0 to 9, got 10"),
        ({"run_at": datetime(1999, 1, 1, tzinfo=UTC)}, "^run_at: expected a time with an offset, in the years 2000 to 2199, got 1999"),
    ],
)
def test_what_no_entry_can_be_is_refused(cancels: CancelStore, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidJob, match=message):
        cancels.change([1], **options)


def test_jobs_are_picked_by_queue_task_and_state(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.store.selections.PAGE_JOBS_MAX", 2)
    monkeypatch.setattr("farm.store.selections.LEASES_MAX", 1)
    store = SelectionStore(bench.session)

    def picked(*states: State, queue: str | None = None, task: str | None = None) -> list[int]:
        return sorted(job_id for page in store.pages(Selection(queue, task, states or EVERYWHERE)) for job_id in page.job_ids)

    jobs = in_every_place(bench)
    others = bench.enqueue(5, queue="other", priority=0)
    (named,) = bench.rows("SELECT farm.enqueue('my_mod:send%20', queue => 'other', runner => 'python')")[0]
    host = bench.host()
    for number in range(2):
        bench.claim(host, 1, queue="other", priority=0)
        bench.hosts.beat(host, others[:1] if number else [], [1.0] if number else [])
    assert picked(State.READY) == sorted([jobs["ready"], jobs["returned"], *others[2:], named])
    assert picked(State.SCHEDULED) == [jobs["scheduled"]]
    assert picked(State.RETRYING) == [jobs["retrying"]]
    assert picked(State.RUNNING) == [others[0]]
    assert picked(State.CLAIMED) == [jobs["held"], others[1]]
    assert picked(queue="other") == sorted([*others, named])
    assert picked(queue="nowhere") == []
    assert picked() == sorted([*(job_id for place, job_id in jobs.items() if place != "ended"), *others, named])
    assert picked(task="my_mod:*%2*") == [named]
    assert picked(task="my?mod:*") == picked(task="myxmod:*") == []
    assert picked(task="tests:*", queue="other") == others
    assert store.count(Selection(None, None, EVERYWHERE)) == 11
    assert like("a_b\\%*") == "a\\_b\\\\\\%%"


# Every order of messages beside others.


def in_two_messages(name: str, **params: Any) -> Work:
    """Run a statement in a transaction that stays open until the next message."""

    def unit(connection: DeadlineConnection) -> tuple[Any, ...]:
        (rows,) = send(connection, compose("begin", name), params)
        send(connection, compose("commit"))
        return rows[0]

    return lambda session: session.run(unit)


def claiming(bench: Bench, lease_id: int) -> Work:
    asked = bench.asking(lease_id, 10)
    return lambda session: ClaimStore(session).claim(**asked)


def cancelling(ids: list[int]) -> Work:
    return in_two_messages("cancel_jobs", job_ids=ids, reason=None, waiting=True, held=True)


def moving(ids: list[int]) -> Work:
    return in_two_messages("change_jobs", job_ids=ids, queue="other", priority=None, run_at=None)


def sweeping() -> Work:
    return in_two_messages("sweep_cancels", above_id=0, jobs_max=100)


def expiring() -> Work:
    return in_two_messages("expire_jobs", jobs_max=100)


def committing(batch: list[Any]) -> Work:
    return lambda session: CommitStore(session, QUICK).commit(batch_of(batch), now_ns=NOW_NS)


def empty(bench: Bench) -> None:
    """Remove every job; of a few rows that takes a tenth of what TRUNCATE does."""
    for table in ("ready", "returned", "scheduled", "lease", "job", "result", "failure", "heartbeat", "cancel_request", "expiry"):
        bench.sql.execute(f"DELETE FROM farm.{table}")  # noqa: S608


def settle(bench: Bench) -> None:
    """Let what a host holds come back, and the sweep come by."""
    for (host,) in bench.rows("SELECT DISTINCT id >> 32 FROM farm.lease"):
        bench.hosts.retire(host, None)
        bench.upkeep.reap(host, [])
    sweep(bench)


def test_a_cancel_and_a_claim_and_a_move(bench: Bench, stage: Stage) -> None:
    for order in orders(2, 1, 2):
        empty(bench)
        ids = bench.enqueue(3)
        host = bench.host()
        report, claim, moved = stage.play([cancelling(ids[:2]), claiming(bench, bench.lease_id(host)), moving(ids[1:])], order)
        cancelled, asked, ended, unknown = report
        assert check(bench.session) == [], order
        assert (cancelled + asked, ended, unknown) == (2, 0, 0), order
        assert len(results(bench)) == cancelled, order
        assert set(requests(bench)) | {row[0] for row in results(bench)} == set(ids[:2]), order
        assert sum(moved) == 2
        held = set(claim.job_ids) if claim else set()
        assert not held & {row[0] for row in results(bench)}, order
        settle(bench)
        assert [row[0] for row in results(bench)] == ids[:2], order
        assert requests(bench) == []
        assert check(bench.session) == [], order


def test_a_cancel_or_a_sweep_and_a_commit(bench: Bench, stage: Stage) -> None:
    for order in orders(2, COMMIT):
        for works in ([], [cancelling]):
            empty(bench)
            ids = bench.enqueue(4)
            claim = bench.claim(bench.host())
            batch = [outcome(claim, 0), outcome(claim, 1, OutcomeKind.RELEASED), outcome(claim, 2, OutcomeKind.FAILED)]
            if not works:
                bench.session.fetch("cancel_jobs", {"job_ids": ids, "reason": None, "waiting": True, "held": True})
            _, committed = stage.play([cancelling(ids) if works else sweeping(), committing(batch)], order)
            assert committed.written == 3
            assert check(bench.session) == [], order
            settle(bench)
            assert [row[:2] for row in results(bench)] == [(ids[0], 1), (ids[1], 3), (ids[2], 3), (ids[3], 3)], order
            assert requests(bench) == []
            assert check(bench.session) == [], order


def test_two_cancels_the_sweep_an_expiry_and_a_move_two_at_a_time(bench: Bench, stage: Stage) -> None:
    """None waits for the other, but one cancel for another that asks for the same; a job that both want ends once."""
    for order in ((0, 1, 0, 1), (1, 0, 1, 0)):
        for one, other in combinations(range(5), 2):
            empty(bench)
            ids = bench.enqueue(4)
            claim = bench.claim(bench.host(), 1)
            bench.sql.execute("INSERT INTO farm.cancel_request (job_id, only_unstarted, reason) VALUES (%s, true, 'expired')", [ids[1]])
            bench.sql.execute("INSERT INTO farm.expiry (expires_at, job_id) SELECT now() - interval '1 s', unnest(%s)", [ids[2:]])
            works = [cancelling(ids), cancelling(ids[::-1]), sweeping(), expiring(), moving(ids)]
            stage.play([works[one], works[other]], order)
            assert check(bench.session) == [], (order, one, other)
            wanted = ids if one < 2 else [*(ids[1:2] if 2 in (one, other) else []), *(ids[2:] if 3 in (one, other) else [])]
            ended = {row[0] for row in results(bench)}
            assert ended | set(requests(bench)) >= set(wanted), (order, one, other)
            bench.commit(outcomes(claim))
            settle(bench)
            assert requests(bench) == []
            assert check(bench.session) == [], (order, one, other)


def test_claims_do_not_wait_for_a_transaction_that_cancels(bench: Bench) -> None:
    """Somebody may cancel in a long transaction of his own: claims then pass over those jobs, and take the others."""
    ids = bench.enqueue(5)
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT farm.cancel_jobs(%s)", [ids[:2]])
        other.execute("SELECT farm.change_jobs(%s, priority => 1)", [ids[2:3]])
        bench.sql.execute("SET statement_timeout = '5s'")
        assert bench.claim(bench.host()).job_ids == ids[3:]
        other.rollback()
    assert bench.claim(bench.host()).job_ids == ids[:3]


def test_looks_by_key_alone(bench: Bench, cancels: CancelStore) -> None:
    """What these functions do must not depend on how much waits, or on statistics."""
    bench.enqueue(3000)
    bench.enqueue(50, delay_s=3600)
    host = bench.host()
    for _ in range(20):
        bench.claim(host, 50)
    bench.sql.execute("INSERT INTO farm.expiry (job_id, expires_at) SELECT id, now() + interval '1 h' FROM farm.job")
    bench.sql.execute("VACUUM ANALYZE")

    def counts() -> list[tuple[Any, ...]]:
        bench.session.close()
        bench.sql.execute("SELECT pg_stat_force_next_flush()")
        return bench.rows(
            """SELECT relname, coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE relname IN
            ('ready', 'returned', 'scheduled', 'lease', 'job_p1', 'result_p1', 'cancel_request', 'expiry') ORDER BY 1"""
        )

    before = counts()
    for _ in range(8):
        assert cancels.cancel([1, 2, 1500, 3010]).unknown == 0
        assert cancels.change([1501, 1502, 3011], queue="other", priority=2).unknown == 0
        bench.upkeep.sweep_cancels(0, 1000)
        bench.upkeep.expire(10)
        bench.session.fetch("expire_jobs", {"jobs_max": 10})
        bench.hosts.cancels(host)
    assert counts() == before
