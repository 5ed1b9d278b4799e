"""Attempts that fail: where the job goes, when it is due, what is counted; and jobs that are tried again by hand."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest

import farm
from farm.model import OutcomeKind
from farm.retry import Backoff, Policies, Policy
from farm.store.cancels import CancelStore
from farm.store.commits import CommitStore
from farm.store.invariants import check
from farm.store.retries import RetryStore
from farm.store.upkeep import UpkeepStore
from tests.store.bench import NOW_NS, Bench, batch_of, error, outcome, outcomes

LIMITED = (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.STOPPED, OutcomeKind.CRASHED, OutcomeKind.MEMORY)


def places(bench: Bench) -> list[tuple[Any, ...]]:
    """Where each job stands, with its attempts, and the whole seconds until it is due."""
    return bench.rows("""
        SELECT job_id, 'returned', attempt, 0 FROM farm.returned
        UNION ALL SELECT job_id, 'scheduled', attempt, round(extract(epoch FROM run_at - now()) / 10)::int * 10 FROM farm.scheduled
        UNION ALL SELECT job_id, 'result', attempt, 0 FROM farm.result
        ORDER BY 1""")


def test_each_kind_goes_where_it_belongs(bench: Bench) -> None:
    """In one commit: the place, the attempts, and the pause by the database's clock; and the promoters are told of the earliest."""
    bench.commits = CommitStore(bench.session, Policies([Policy(pattern="tests:*", retry=Backoff(600, None), max_attempts=5)]))
    own = bench.enqueue(1, retry="100s", max_attempts=2)
    ids = own + bench.enqueue(9)
    host = bench.host()
    claim = bench.claim(host)
    kinds = [OutcomeKind.FAILED, *LIMITED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED, OutcomeKind.FAILED, OutcomeKind.FAILED]
    batch = [outcome(claim, position, kind) for position, kind in enumerate(kinds)]
    batch[7] = batch[7]._replace(payload=b'{"after_s": 300}')
    batch[8] = batch[8]._replace(payload=b'{"type": "Retry", "message": "m", "traceback": "", "after_s": 2000.5}')
    batch[9] = batch[9]._replace(payload=error("runners.python.TaskNotFound"))
    bench.sql.execute("LISTEN farm_wake")
    assert bench.commit(batch).written == 10
    assert places(bench) == [
        (ids[0], "scheduled", 1, 100),
        (ids[1], "scheduled", 1, 600),
        (ids[2], "scheduled", 1, 600),
        (ids[3], "returned", 1, 0),
        (ids[4], "returned", 1, 0),
        (ids[5], "scheduled", 1, 600),
        (ids[6], "returned", 0, 0),
        (ids[7], "scheduled", 0, 300),
        (ids[8], "scheduled", 1, 2000),
        (ids[9], "result", 1, 0),
    ]
    assert {notify.payload for notify in bench.sql.notifies(timeout=0)} >= {"later"}
    states = dict(bench.rows("SELECT id, state FROM farm.jobs"))
    assert [states[ids[index]] for index in (0, 7, 9)] == ["retrying", "scheduled", "failed"]
    assert bench.value("SELECT error->>'not_retried' FROM farm.result") == "another attempt would not mend a TaskNotFound"
    assert check(bench.session) == []
    # The last attempt that the job itself allows, and the second crash, which waits.
    bench.sql.execute("UPDATE farm.scheduled SET run_at = now() - interval '1 s' WHERE job_id = %s", [ids[0]])
    bench.upkeep.promote(10)
    claim = bench.claim(host)
    batch = [outcome(claim, position, OutcomeKind.CRASHED) for position in range(len(claim.job_ids))]
    bench.commit(batch)
    found = {row[0]: row[1:] for row in places(bench)}
    assert (found[ids[0]], found[ids[4]], found[ids[3]]) == (("result", 2, 0), ("scheduled", 2, 600), ("returned", 2, 0))
    assert check(bench.session) == []


def test_what_fails_together_does_not_come_back_together(bench: Bench) -> None:
    """FAULTS 57: a storm of failures is spread over its whole pause, other queues are claimed meanwhile, and nothing is lost."""
    bench.commits = CommitStore(bench.session, Policies([Policy(retry=Backoff(100, 100))]))
    bench.enqueue(1500)
    host = bench.host()
    claim = bench.claim(host, 1500)
    assert bench.commit(outcomes(claim, OutcomeKind.FAILED)).written == 1500
    tenths = bench.rows("""
        SELECT floor(extract(epoch FROM run_at - (SELECT min(run_at) FROM farm.scheduled)) / 10)::int AS tenth, count(*)::int
        FROM farm.scheduled GROUP BY 1 ORDER BY 1""")
    assert [tenth for tenth, _ in tenths] == list(range(10))
    assert all(75 < count < 250 for _, count in tenths)
    assert bench.value("SELECT max(run_at) - now() < interval '100 s' FROM farm.scheduled")
    bench.enqueue(5, queue="other")
    assert len(bench.claim(host, queue="other").job_ids) == 5
    # A pause of less than a millisecond is none, and one in a hundred thousand is so short.
    assert bench.value("SELECT count(*) FROM farm.returned") <= 3


