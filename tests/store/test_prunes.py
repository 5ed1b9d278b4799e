"""Old finished jobs go, a partition at a time; everything else is where it was, whoever was at work meanwhile."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from farm.model import OutcomeKind, Retention
from farm.store.invariants import check
from farm.store.prunes import PruneStore
from farm.store.reads import ReadStore
from farm.store.retries import RetryStore
from farm.store.session import Session
from tests.store.bench import Bench, outcome, outcomes

DAY_S = 86400.0
WEEK = Retention(7 * DAY_S, 30 * DAY_S, 30 * DAY_S)
VIEW = "SELECT j.*::text FROM farm.jobs AS j WHERE j.id = ANY (%s) ORDER BY j.id, j.state"


def age(bench: Bench, ids: list[int], days: float) -> None:
    """Let jobs have ended so long ago."""
    query = "UPDATE farm.result SET started_at = NULL, finished_at = now() - make_interval(secs => %s) WHERE job_id = ANY (%s)"
    bench.sql.execute(query, [days * DAY_S, ids])


def finish(bench: Bench, count: int, kind: OutcomeKind = OutcomeKind.SUCCEEDED, days: float = 10.0) -> list[int]:
    """Have so many jobs run and end so long ago."""
    ids = bench.enqueue(count, max_attempts=1)
    bench.commit(outcomes(bench.claim(bench.host(), count), kind))
    age(bench, ids, days)
    return ids


def prune(bench: Bench, retention: Retention = WEEK, between: Callable[[], None] = lambda: None) -> int:
    """Close the partition and prune all that is due; returns how many jobs went."""
    store = PruneStore(bench.session)
    store.begin_next(0.0)
    gone = 0
    while store.begin_due(retention):
        while (step := store.go_on(7, 1.0)).state == "copying":
            between()
        between()
        assert step.state == "copied"
        assert store.finish(100) == "pruned"
        gone += step.jobs - step.kept
        while store.drop():
            pass
    return gone


def test_a_mix_of_everything(bench: Bench) -> None:
    """Whatever state and age jobs have: what may go is gone, everything else is as it was, in the view and where it stands."""
    chosen = random.Random(5)
    host = bench.host()
    gone: set[int] = set()
    stay: set[int] = set()
    for _round in range(3):
        goes = finish(bench, chosen.randrange(60, 90))
        goes += finish(bench, 5, OutcomeKind.FAILED, 31) + finish(bench, 3, OutcomeKind.CANCELLED, 40)
        gone |= set(goes)
        stay |= set(finish(bench, 4, days=6) + finish(bench, 3, OutcomeKind.FAILED, 29) + finish(bench, 2, OutcomeKind.CANCELLED, 8))
        stay |= set(
            bench.enqueue(2, delay_s=90 * DAY_S) + bench.enqueue(2, queue="nobody") + bench.enqueue(1, expires_s=90 * DAY_S, queue="x")
        )
        retrying = bench.enqueue(2, queue="again", retry="20d")
        claim = bench.claim(host, queue="again")
        bench.commit([outcome(claim, position, OutcomeKind.FAILED) for position in range(2)])
        returned = bench.enqueue(2, queue="back")
        bench.commit(outcomes(bench.claim(host, queue="back"), OutcomeKind.RELEASED))
        held = bench.enqueue(2, queue="held")
        bench.claim(host, queue="held")
        stay |= set(retrying + returned + held)
        before = bench.rows(VIEW, sorted(stay))
        failures = bench.rows("SELECT f.*::text FROM farm.failure AS f WHERE f.job_id = ANY (%s) ORDER BY 1", sorted(stay))
        assert prune(bench) == len(goes)
        assert bench.rows(VIEW, sorted(stay)) == before
        assert bench.rows("SELECT f.*::text FROM farm.failure AS f ORDER BY 1") == failures
        assert {row[0] for row in bench.rows("SELECT id FROM farm.job")} == stay
        assert {row[0] for row in bench.rows("SELECT id FROM farm.jobs")} == stay
        assert not gone & {row[0] for row in bench.rows("SELECT job_id FROM farm.result")}
        assert check(bench.session) == []
    # What was left of older ones has been put together with each newer one.
    parts = bench.rows("SELECT number, lower_id, kept_jobs FROM farm.partition WHERE kept_jobs IS NOT NULL")
    assert parts == [(3, 0, len(stay))]
    assert prune(bench) == 0, "nothing is left to do"
    assert bench.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'farm' AND tablename ~ '_p[123](r|$)'") == 3


def test_kept_jobs_go_on_as_ever(bench: Bench) -> None:
    """A job whose partition went while it waited runs, fails, is tried again by hand, cancelled, moved: as if nothing had been."""
    later, moved, cancelled, queued = (bench.enqueue(1, delay_s=60 * DAY_S)[0] for _ in range(4))
    failed = finish(bench, 1, OutcomeKind.FAILED, 10)[0]
    gone = finish(bench, 100)
    assert prune(bench) == 100
    reads, host = ReadStore(bench.session), bench.host()
    assert reads.job(gone[0]) is None
    assert RetryStore(bench.session).retry([gone[0], failed], by="me") == [failed]
    assert bench.rows("SELECT cancelled, unknown FROM farm.cancel_jobs(%s)", [cancelled, gone[1]]) == [(1, 1)]
    assert bench.value("SELECT changed FROM farm.change_jobs(%s, priority => 0)", [moved]) == 1
    bench.sql.execute("UPDATE farm.scheduled SET run_at = now() - interval '1 min' WHERE job_id = ANY (%s)", [[later, queued]])
    bench.sql.execute("UPDATE farm.job SET run_at = now() - interval '1 min' WHERE id = ANY (%s)", [[later, queued]])
    assert bench.upkeep.promote(10).jobs == 2
    claim = bench.claim(host)
    assert set(claim.job_ids) == {later, queued, failed}
    assert [row[0] for row in bench.claims.read_jobs(claim.job_ids)] == claim.job_ids
    kinds = {later: OutcomeKind.SUCCEEDED, queued: OutcomeKind.FAILED, failed: OutcomeKind.SUCCEEDED}
    report = bench.commit([outcome(claim, place, kinds[job_id]) for place, job_id in enumerate(claim.job_ids)])
    assert report.written == 3
    states = {job_id: reads.job(job_id)["state"] for job_id in (later, queued, failed, moved, cancelled)}  # type: ignore[index]
    assert states == {later: "succeeded", queued: "ready", failed: "succeeded", moved: "scheduled", cancelled: "cancelled"}
    assert [job["id"] for job in reads.jobs(limit=3)] == [failed, queued, cancelled]
    assert check(bench.session) == []
    age(bench, [later, failed, cancelled], 50)
    assert prune(bench) == 3, "the rest goes in its time"
    assert {row[0] for row in bench.rows("SELECT id FROM farm.job")} == {queued, moved}
    assert check(bench.session) == []


def test_what_changes_while_it_is_copied_is_not_lost(bench: Bench) -> None:
    """Jobs end, come back, are moved, cancelled and filed late between any two steps."""
    waiting = bench.enqueue(40, delay_s=60 * DAY_S)
    late_id = bench.value("SELECT nextval('farm.job_id_seq')")
    failed = finish(bench, 20, OutcomeKind.FAILED, 10)
    finish(bench, 300)
    chosen = random.Random(7)
    host = bench.host()
    late = [f"INSERT INTO farm.job (id, class_id, priority, task, args) SELECT {late_id}, {bench.class_id()}, 4, 'tests:job', '[]'"]
    late.append(f"INSERT INTO farm.ready (job_id, class_id, priority) SELECT {late_id}, {bench.class_id()}, 4")
    touched: list[int] = []

    def disturb() -> None:
        if chosen.random() < 0.4 and waiting:
            job_id = waiting.pop(chosen.randrange(len(waiting)))
            touched.append(job_id)
            match chosen.randrange(3):
                case 0:
                    bench.sql.execute("SELECT farm.cancel_jobs(%s)", [[job_id]])
                case 1:
                    bench.sql.execute("SELECT farm.change_jobs(%s, queue => 'moved', run_at => now() - interval '1 min')", [[job_id]])
                    claim = bench.claim(host, queue="moved")
                    bench.commit(outcomes(claim, chosen.choice([OutcomeKind.SUCCEEDED, OutcomeKind.FAILED])))
                case _:
                    bench.sql.execute("SELECT farm.change_jobs(%s, priority => 1)", [[job_id]])
        if chosen.random() < 0.3 and failed:
            RetryStore(bench.session).retry([failed.pop()], by="me")
        if late and chosen.random() < 0.1:
            for statement in late:
                bench.sql.execute(statement.encode())
            late.clear()

    assert prune(bench, between=disturb) == 300
    assert len(touched) > 5
    assert not late
    assert bench.value("SELECT count(*) FROM farm.job") == 61
    assert check(bench.session) == []
    assert bench.value("SELECT count(*) FROM farm.jobs") == 61
    assert bench.value("SELECT count(*) FROM farm.pruning_change") == 0


def test_nothing_waits_long_and_nothing_is_done_while_somebody_is_at_work(bench: Bench) -> None:
    finish(bench, 100)
    store = PruneStore(bench.session)
    assert not store.begin_next(3600.0), "the oldest job is younger"
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT farm.enqueue('tests:job')")
        assert not store.begin_next(0.0), "an id that was taken is not skipped over"
    assert store.begin_next(0.0)
    assert bench.enqueue() == [5_000_000]
    assert store.begin_due(WEEK)
    assert not store.begin_due(WEEK), "one at a time"
    while store.go_on(50, 1.0).state == "copying":
        pass
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT FROM farm.jobs")
        assert store.finish(5) == "locked"
        assert bench.value("SELECT count(*) FROM farm.result") == 100
    assert store.finish(100) == "pruned"
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT FROM farm.job_p1")
        assert store.drop(), "failure_p1"
        assert not store.drop()
    assert [store.drop() for _ in range(3)] == [True, True, False]
    assert bench.value("SELECT count(*) FROM farm.jobs") == 2


def test_work_goes_on_while_partitions_change_places(bench: Bench) -> None:
    """Claims and commits of another session neither fail nor miss a job while partitions are swapped under them."""
    finish(bench, 200)
    stop, problems, ended = threading.Event(), [], []
    other = Bench(bench.dsn)

    def work() -> None:
        host = other.host()
        try:
            while not stop.is_set():
                ids = other.enqueue(3, queue="live")
                other.upkeep.promote(10)
                claim = other.claim(host, queue="live")
                assert len(other.claims.read_jobs(claim.job_ids)) == 3
                ended.extend(ids)
                assert other.commit(outcomes(claim)).written == 3
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        store = PruneStore(bench.session)
        for _round in range(4):
            while not store.begin_next(0.0):
                pass
            while not store.begin_due(Retention(0.0, 0.0, 0.0)):
                pass
            while (step := store.go_on(50, 1.0)).state == "copying":
                pass
            while store.finish(20) == "locked":
                pass
            assert step.jobs
            while store.under_way().leaving:
                store.drop()
    finally:
        stop.set()
        thread.join()
        other.close()
    assert problems == []
    assert len(ended) > 10
    assert check(bench.session) == []
    left = {row[0] for row in bench.rows("SELECT id FROM farm.jobs")}
    assert left <= set(ended)


def test_partitions_of_which_too_little_may_go_stay(bench: Bench) -> None:
    finish(bench, 40)
    finish(bench, 60, days=1)
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    (partition,) = store.partitions()
    assert store.sample(partition, WEEK).due is False
    count = store.count(partition, WEEK)
    assert (count.jobs, count.unfinished, count.going, count.bytes > 0) == (100, 0, 40, True)
    assert not store.begin_due(WEEK)
    assert store.sample(partition, Retention(DAY_S / 2)).due
    assert not store.sample(partition, Retention(None, 1.0, 1.0)).due


def test_a_look_that_takes_too_long_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(bench, 20, days=1)
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    finish(bench, 20)
    assert store.begin_next(0.0)
    clock = itertools.count()
    monkeypatch.setattr("farm.store.prunes.monotonic", lambda: next(clock))
    assert not store.begin_due(WEEK, looking_s=1)
    assert store.begin_due(WEEK, looking_s=2)


def test_two_at_it_and_one_that_dies(bench: Bench) -> None:
    """What one has begun, another goes on with; they never do it both."""
    finish(bench, 100)
    one = PruneStore(bench.session)
    assert one.begin_next(0.0)
    assert one.begin_due(WEEK)
    assert one.go_on(10, 1.0).jobs == 10
    session = Session(bench.dsn, application_name="other", deadline_s=30)
    two = PruneStore(session)
    with psycopg.connect(bench.dsn) as busy:
        busy.execute("SELECT pg_advisory_xact_lock(1717662317, 3)")
        assert two.go_on(10, 1.0).state == "busy"
        assert two.finish(10) == "none"
    assert two.go_on(10, 0.01).jobs == 20
    paced = one.go_on(10, 0.05)
    assert (paced.jobs, paced.wait_s > 0) == (20, True), "what rests, rests for all"
    assert two.finish(10) == "none", "it is not copied yet"
    while two.go_on(10, 1.0).state == "copying":
        pass
    assert one.finish(100) == "pruned"
    assert two.under_way() == (False, True)
    assert one.take_look(60.0)
    assert not two.take_look(60.0), "one look is enough for all hosts"
    assert two.take_look(0.0)
    session.close()


def test_the_size_of_partitions_goes_by_jobs_and_not_by_ids_skipped(bench: Bench) -> None:
    store = PruneStore(bench.session)
    for _round in range(4):
        finish(bench, 1)
        assert store.begin_next(0.0)
        assert not store.begin_next(0.0), "nothing is in the new one yet"
        bench.upkeep.keep_partitions_ahead()
    sizes: list[Any] = bench.rows("SELECT DISTINCT upper_id - lower_id FROM farm.partition")
    assert sizes == [(5_000_000,)]


@pytest.mark.parametrize("status", [1, 2, 3])
def test_each_ending_has_an_age_of_its_own(bench: Bench, status: int) -> None:
    kinds = [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.CANCELLED]
    ids = {kind: finish(bench, 10, kind) for kind in kinds}
    for kind in kinds[:status]:
        ids[kind] += finish(bench, 30, kind)
    ages = [9 * DAY_S if place < status else None for place in range(3)]
    prune(bench, Retention(*ages))
    assert {row[0] for row in bench.rows("SELECT status FROM farm.result")} == set(range(status + 1, 4))


def test_a_lone_job_far_behind_does_not_speak_for_all_in_front_of_it(bench: Bench) -> None:
    """What is looked at is jobs: ids that nobody has stand for nothing."""
    finish(bench, 60)
    bench.sql.execute("SELECT setval('farm.job_id_seq', 4000000)")
    bench.enqueue(1, queue="nobody")
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    assert store.begin_due(WEEK)


def test_who_may_only_file_jobs_can_do_so_meanwhile(bench: Bench) -> None:
    """Changes are noted for whoever makes them, whatever else he may do."""
    late_id = bench.value("SELECT nextval('farm.job_id_seq')")
    finish(bench, 60)
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    assert store.begin_due(WEEK)
    with bench.sql.transaction(force_rollback=True):
        bench.sql.execute("CREATE ROLE farm_filer")
        bench.sql.execute("GRANT USAGE ON SCHEMA farm TO farm_filer; GRANT INSERT ON farm.job TO farm_filer; SET LOCAL ROLE farm_filer")
        bench.sql.execute("INSERT INTO farm.job (id, class_id, priority, task, args) VALUES (%s, 1, 4, 'tests:job', '[]')", [late_id])
        bench.sql.execute("RESET ROLE")
        assert bench.value("SELECT count(*) FROM farm.pruning_change WHERE job_id = %s", late_id) == 1


def test_a_clock_that_was_ahead_holds_nothing_up(bench: Bench) -> None:
    finish(bench, 60)
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    bench.sql.execute("UPDATE farm.pruning_look SET looked_at = now() + interval '1 month'")
    assert store.take_look(60.0)
    assert not store.take_look(60.0)
    assert store.begin_due(WEEK)
    bench.sql.execute("UPDATE farm.pruning SET next_step_at = now() + interval '1 month'")
    assert store.go_on(10, 0.03).jobs == 10


def test_however_much_has_changed_it_is_copied_a_little_at_a_time(bench: Bench) -> None:
    """Nothing of it is lost where there is more than one try takes, nor done all at once."""
    finish(bench, 60)
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    assert store.begin_due(WEEK)
    while store.go_on(50, 1.0).state == "copying":
        pass
    bench.sql.execute("INSERT INTO farm.pruning_change SELECT generate_series(1, 400000) %% 60 + 1".replace("%%", "%").encode())
    answers = [store.finish(20)]
    while answers[-1] == "locked":
        left = bench.value("SELECT count(*) FROM farm.pruning_change")
        answers.append(store.finish(20))
        assert bench.value("SELECT count(*) FROM farm.pruning_change") < left or answers[-1] == "pruned"
    assert answers[-1] == "pruned"
    assert len(answers) > 2


def test_there_are_never_more_partitions_than_plans_can_bear(bench: Bench) -> None:
    bench.sql.execute("SELECT farm.ensure_partitions(5000000::bigint * 90)")
    finish(bench, 1)
    assert not PruneStore(bench.session).begin_next(0.0)


@pytest.mark.parametrize("copied", [False, True])
def test_a_range_that_is_being_cleared_is_spared_by_longer_times(bench: Bench, copied: bool) -> None:
    """Of whichever ending, and up to the moment at which it takes the old one's place. The same times, or shorter ones, spare nothing."""
    finish(bench, 60)
    bench.enqueue(1, queue="nobody")
    store = PruneStore(bench.session)
    assert store.spare(Retention()) == "none", "nothing is under way"
    before = bench.value("SELECT count(*) FROM farm.job")
    assert store.begin_next(0.0)
    for longer in (WEEK._replace(succeeded_s=8 * DAY_S), WEEK._replace(failed_s=None), Retention()):
        assert store.begin_due(WEEK)
        assert store.go_on(1000 if copied else 10, 1.0).state == ("copied" if copied else "copying")
        assert store.spare(WEEK) == store.spare(Retention(1.0, 1.0, 1.0)) == "none"
        with psycopg.connect(bench.dsn) as other:
            other.execute("SELECT pg_advisory_xact_lock(1717662317, 3)")
            assert store.spare(longer) == "busy"
        assert store.spare(longer) == "spared"
        assert not store.under_way().pruning
        assert store.finish(20) == "none"
    assert bench.value("SELECT count(*) FROM farm.job") == before
    assert bench.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'note_change'") == 0
    assert check(bench.session) == []
    assert prune(bench) == 60


def test_a_migration_in_between_has_it_begin_anew(bench: Bench) -> None:
    finish(bench, 60)
    waiting = bench.enqueue(1, queue="nobody")
    store = PruneStore(bench.session)
    assert store.begin_next(0.0)
    assert store.begin_due(WEEK)
    assert store.go_on(10, 1.0).state == "copying"
    bench.sql.execute("ALTER TABLE farm.result ADD COLUMN later int")
    assert store.go_on(10, 1.0).state == "none"
    assert not store.under_way().pruning
    assert prune(bench) == 60
    assert bench.rows("SELECT id FROM farm.job") == [(waiting[0],)]
    assert bench.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'note_change'") == 0
