"""Hosts that come, beat and go; and what is taken from those that went."""

from __future__ import annotations

import time

import psycopg
import pytest

import farm.store.upkeep
from farm.model import Beat, OutcomeKind
from farm.store.invariants import check
from farm.store.upkeep import Promoted, Reaped
from tests.store.bench import Bench, outcome, outcomes


def test_a_host_beats_until_it_is_retired_for_ever(bench: Bench) -> None:
    one, two = bench.host(), bench.host()
    assert 0 < one < two < 1 << 31
    assert bench.hosts.beat(one, [3, 4], [0.5, 2.0])
    beats, age_s = bench.upkeep.live_hosts()
    assert beats == [Beat(one, 1), Beat(two, 0)]
    assert age_s > 0
    assert bench.value("SELECT started_at[1] - started_at[2] FROM farm.heartbeat WHERE host_id = %s", one).total_seconds() == 1.5
    assert not bench.hosts.retire(one, 0), "it has beaten since"
    assert bench.hosts.retire(one, 1)
    assert not bench.hosts.retire(one, 1), "another reaper was first"
    assert not bench.hosts.beat(one, [], [])
    assert bench.hosts.retire(two, None)
    assert not bench.hosts.retire(two, None)
    assert bench.upkeep.live_hosts().hosts == []


def test_only_hosts_that_do_not_live_are_reaped(bench: Bench) -> None:
    bench.enqueue(2)
    host = bench.host()
    bench.claim(host)
    assert bench.upkeep.retired_with_leases() == []
    assert bench.upkeep.reap(host, None) == Reaped(0, 0, 0)
    assert bench.upkeep.leases_left(host) == 1


def test_the_last_heartbeat_says_which_jobs_used_an_attempt(bench: Bench) -> None:
    ids = bench.enqueue(4)
    host, other = bench.host(), bench.host()
    claim = bench.claim(host)
    bench.commit([outcome(claim, 0)])
    bench.hosts.beat(host, [ids[0], ids[1]], [3.0, 3.0])
    bench.hosts.retire(host, None)
    assert bench.upkeep.retired_with_leases() == [host]
    assert bench.upkeep.reap(host, None) == Reaped(3, 1, 1)
    assert bench.upkeep.reap(host, None) == Reaped(0, 0, 0)
    assert bench.upkeep.leases_left(host) == 0
    assert bench.rows("SELECT job_id, attempt, lost FROM farm.returned ORDER BY 1") == [(ids[1], 1, 1), (ids[2], 0, 1), (ids[3], 0, 1)]
    found = bench.rows("SELECT job_id, attempt, kind, error->>'type', finished_at - started_at >= interval '3 s' FROM farm.failure")
    assert found == [(ids[1], 1, "lost", "HostLost", True)]
    again = bench.claim(other)
    assert (again.job_ids, again.attempts, again.losts) == (ids[1:], [1, 0, 0], [1, 1, 1])
    bench.commit([outcome(again, position, OutcomeKind.RELEASED) for position in range(3)])
    assert bench.rows("SELECT attempt, lost FROM farm.returned ORDER BY job_id") == [(1, 1), (0, 1), (0, 1)]
    assert check(bench.session) == []


def test_what_a_host_left_in_memory_is_better_evidence(bench: Bench) -> None:
    ids = bench.enqueue(3)
    host = bench.host()
    bench.claim(host)
    bench.hosts.beat(host, [ids[0], ids[1]], [1.0, 1.0])
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, [ids[1], ids[2], 999]) == Reaped(3, 2, 1)
    assert bench.rows("SELECT job_id, started_at IS NULL FROM farm.failure ORDER BY 1") == [(ids[1], False), (ids[2], True)]
    ids = bench.enqueue(1, queue="other")
    host = bench.host()
    bench.claim(host, queue="other")
    bench.hosts.beat(host, ids, [1.0])
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, []) == Reaped(1, 0, 1)
    assert bench.rows("SELECT job_id, attempt, lost FROM farm.returned ORDER BY seq DESC LIMIT 1") == [(ids[0], 0, 0)]


def test_what_is_known_not_to_have_started_is_no_loss(bench: Bench) -> None:
    """However often a farm is killed and started again: only what had started, or may have, is counted as lost."""
    ids = bench.enqueue(2, max_attempts=20)
    for _ in range(12):
        host = bench.host()
        bench.claim(host)
        bench.hosts.retire(host, None)
        assert bench.upkeep.reap(host, []) == Reaped(2, 0, 1)
    host = bench.host()
    bench.claim(host)
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, ids[:1]) == Reaped(2, 1, 1)
    assert bench.rows("SELECT job_id, attempt, lost FROM farm.returned ORDER BY 1") == [(ids[0], 1, 1), (ids[1], 0, 0)]


