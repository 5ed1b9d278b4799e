"""A conformance test for job queues: the outcome of one who was declared dead is refused, and that of his successor stands.

A claims a job and stalls. A is declared dead, B claims the job and runs it. A wakes and reports. Of seven queues on PostgreSQL that were
tried, five take the report of A for the truth: the job is done while B still runs it, B's outcome is dropped or undoes A's. Here A is
told that its lease is gone, whatever it reports and whenever it comes, and nothing in the database has changed.
"""

from __future__ import annotations

from itertools import product

import pytest

from farm.model import Claim, CommitReport, OutcomeKind
from farm.store.invariants import check
from farm.store.upkeep import Reaped
from tests.store.bench import Bench, outcome

WRITTEN, STALE = CommitReport(1, 0, 0, 0, 0), CommitReport(0, 0, 1, 0, 0)
REPORTS = (OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.CRASHED, OutcomeKind.TIMED_OUT, OutcomeKind.RELEASED)
PLACES = "SELECT 'returned', job_id, attempt, lost FROM farm.returned UNION ALL SELECT 'result', job_id, status, attempt FROM farm.result"


class Story:
    """One job that A has claimed and B has after it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        (self.job_id,) = bench.enqueue()
        self.a, self.b = bench.host("a"), bench.host("b")
        self.of_a = bench.claim(self.a)
        # A heartbeat has told that it runs there, then A stalls.
        bench.hosts.beat(self.a, [self.job_id], [1.0])

    def declare_dead(self) -> None:
        """Have B find that A does not beat any more, and take back what it held."""
        beat = next(found.beat for found in self.bench.upkeep.live_hosts().hosts if found.host_id == self.a)
        assert self.bench.hosts.retire(self.a, beat)
        assert self.bench.upkeep.reap(self.a, None) == Reaped(1, 1, 1)

    def claim_for_b(self) -> Claim:
        claim = self.bench.claim(self.b)
        assert claim.job_ids == [self.job_id]
        return claim

    def everything(self) -> list[tuple[object, ...]]:
        return [
            *self.bench.rows(f"{PLACES} ORDER BY 1, 2"),
            *self.bench.rows("SELECT id, n, done FROM farm.lease ORDER BY id"),
            *self.bench.rows("SELECT job_id, lease_id, attempt, kind FROM farm.failure ORDER BY attempt"),
        ]


@pytest.mark.parametrize(("says_a", "says_b"), list(product(REPORTS, (OutcomeKind.SUCCEEDED, OutcomeKind.FAILED))))
def test_who_was_declared_dead_is_not_believed(bench: Bench, says_a: OutcomeKind, says_b: OutcomeKind) -> None:
    """Before B has claimed, while B runs, and after B has reported: A's report changes nothing."""
    story = Story(bench)
    late = [outcome(story.of_a, 0, says_a)]
    story.declare_dead()
    before = story.everything()
    assert bench.commit(late) == STALE
    assert story.everything() == before
    of_b = story.claim_for_b()
    before = story.everything()
    assert bench.commit(late) == STALE
    assert bench.commit(late, again=True) == CommitReport(0, 0, 0, 0, 1), "asked again, it is as little believed"
    assert story.everything() == before
    assert bench.commit([outcome(of_b, 0, says_b)]) == WRITTEN
    before = story.everything()
    assert bench.commit(late) == STALE
    assert story.everything() == before
    assert bench.hosts.beat(story.a, [], []) is None, "and it learns that it is no more"
    if says_b is OutcomeKind.SUCCEEDED:
        assert bench.rows("SELECT job_id, lease_id, attempt FROM farm.result") == [(story.job_id, of_b.lease_id, 2)]
    else:
        assert bench.rows("SELECT job_id, attempt FROM farm.returned") == [(story.job_id, 2)]
    assert check(bench.session) == []


def test_who_reports_before_he_is_declared_dead_is_believed(bench: Bench) -> None:
    """The fence is the lease, not the clock: a late report is as good as an early one as long as nobody has taken the job."""
    story = Story(bench)
    assert bench.commit([outcome(story.of_a, 0)]) == WRITTEN
    assert bench.hosts.retire(story.a, None)
    assert bench.upkeep.reap(story.a, None) == Reaped(0, 0, 0)
    assert bench.rows("SELECT job_id, lease_id, attempt FROM farm.result") == [(story.job_id, story.of_a.lease_id, 1)]
    assert check(bench.session) == []


def test_who_is_retired_and_not_yet_reaped_is_believed(bench: Bench) -> None:
    """Retired is not reaped: until somebody has taken the job, the outcome of one who has finished it saves doing it again."""
    story = Story(bench)
    assert bench.hosts.retire(story.a, None)
    assert bench.commit([outcome(story.of_a, 0)]) == WRITTEN
    assert bench.upkeep.reap(story.a, None) == Reaped(0, 0, 0)
    assert check(bench.session) == []


def test_a_stale_outcome_among_good_ones(bench: Bench) -> None:
    """In one commit the leases that stand are settled and the one that is gone is not: each outcome is accounted for."""
    story = Story(bench)
    story.declare_dead()
    of_b = story.claim_for_b()
    bench.enqueue(3, queue="other")
    others = bench.claim(story.b, queue="other")
    batch = [outcome(story.of_a, 0), *(outcome(others, position) for position in range(3)), outcome(of_b, 0)]
    assert bench.commit(batch) == CommitReport(4, 0, 1, 0, 0)
    assert bench.value("SELECT lease_id FROM farm.result WHERE job_id = %s", story.job_id) == of_b.lease_id
    assert check(bench.session) == []
