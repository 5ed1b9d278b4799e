"""Every order of the messages of transactions that meet: at the end every job stands in one place, and no outcome counts twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import farm.store.commits
import farm.store.session
from farm.model import Claim, CommitReport, OutcomeKind
from farm.store.claims import ClaimStore
from farm.store.commits import CommitStore
from farm.store.hosts import HostStore
from farm.store.invariants import check
from farm.store.session import Session
from farm.store.statements import compose
from farm.store.upkeep import Reaped, UpkeepStore
from tests.store.bench import NOW_NS, QUICK, Bench, batch_of, outcome, outcomes
from tests.store.stepping import Stage, SteppedConnection, orders

Work = Callable[[Session], Any]
COMMIT, TAKE_OVER = 3, 2
"""Messages: lock, copy, finish; retire, reap."""
ANEW = b"".join(b"DELETE FROM farm.%b;" % table for table in b"ready returned lease job result failure heartbeat".split())
"""Removes every job; of a few rows that takes a tenth of what TRUNCATE does."""


@pytest.fixture
def stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(farm.store.session, "DeadlineConnection", SteppedConnection)
    with Stage(bench.dsn) as opened:
        yield opened


def committing(batch: list[Any], *, again: bool = False) -> Work:
    return lambda session: CommitStore(session, QUICK).commit(batch_of(batch), now_ns=NOW_NS, again=again)


def taking_over(host: int, started: list[int] | None = None) -> Work:
    def work(session: Session) -> Reaped:
        HostStore(session).retire(host, None)
        return UpkeepStore(session).reap(host, started)

    return work


def claiming(bench: Bench, lease_id: int, *, again: bool = False) -> Work:
    asked = bench.asking(lease_id, 10, returned_max=5)

    def work(session: Session) -> Claim | None:
        store = ClaimStore(session)
        if again:
            # As it is after a first try whose answer never came.
            store._unanswered = lease_id
        return store.claim(**asked)

    return work


def two_leases(bench: Bench) -> tuple[int, Claim, Claim]:
    bench.sql.execute(ANEW)
    bench.enqueue(4, max_attempts=1)
    host = bench.host()
    return host, bench.claim(host, 2), bench.claim(host, 2)


def test_a_commit_and_a_take_over(bench: Bench, stage: Stage) -> None:
    for order in orders(COMMIT, TAKE_OVER):
        host, one, two = two_leases(bench)
        batch = [*outcomes(one), outcome(two, 0)]
        report, reaped = stage.play([committing(batch), taking_over(host, [two.job_ids[0]])], order)
        assert check(bench.session) == [], order
        assert report.written + report.stale == 3
        left = bench.upkeep.reap(host, [two.job_ids[0]])  # what the commit had locked is taken by the next round
        assert report.written + reaped.jobs + left.jobs == 4, order
        assert bench.value("SELECT count(*) FROM farm.result WHERE status = 1") == report.written


def test_a_commit_a_take_over_and_the_claim_of_another_host(bench: Bench, stage: Stage) -> None:
    for order in orders(COMMIT, TAKE_OVER, 1):
        host, one, two = two_leases(bench)
        other = bench.host()
        batch = [outcome(one, 0, OutcomeKind.RELEASED), outcome(one, 1), outcome(two, 1)]
        lease_id = bench.lease_id(other)
        report, reaped, claim = stage.play([committing(batch), taking_over(host), claiming(bench, lease_id)], order)
        assert check(bench.session) == [], order
        assert report.written + report.stale == 3
        held = set(claim.job_ids) if claim else set()
        finished = {row[0] for row in bench.rows("SELECT job_id FROM farm.result")}
        assert not held & finished, order
        assert reaped.jobs + bench.upkeep.reap(host, None).jobs >= 1


def test_a_commit_and_its_own_retry(bench: Bench, stage: Stage) -> None:
    for order in orders(COMMIT, COMMIT):
        _, one, two = two_leases(bench)
        batch = [*outcomes(one), outcome(two, 1)]
        first, second = stage.play([committing(batch), committing(batch, again=True)], order)
        assert check(bench.session) == [], order
        assert first.written + second.written == 3
        assert first in (CommitReport(3, 0, 0, 0, 0), CommitReport(0, 1, 2, 0, 0)), order
        assert second in (CommitReport(3, 0, 0, 0, 0), CommitReport(0, 0, 0, 3, 0)), order


def test_two_commits_with_crossing_leases_do_not_deadlock(bench: Bench, stage: Stage) -> None:
    for order in orders(COMMIT, COMMIT):
        _, one, two = two_leases(bench)
        batches = [[outcome(two, 0), outcome(one, 0)], [outcome(one, 1), outcome(two, 1)]]
        reports = stage.play([committing(batch) for batch in batches], order)
        assert reports == [CommitReport(2, 0, 0, 0, 0)] * 2, order
        assert check(bench.session) == [], order
        assert bench.rows("SELECT id FROM farm.lease") == []


def test_two_take_overs(bench: Bench, stage: Stage) -> None:
    for order in orders(TAKE_OVER, TAKE_OVER):
        host, _, _ = two_leases(bench)
        reaped = stage.play([taking_over(host), taking_over(host)], order)
        assert sum(each.jobs for each in reaped) == 4, order
        assert check(bench.session) == [], order


def test_a_claim_and_the_retiring_of_its_host(bench: Bench, stage: Stage) -> None:
    for order in orders(1, TAKE_OVER):
        bench.sql.execute(ANEW)
        bench.enqueue(3)
        host = bench.host()
        claim, reaped = stage.play([claiming(bench, bench.lease_id(host)), taking_over(host)], order)
        left = bench.upkeep.reap(host, None)
        assert (len(claim.job_ids) if claim else 0) == reaped.jobs + left.jobs, order
        assert check(bench.session) == [], order


@pytest.mark.parametrize("jobs", [0, 3, 30])
def test_a_claim_and_its_own_retry_leave_no_job_that_the_retry_does_not_know(bench: Bench, stage: Stage, jobs: int) -> None:
    for order in orders(1, 1):
        bench.sql.execute(ANEW)
        bench.enqueue(1, priority=9)
        bench.enqueue(jobs)
        lease_id = bench.lease_id(bench.host())
        first = claiming(bench, lease_id)
        _, retried = stage.play([first, claiming(bench, lease_id, again=True)], order)
        leased = bench.rows("SELECT job_ids FROM farm.lease WHERE n > 0")
        assert leased == ([(retried.job_ids,)] if retried else []), order
        assert bool(retried) == bool(jobs), order
        assert check(bench.session) == [], order
        # A first try that was slow beyond measure comes through now, or rather does not.
        bench.enqueue(5)
        stage.play([first], (0,))
        assert bench.rows("SELECT job_ids FROM farm.lease WHERE n > 0") == leased


def test_two_claims_take_no_job_twice(bench: Bench, stage: Stage) -> None:
    for order in orders(1, 1):
        bench.sql.execute(ANEW)
        bench.enqueue(15)
        claims = stage.play([claiming(bench, bench.lease_id(bench.host())) for _ in range(2)], order)
        taken = [job_id for claim in claims if claim for job_id in claim.job_ids]
        assert len(set(taken)) == len(taken) == 15, order
        assert check(bench.session) == [], order


def test_without_its_lock_the_fence_would_not_hold(bench: Bench, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders above are worth something only if they find what is missing here."""
    monkeypatch.setattr(farm.store.commits, "compose", lambda *names: compose(*names).replace(b"FOR UPDATE", b""))
    found = 0
    for order in orders(COMMIT, TAKE_OVER):
        host, one, _ = two_leases(bench)
        stage.play([committing(outcomes(one)), taking_over(host)], order)
        found += bool(check(bench.session))
    assert found