def test_a_snooze_that_makes_no_sense_fails_its_job_alone(bench: Bench) -> None:
    ids = bench.enqueue(3, max_attempts=1)
    claim = bench.claim(bench.host())
    batch = outcomes(claim, OutcomeKind.SNOOZED)
    for position, payload in enumerate((b'{"after_s": 1e308}', b'{"after_s": "x"}', b"[")):
        batch[position] = batch[position]._replace(payload=payload)
    assert bench.commit(batch).written == 3
    assert bench.rows("SELECT job_id, error->>'type' FROM farm.result ORDER BY 1") == [
        (ids[1], "UnstorableResult"),
        (ids[2], "UnstorableResult"),
    ]
    assert bench.value("SELECT run_at < now() + interval '11 years' FROM farm.scheduled")


def test_a_lost_host_counts_by_the_limits_of_tasks_too(bench: Bench) -> None:
    """max_attempts: 1 means at most one known start, whoever says it."""
    upkeep = UpkeepStore(bench.session, Policies([Policy(pattern="tests:*", max_attempts=1)]))
    ids = [*bench.enqueue(2), *bench.enqueue(1, max_attempts=2)]
    host = bench.host()
    bench.claim(host)
    bench.hosts.beat(host, [ids[0], ids[2]], [1.0, 1.0])
    bench.hosts.retire(host, None)
    assert upkeep.reap(host, None) == (3, 2, 1)
    assert [row[:3] for row in places(bench)] == [(ids[0], "result", 1), (ids[1], "returned", 0), (ids[2], "returned", 1)]


def test_a_job_is_tried_again_by_hand_as_if_it_had_never_run(bench: Bench) -> None:
    """Failed or cancelled: same id, ready, its history kept, its attempts and crashes counted anew; others are left alone."""
    ids = bench.enqueue(4)
    host = bench.host()
    for _ in range(3):
        claim = bench.claim(host)
        kinds = [OutcomeKind.CRASHED, OutcomeKind.CANCELLED, OutcomeKind.SUCCEEDED]
        bench.commit([outcome(claim, p, kinds[ids.index(job_id)]) for p, job_id in enumerate(claim.job_ids) if job_id != ids[3]])
        if len(claim.job_ids) == 4:
            bench.commit([outcome(claim, 3, OutcomeKind.RELEASED)])
        if claim.job_ids == [ids[0], ids[3]]:
            bench.commit([outcome(claim, 1, OutcomeKind.RELEASED)])
    assert [row[1:3] for row in places(bench)] == [("result", 3), ("result", 1), ("result", 1), ("returned", 0)]
    store = RetryStore(bench.session)
    assert store.retry([*ids, ids[0], 999], by=None) == ids[:2]
    assert store.retry(ids, by=None) == []
    assert [row[1:3] for row in places(bench)] == [("returned", 0), ("returned", 0), ("result", 1), ("returned", 0)]
    assert check(bench.session) == []
    assert bench.rows("SELECT attempt, lease_id < 0, error - 'message' FROM farm.failure WHERE kind = 'retried' ORDER BY job_id") == [
        (0, True, {"type": "Retried", "traceback": "", "by": "farm", "state": state, "attempt": n, "attempts": n, "crashes": crashes,
                   "error": {"type": kind, "message": message}})
        for state, n, crashes, kind, message in (
            ("failed", 3, 3, "CrashedTooOften", "crashed 3 times; the last time: it crashed"),
            ("cancelled", 1, 0, "cancelled", "it cancelled"),
        )
    ]  # fmt: skip
    # Two more crashes are allowed again, and a second retry counts from itself.
    for retry in (1, 2):
        for crash in (1, 2, 3):
            assert bench.value("SELECT count(*) FROM farm.result WHERE job_id = %s", ids[0]) == 0, (retry, crash)
            claim = bench.claim(host)
            bench.commit([outcome(claim, p, kinds[0] if job_id == ids[0] else kinds[2]) for p, job_id in enumerate(claim.job_ids)])
        assert bench.rows("SELECT status, attempt, error->>'type' FROM farm.result WHERE job_id = %s", ids[0]) == [
            (2, 3, "CrashedTooOften")
        ]
        assert check(bench.session) == []
        assert store.retry([ids[0]], by="eve") == ([ids[0]])
    assert bench.value("SELECT count(*) FROM farm.failure WHERE job_id = %s", ids[0]) == 12
    # What is planted is still seen.
    bench.sql.execute("DELETE FROM farm.failure WHERE job_id = %s AND kind = 'crashed' AND attempt = 2", [ids[0]])
    assert any("failures are kept" in line for line in check(bench.session))