def test_a_job_known_to_have_started_on_its_last_attempt_is_over(bench: Bench) -> None:
    ids = bench.enqueue(2, max_attempts=1)
    host = bench.host()
    bench.claim(host)
    bench.hosts.beat(host, ids[:1], [1.0])
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, None) == Reaped(2, 1, 1)
    assert bench.rows("SELECT job_id, status, attempt, error->>'type' FROM farm.result") == [(ids[0], 2, 1, "HostLost")]
    assert bench.rows("SELECT job_id FROM farm.returned") == [(ids[1],)]
    assert check(bench.session) == []


def test_the_tenth_loss_ends_a_job(bench: Bench) -> None:
    (job_id,) = bench.enqueue()
    for loss in range(1, 11):
        host = bench.host()
        claim = bench.claim(host)
        assert claim.losts == ([loss - 1] if loss > 1 else None)
        bench.hosts.retire(host, None)
        assert bench.upkeep.reap(host, None) == Reaped(1, 0, 1)
    assert bench.rows("SELECT job_id, status, attempt, error->>'message' FROM farm.result") == [(job_id, 2, 0, "lost too often")]
    assert check(bench.session) == []


def test_many_leases_are_reaped_twenty_at_a_time(bench: Bench) -> None:
    bench.enqueue(50)
    host = bench.host()
    for _ in range(25):
        bench.claim(host, 2)
    bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, None) == Reaped(40, 0, 20)
    assert bench.upkeep.leases_left(host) == 5
    assert bench.upkeep.reap(host, None) == Reaped(10, 0, 5)
    assert bench.upkeep.leases_left(host) == 0
    assert check(bench.session) == []


def test_a_lease_of_a_host_without_a_row_is_reaped_as_not_started(bench: Bench) -> None:
    bench.enqueue(3)
    host = bench.host()
    bench.claim(host)
    bench.sql.execute("DELETE FROM farm.heartbeat")
    assert bench.upkeep.retired_with_leases() == [host]
    assert bench.upkeep.reap(host, None) == Reaped(3, 0, 1)


def test_hosts_that_hold_leases_and_do_not_live_are_found_among_the_others(bench: Bench) -> None:
    bench.enqueue(5)
    gone, empty, living, gone_too = (bench.host() for _ in range(4))
    for host in (gone, gone, living, gone_too):
        bench.claim(host, 1)
    for host in (gone, empty, gone_too):
        bench.hosts.retire(host, None)
    assert bench.upkeep.retired_with_leases() == [gone, gone_too]


def test_jobs_are_promoted_when_they_are_due_the_earliest_first(bench: Bench) -> None:
    assert bench.upkeep.promote(10) == Promoted(0, None)
    ids = bench.enqueue(5, delay_s=100)
    late = bench.enqueue(1, delay_s=1000)
    jobs, next_due_s = bench.upkeep.promote(10)
    assert jobs == 0
    assert next_due_s is not None
    assert 0 < next_due_s <= 100
    for age, job_id in enumerate(ids):
        bench.sql.execute("UPDATE farm.scheduled SET run_at = now() - make_interval(secs => %s + 1) WHERE job_id = %s", [age, job_id])
    assert bench.upkeep.promote(2).jobs == 2
    assert {row[0] for row in bench.rows("SELECT job_id FROM farm.returned")} == set(ids[3:])
    jobs, next_due_s = bench.upkeep.promote(10)
    assert jobs == 3
    assert next_due_s is not None
    assert 100 < next_due_s <= 1000
    assert bench.claim(bench.host()).job_ids == ids
    assert bench.rows("SELECT job_id FROM farm.scheduled") == [(late[0],)]


