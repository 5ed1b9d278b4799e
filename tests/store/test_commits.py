"""Committing: what each kind of outcome leaves behind, and what is dropped."""

from __future__ import annotations

import time
from threading import Thread

import psycopg
import pytest

from farm.errors import StoreError, StoreUnavailable
from farm.model import CommitReport, OutcomeKind
from farm.store.invariants import check
from tests.store.bench import NOW_NS, Bench, outcome, outcomes


def test_a_success_is_stored_with_the_databases_clock_and_its_lease_goes(bench: Bench) -> None:
    ids = bench.enqueue(2)
    claim = bench.claim(bench.host())
    assert bench.commit(outcomes(claim)) == CommitReport(2, 0, 0, 0, 0)
    found = bench.rows("""
        SELECT job_id, lease_id, status, attempt, value, error, finished_at - started_at = interval '1 s',
            abs(extract(epoch FROM now() - finished_at) - 1) < 60
        FROM farm.result ORDER BY job_id""")
    assert found == [(job_id, claim.lease_id, 1, 1, {"n": 1}, None, True, True) for job_id in ids]
    assert bench.rows("SELECT id FROM farm.lease") == []


def test_a_lease_stays_until_its_last_position_is_settled(bench: Bench) -> None:
    bench.enqueue(19)
    claim = bench.claim(bench.host())
    order = [3, 18, 0, 7, 8, 1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 17, 16]
    for start in range(0, 18, 6):
        bench.commit([outcome(claim, position) for position in order[start : start + 6]])
        bits = bench.value("SELECT done FROM farm.lease")
        assert {i for i in range(19) if bits[i // 8] >> i % 8 & 1} == set(order[: start + 6])
    bench.commit([outcome(claim, 16)])
    assert bench.rows("SELECT id FROM farm.lease") == []
    assert bench.value("SELECT count(*) FROM farm.result") == 19


@pytest.mark.parametrize(
    ("kind", "status", "attempt"),
    [(OutcomeKind.REJECTED, 2, 0), (OutcomeKind.CANCELLED, 3, 1)],
)
def test_some_outcomes_end_a_job_whatever_attempts_are_left(bench: Bench, kind: OutcomeKind, status: int, attempt: int) -> None:
    bench.enqueue()
    bench.commit(outcomes(bench.claim(bench.host()), kind))
    assert bench.rows("SELECT status, attempt, value, error->>'type' FROM farm.result") == [(status, attempt, None, kind.name.lower())]
    assert bench.value("SELECT count(*) FROM farm.failure") == attempt


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.STOPPED, OutcomeKind.CRASHED, OutcomeKind.MEMORY])
def test_a_job_that_fails_runs_three_times_and_keeps_the_reason_of_each(bench: Bench, kind: OutcomeKind) -> None:
    (job_id,) = bench.enqueue()
    host = bench.host()
    for attempt in (1, 2, 3):
        assert bench.value("SELECT count(*) FROM farm.result") == 0
        claim = bench.claim(host)
        assert claim.attempts == [attempt - 1]
        bench.commit(outcomes(claim, kind))
    name = kind.name.lower()
    assert bench.rows("SELECT attempt, kind, error->>'message' FROM farm.failure ORDER BY attempt") == [
        (attempt, name, f"it {name}") for attempt in (1, 2, 3)
    ]
    message = f"crashed 3 times; the last time: it {name}" if kind in (OutcomeKind.CRASHED, OutcomeKind.MEMORY) else f"it {name}"
    assert bench.rows("SELECT job_id, status, attempt, error->>'message' FROM farm.result") == [(job_id, 2, 3, message)]
    assert bench.rows("SELECT * FROM farm.returned") == []


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.CRASHED])
@pytest.mark.parametrize("allowed", [1, 5])
def test_max_attempts_says_how_often_a_job_may_run(bench: Bench, kind: OutcomeKind, allowed: int) -> None:
    bench.enqueue(max_attempts=allowed)
    host = bench.host()
    for _ in range(allowed):
        bench.commit(outcomes(bench.claim(host), kind))
    assert bench.rows("SELECT status, attempt, error->>'type' FROM farm.result") == [(2, allowed, kind.name.lower())]