def test_a_job_that_was_cancelled_before_its_time_is_due_when_it_is_tried_again(bench: Bench) -> None:
    (job_id,) = bench.enqueue(1, delay_s=3600)
    CancelStore(bench.session).cancel([job_id], None)
    assert RetryStore(bench.session).retry([job_id], by=None) == [job_id]
    assert bench.value("SELECT run_at <= now() FROM farm.job")
    assert bench.claim(bench.host()).job_ids == [job_id]


def test_who_waits_for_a_job_that_is_tried_again_waits_for_its_new_end(bench: Bench) -> None:
    (job_id,) = bench.enqueue(max_attempts=1)
    host = bench.host()
    bench.commit(outcomes(bench.claim(host), OutcomeKind.FAILED))
    with farm.connect(bench.dsn) as client:
        with pytest.raises(farm.JobFailed):
            client.wait(job_id, 30)
        assert client.retry([job_id], by="ada") == [job_id]
        assert client.retry([job_id]) == []
        ends: list[Any] = []
        waiting = Thread(target=lambda: ends.append(client.wait(job_id, 30)))
        waiting.start()
        claim = bench.claim(host)
        bench.commit(outcomes(claim))
        waiting.join()
        assert ends == [{"n": 1}]
        for wrong in (0, "1", True, 1 << 63):
            with pytest.raises(farm.NoSuchJob):
                client.retry([wrong])  # type: ignore[list-item]


def test_the_failed_are_found_by_queue_task_and_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.store.retries.LIST_JOBS_MAX", 2)
    mail, other = bench.enqueue(5, queue="mail", max_attempts=1), bench.enqueue(2, queue="other", max_attempts=1)
    host = bench.host()
    bench.commit(outcomes(bench.claim(host, queue="mail"), OutcomeKind.FAILED))
    claim = bench.claim(host, queue="other")
    bench.commit([outcome(claim, 0, OutcomeKind.FAILED), outcome(claim, 1, OutcomeKind.CANCELLED)])
    bench.sql.execute("UPDATE farm.result SET started_at = NULL, finished_at = now() - interval '2 h' WHERE job_id = %s", [mail[0]])
    bench.sql.execute("UPDATE farm.job SET task = 'mail:send' WHERE id = %s", [mail[1]])
    store = RetryStore(bench.session)
    assert list(store.failed()) == [*mail, other[0]]
    assert list(store.failed(queue="mail")) == mail
    assert list(store.failed(queue="nowhere")) == []
    assert list(store.failed(task="mail:*")) == [mail[1]]
    assert list(store.failed(queue="mail", task="tests:*", since=store.now() - timedelta(hours=1))) == mail[2:]


def test_two_who_try_the_same_jobs_again_do_it_once(bench: Bench) -> None:
    ids = bench.enqueue(200, max_attempts=1)
    bench.commit(outcomes(bench.claim(bench.host(), 200), OutcomeKind.FAILED))
    again: list[int] = []
    with farm.connect(bench.dsn) as client:
        threads = [Thread(target=lambda order=order: again.extend(client.retry(ids[::order]))) for order in (1, -1, 1, -1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(again) == ids
    assert bench.value("SELECT count(*) FROM farm.failure WHERE kind = 'retried'") == 200
    assert check(bench.session) == []


def test_an_outcome_of_before_is_refused_after_a_retry(bench: Bench) -> None:
    """The fence: an old lease is gone, whatever has been done with the job since."""
    ids = bench.enqueue(max_attempts=1)
    host = bench.host()
    claim = bench.claim(host)
    late = batch_of(outcomes(claim))
    bench.commit(outcomes(claim, OutcomeKind.FAILED))
    RetryStore(bench.session).retry(ids, by=None)
    assert bench.commits.commit(late, now_ns=NOW_NS).stale == 1
    assert [row[1:3] for row in places(bench)] == [("returned", 0)]
    assert bench.commits.commit(batch_of(outcomes(claim, OutcomeKind.FAILED)), now_ns=NOW_NS, again=True).already == 1