def test_two_partitions_are_kept_ahead_and_busy_farms_get_larger_ones(bench: Bench) -> None:
    assert bench.upkeep.keep_partitions_ahead() == 0
    bench.sql.execute("SELECT setval('farm.job_id_seq', 12000000)")
    # The tables were made when the tests began, minutes ago perhaps: the rate is taken over at least one.
    bench.sql.execute("UPDATE farm.partition SET made_at = now()")
    assert bench.upkeep.keep_partitions_ahead() == 1
    assert bench.rows("SELECT number, lower_id, last_id FROM farm.partition WHERE number > 4") == [(5, 20_000_000, 12_000_000)]
    lower, upper = bench.rows("SELECT lower_id, upper_id FROM farm.partition WHERE number = 5")[0]
    assert upper - lower > 100_000_000, "an hour at 12 million a minute"
    assert bench.upkeep.keep_partitions_ahead() == 0
    for table in ("job", "result", "failure"):
        assert bench.value("SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", f"farm.{table}") == 5


def test_partitions_are_made_beside_open_readers_and_writers(bench: Bench) -> None:
    with bench.sql.transaction():
        bench.enqueue(3)
        bench.sql.execute("SELECT * FROM farm.jobs")
        bench.session.fetch("ensure_partitions", {"up_to": 24_999_999, "ahead": 0})
    assert bench.value("SELECT max(upper_id) FROM farm.partition") == 25_000_000


def test_hosts_long_retired_are_forgotten_but_for_their_names(bench: Bench) -> None:
    bench.enqueue(1)
    old, holding, recent, living = (bench.host() for _ in range(4))
    bench.claim(holding)
    for host in (old, holding, recent):
        bench.hosts.retire(host, None)
    bench.sql.execute("UPDATE farm.heartbeat SET beat_at = now() - interval '2 h' WHERE host_id <> %s", [recent])
    assert bench.upkeep.prune_hosts() == [old]
    assert bench.rows("SELECT host_id FROM farm.heartbeat ORDER BY 1") == [(holding,), (recent,), (living,)]
    assert bench.value("SELECT count(*) FROM farm.host") == 4


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED])
def test_a_commit_before_the_reap_wins(bench: Bench, kind: OutcomeKind) -> None:
    bench.enqueue(2)
    host = bench.host()
    claim = bench.claim(host)
    bench.hosts.retire(host, None)
    assert bench.commit(outcomes(claim, kind)).written == 2
    assert bench.upkeep.reap(host, claim.job_ids) == Reaped(0, 0, 0)
    assert check(bench.session) == []


def test_what_holds_the_horizon_is_found(bench: Bench) -> None:
    """The oldest first; sessions that hold nothing are not among them, nor is the one that looks."""
    assert bench.upkeep.horizon() == []
    with psycopg.connect(bench.dsn, application_name="forgotten") as other, psycopg.connect(bench.dsn, application_name="idle") as idle:
        row = other.execute("SELECT pg_backend_pid(), current_user, txid_current()").fetchone()
        assert row is not None
        idle.execute("BEGIN")
        bench.value("SELECT txid_current()")
        (found,) = bench.upkeep.horizon()
        assert (found.kind, found.pid, found.who, found.doing) == ("session", row[0], f"forgotten of {row[1]}", "idle in transaction")
        assert found.age_s is not None
        assert 0.0 <= found.age_s < 30.0
        assert found.transactions >= 1


def test_a_commit_whose_writer_is_gone_holds_no_lease_for_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in the middle of a COPY, which no timeout of PostgreSQL ends while it waits for rows."""
    bench.enqueue(2)
    host = bench.host()
    claim = bench.claim(host)
    bench.hosts.retire(host, None)
    stuck = psycopg.connect(bench.dsn, application_name="farm writer", autocommit=True)
    stuck.execute("SET statement_timeout = 100; SET idle_in_transaction_session_timeout = 100")
    stuck.execute("BEGIN")
    stuck.execute("SELECT FROM farm.lease WHERE id = %s FOR UPDATE", [claim.lease_id])
    stuck.pgconn.send_query(b"COPY farm.failure (job_id) FROM STDIN")
    time.sleep(0.3)
    assert bench.upkeep.reap(host, None) == Reaped(0, 0, 0)
    assert bench.upkeep.end_stuck_commits() == 0, "it may be at work still"
    monkeypatch.setattr(farm.store.upkeep, "STUCK_S", 0.2)
    bystander = bench.sql.execute("SELECT pg_backend_pid()").fetchone()
    assert bench.upkeep.end_stuck_commits() == 1
    assert bench.sql.execute("SELECT pg_backend_pid()").fetchone() == bystander
    deadline = time.monotonic() + 20
    while bench.upkeep.reap(host, None) == Reaped(0, 0, 0):
        assert time.monotonic() < deadline
    assert bench.upkeep.leases_left(host) == 0
    stuck.close()