def test_crashes_are_counted_apart_from_failures(bench: Bench) -> None:
    bench.enqueue()
    host = bench.host()
    for kind in (OutcomeKind.CRASHED, OutcomeKind.FAILED, OutcomeKind.CRASHED):
        bench.commit(outcomes(bench.claim(host), kind))
    assert bench.value("SELECT count(*) FROM farm.result") == 0
    claim = bench.claim(host)
    assert claim.attempts == [3]
    bench.commit(outcomes(claim, OutcomeKind.MEMORY))
    assert bench.rows("SELECT attempt, error->>'message' FROM farm.result") == [(4, "crashed 3 times; the last time: it memory")]


def test_what_was_released_goes_back_unharmed(bench: Bench) -> None:
    ids = bench.enqueue(2)
    host = bench.host()
    bench.commit(outcomes(bench.claim(host), OutcomeKind.RELEASED))
    assert bench.rows("SELECT job_id, attempt, lost FROM farm.returned ORDER BY job_id") == [(ids[0], 0, 0), (ids[1], 0, 0)]
    assert bench.rows("SELECT * FROM farm.failure") == []
    bench.commit(outcomes(bench.claim(host)))
    assert bench.value("SELECT count(*) FROM farm.result WHERE status = 1 AND attempt = 1") == 2


def test_an_outcome_is_written_once_whoever_sends_it_again(bench: Bench) -> None:
    bench.enqueue(3)
    claim = bench.claim(bench.host())
    first, second, third = outcomes(claim)
    assert bench.commit([first, first, second]) == CommitReport(2, 1, 0, 0, 0)
    assert bench.commit([first, second]) == CommitReport(0, 2, 0, 0, 0)
    assert bench.commit([first, third], again=True) == CommitReport(1, 0, 0, 1, 0)
    assert bench.commit([first, third]) == CommitReport(0, 0, 2, 0, 0)
    assert bench.commit([first, second, third], again=True) == CommitReport(0, 0, 0, 3, 0)
    assert bench.commit([]) == CommitReport(0, 0, 0, 0, 0)


def test_an_outcome_whose_lease_was_reaped_is_stale_and_changes_nothing(bench: Bench) -> None:
    bench.enqueue(2)
    host = bench.host()
    claim = bench.claim(host)
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, None).jobs == 2
    assert bench.commit(outcomes(claim)) == CommitReport(0, 0, 2, 0, 0)
    assert bench.commit(outcomes(claim), again=True) == CommitReport(0, 0, 0, 0, 2)
    assert bench.value("SELECT count(*) FROM farm.result") == 0


def test_one_commit_mixes_leases_and_kinds(bench: Bench) -> None:
    bench.enqueue(30)
    host = bench.host()
    one, two = bench.claim(host, 10), bench.claim(host, 20)
    gone = outcome(one, 0)._replace(lease_id=(host << 32) + 77)
    kinds = [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.RELEASED, OutcomeKind.REJECTED, OutcomeKind.CRASHED]
    mixed = [outcome(claim, position, kinds[position % 5]) for position in range(10) for claim in (two, one)]
    assert bench.commit([*mixed, gone]) == CommitReport(20, 0, 1, 0, 0)
    assert bench.rows("SELECT id FROM farm.lease") == [(two.lease_id,)]
    assert bench.rows("SELECT status, count(*) FROM farm.result GROUP BY 1 ORDER BY 1") == [(1, 4), (2, 4)]
    assert bench.rows("SELECT attempt, count(*) FROM farm.returned GROUP BY 1 ORDER BY 1") == [(0, 4), (1, 8)]


def test_a_commit_is_done_as_a_whole_or_not_at_all(bench: Bench) -> None:
    """What it writes last fails: then it has written nothing, and its lease stands as it was."""
    bench.enqueue(3)
    claim = bench.claim(bench.host())
    mixed = [outcome(claim, 0), outcome(claim, 1, OutcomeKind.FAILED), outcome(claim, 2, OutcomeKind.RELEASED)]
    bench.sql.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    bench.sql.execute("CREATE TRIGGER refuse BEFORE DELETE ON farm.lease FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(StoreError, match="no"):
        bench.commit(mixed)
    for table in ("result", "failure", "returned", "scheduled"):
        assert bench.value(f"SELECT count(*) FROM farm.{table}") == 0  # noqa: S608
    assert bench.value("SELECT bit_count(done) FROM farm.lease") == 0
    bench.sql.execute("DROP TRIGGER refuse ON farm.lease")
    assert bench.commit(mixed).written == 3
    assert check(bench.session) == []


@pytest.mark.parametrize("position", [0, 41, 99])
def test_one_result_that_cannot_be_stored_fails_alone(bench: Bench, position: int) -> None:
    ids = bench.enqueue(100, max_attempts=1)
    claim = bench.claim(bench.host())
    batch = outcomes(claim)
    batch[position] = outcome(claim, position, payload=b'"\\u0000"')
    assert bench.commit(batch) == CommitReport(100, 0, 0, 0, 0)
    assert bench.rows("SELECT job_id, error->>'type' FROM farm.result WHERE status <> 1") == [(ids[position], "UnstorableResult")]
    assert bench.value("SELECT count(*) FROM farm.result WHERE status = 1") == 99
    assert bench.rows("SELECT id FROM farm.lease") == []


def test_anything_that_is_not_json_for_postgresql_becomes_a_failure(bench: Bench) -> None:
    host = bench.host()
    for payload in (b"", b"{", b'"\\ud800"', b"\xff", b"NaN", b"1e200000", b"[" * 60000):
        good_id = max(bench.enqueue(2, max_attempts=1))
        claim = bench.claim(host)
        assert bench.commit([outcome(claim, 0, payload=payload), outcome(claim, 1)]).written == 2
        assert bench.rows("SELECT status FROM farm.result WHERE job_id >= %s - 1 ORDER BY job_id", good_id) == [(2,), (1,)], payload


def test_a_frame_of_nonsense_fails_the_job_at_its_position_and_holds_up_no_other(bench: Bench) -> None:
    ids = bench.enqueue(5, max_attempts=1)
    claim = bench.claim(bench.host())
    strange_job = outcome(claim, 0)._replace(job_id=10**15)
    strange_kind = outcome(claim, 2)._replace(kind=77)
    beyond = outcome(claim, 3)._replace(position=1000)
    no_reason = outcome(claim, 4, OutcomeKind.FAILED, payload=b"")
    report = bench.commit([strange_job, outcome(claim, 1), strange_kind, beyond, no_reason])
    assert report == CommitReport(4, 1, 0, 0, 0)
    assert bench.rows("SELECT job_id, status, error->>'type' FROM farm.result ORDER BY 1") == [
        (ids[0], 2, "UnstorableResult"),
        (ids[1], 1, None),
        (ids[2], 2, "UnstorableResult"),
        (ids[4], 2, "Unknown"),
    ]
    assert bench.commit([outcome(claim, 3)]).written == 1
    assert check(bench.session) == []


def test_a_second_result_of_a_job_is_told_of_once_and_stops_nothing(bench: Bench) -> None:
    ids = bench.enqueue(3)
    claim = bench.claim(bench.host())
    bench.sql.execute("INSERT INTO farm.result (job_id, status, attempt, finished_at, value) VALUES (%s, 1, 1, now(), '7')", [ids[1]])
    with pytest.raises(StoreError, match=f"position 1 of lease {claim.lease_id}, job {ids[1]}, had to be given up: duplicate key"):
        bench.commit(outcomes(claim))
    assert bench.commit(outcomes(claim), again=True) == CommitReport(0, 0, 0, 2, 1)
    assert bench.rows("SELECT job_id, value FROM farm.result ORDER BY 1") == [(ids[0], {"n": 1}), (ids[1], 7), (ids[2], {"n": 1})]
    assert check(bench.session) == []


def test_times_that_cannot_be_are_taken_for_now(bench: Bench) -> None:
    bench.enqueue(2)
    claim = bench.claim(bench.host())
    first = outcome(claim, 0, OutcomeKind.FAILED)._replace(started_ns=NOW_NS * 2**30, finished_ns=-5)
    second = outcome(claim, 1, OutcomeKind.REJECTED)._replace(started_ns=2**63 - 1, finished_ns=0)
    assert bench.commit([first, second]).written == 2
    for table in ("result", "failure"):
        ages = bench.rows(f"SELECT abs(extract(epoch FROM now() - finished_at)) FROM farm.{table}")  # noqa: S608
        assert [age < 30 for (age,) in ages] == [True]
    assert check(bench.session) == []


@pytest.mark.parametrize(("started_ns", "finished_ns"), [(NOW_NS * 2**23, NOW_NS * 2**23), (NOW_NS, NOW_NS - 10**9), (-(2**62), 0)])
def test_a_success_at_a_time_that_cannot_be_fails_its_job_and_no_other(bench: Bench, started_ns: int, finished_ns: int) -> None:
    """A subworker packs its own times: what no clock can have said is refused by the table, for that job alone."""
    ids = bench.enqueue(3)
    batch = outcomes(bench.claim(bench.host()))
    batch[1] = batch[1]._replace(started_ns=started_ns, finished_ns=finished_ns)
    assert bench.commit(batch).written == 3
    assert bench.rows("SELECT job_id FROM farm.result ORDER BY 1") == [(ids[0],), (ids[2],)]
    ((job_id, error),) = bench.rows("SELECT job_id, error->>'type' FROM farm.failure WHERE finished_at < now() + interval '1 minute'")
    assert (job_id, error) == (ids[1], "UnstorableResult")
    assert check(bench.session) == []


def test_a_deadlock_costs_one_try(bench: Bench) -> None:
    """Somebody who locks leases in another order is none of ours, and may win: the same outcomes are offered again."""
    bench.enqueue(4)
    host = bench.host()
    one, two = bench.claim(host, 2), bench.claim(host, 2)
    database = bench.value("SELECT current_database()")
    bench.sql.execute(f'ALTER DATABASE "{database}" SET deadlock_timeout = 50'.encode())
    bench.session.close()
    refused: list[StoreUnavailable] = []

    def commit() -> None:
        try:
            bench.commit([*outcomes(one), *outcomes(two)])
        except StoreUnavailable as error:
            refused.append(error)

    thread = Thread(target=commit)
    with psycopg.connect(bench.dsn, options="-c deadlock_timeout=60s") as other:
        other.execute("SELECT FROM farm.lease WHERE id = %s FOR UPDATE", [two.lease_id])
        thread.start()
        deadline = time.monotonic() + 30
        while not bench.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bench' AND wait_event_type = 'Lock'"):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        other.execute("SELECT FROM farm.lease WHERE id = %s FOR UPDATE", [one.lease_id])
        other.rollback()
    thread.join()
    assert [str(error) for error in refused] == ["deadlock detected"]
    assert bench.rows("SELECT job_id FROM farm.result") == []
    assert bench.commit([*outcomes(one), *outcomes(two)], again=True) == CommitReport(4, 0, 0, 0, 0)
    assert check(bench.session) == []


def test_the_last_of_what_failed_can_be_asked_for_once(bench: Bench) -> None:
    """With the task that a job has, which attempt it was, and what becomes of it; what was given back is none of these."""
    ids = bench.enqueue(60)
    claim = bench.claim(bench.host())
    kinds = [OutcomeKind.FAILED] * 50 + [OutcomeKind.SUCCEEDED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED, OutcomeKind.REJECTED]
    kinds += [OutcomeKind.CANCELLED] * 6
    snooze = b'{"after_s": 1}'
    bench.commit([outcome(claim, at, kind, snooze if kind is OutcomeKind.SNOOZED else None) for at, kind in enumerate(kinds)])
    failed = bench.commits.take_failed()
    assert [one.outcome.job_id for one in failed] == ids[41:50] + ids[53:]
    assert {(one.task, one.attempt, one.delay_s is None) for one in failed[:9]} == {("tests:job", 1, False)}
    assert {(one.task, one.attempt, one.delay_s) for one in failed[10:]} == {("", 1, None)}
    assert bench.commits.take_failed() == []


def test_logs_stay_with_their_jobs(bench: Bench) -> None:
    """Of two leases, one of them at a second attempt, where some have printed something, and the same outcomes in halves."""
    bench.enqueue(4)
    host = bench.host()
    first = bench.claim(host, 4)
    bench.commit(outcomes(first, OutcomeKind.FAILED))
    bench.enqueue(4)
    claims = [bench.claim(host, 4), bench.claim(host, 4)]
    assert {attempt for claim in claims for attempt in claim.attempts} == {0, 1}
    batch = [one for claim in claims for one in outcomes(claim)]
    batch = [one._replace(log=b"said by %d" % one.job_id if place in (1, 2, 6) else b"") for place, one in enumerate(batch)]
    batch[4] = batch[4]._replace(payload=b"{")
    assert bench.commit(batch) == CommitReport(8, 0, 0, 0, 0)
    said = dict(bench.rows("SELECT job_id, log FROM farm.result WHERE status = 1"))
    assert said == {one.job_id: one.log.decode() or None for place, one in enumerate(batch) if place != 4}
