"""A copy of a database: everything is there and goes on there, or nothing is."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg
import pytest
from psycopg.types.json import Jsonb

from farm.errors import StoreError
from farm.model import OutcomeKind, Retention
from farm.store import schema
from farm.store.copying import Copied, copy_database
from farm.store.invariants import check
from farm.store.prunes import PruneStore
from farm.store.session import Session
from tests.process.crew import wait_for
from tests.servers import Server
from tests.store.bench import Bench, outcome


def copy(old: str, new: str) -> Copied:
    """Copy a database, and look that progress never goes back and ends at the end."""
    told: list[tuple[int, int]] = [(0, 0)]

    def note(copied: int, total: int) -> None:
        assert told[-1][0] <= copied <= total
        told.append((copied, total))

    with (
        closing(Session(old, application_name="test", deadline_s=60)) as source,
        closing(Session(new, application_name="test", deadline_s=60)) as target,
    ):
        copied = copy_database(source, target, progress=note)
    assert told[-1][0] == told[-1][1]
    return copied


def contents(dsn: str) -> dict[str, list[str]]:
    """Return every row of every table that is kept, as text, in order."""
    with psycopg.connect(dsn, autocommit=True) as sql:
        tables = sql.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'farm'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND relpersistence = 'p' AND relname <> 'migration'"
        ).fetchall()
        return {
            name: [row[0] for row in sql.execute(f"SELECT t::text FROM farm.{name} AS t ORDER BY 1".encode()).fetchall()]  # noqa: S608
            for (name,) in tables
        }


def fill(bench: Bench) -> None:
    """Leave jobs in every state, two hosts, one of them dead with a lease, and an id in a later partition."""
    bench.enqueue(20, args=Jsonb({"text": "a\tb\\N\n\u2028"}))
    bench.enqueue(3, run_at="2190-01-01T00:00:00Z")
    gone, here = bench.host("gone"), bench.host("here")
    claim = bench.claim(here, 10)
    kinds = [OutcomeKind.SUCCEEDED] * 6 + [OutcomeKind.REJECTED, OutcomeKind.FAILED, OutcomeKind.RELEASED, OutcomeKind.CANCELLED]
    bench.commit([outcome(claim, position, kind) for position, kind in enumerate(kinds)])
    bench.claim(gone, 4)
    bench.sql.execute("SELECT setval('farm.job_id_seq', 19999998)")
    bench.sql.execute("SELECT farm.ensure_partitions(20000000, 1)")
    bench.enqueue(3)
    bench.sql.execute("UPDATE farm.heartbeat SET beat_at = now() - interval '1 hour'")


def test_everything_is_there_and_goes_on(bench: Bench, dsn: str, empty_dsn: str) -> None:
    fill(bench)
    before = contents(dsn)
    copied = copy(dsn, empty_dsn)
    assert contents(empty_dsn) == before == contents(dsn)
    assert copied.rows["job"] == 26
    assert copied.rows["result"] == len(before["result"])
    with closing(Session(empty_dsn, application_name="test", deadline_s=30)) as session:
        assert check(session) == []
    new = Bench(empty_dsn)
    try:
        ids = {int(row[0]) for row in new.rows("SELECT id FROM farm.job")}
        # Ids go on: of jobs, and of hosts, whose number is part of every lease.
        assert new.enqueue()[0] not in ids
        assert new.host() == 3
        # What the dead host held comes back, and all that waits is run.
        new.sql.execute("UPDATE farm.heartbeat SET state = 'retired' WHERE host_id = 1")
        assert new.upkeep.reap(1, None).jobs == 4
        # All but those that have ended: of the first 20, three in the later partition, and one more.
        assert len(new.claim(3, 100).job_ids) == 20 - 8 + 3 + 1
        assert check(new.session) == []
    finally:
        new.close()


def test_a_database_in_use_is_neither_copied_nor_copied_into(bench: Bench, dsn: str, server: Server) -> None:
    bench.enqueue()
    with server.database() as other:
        used = Bench(other)
        try:
            used.enqueue()
            with pytest.raises(StoreError, match="goes into an empty one"):
                copy(dsn, other)
            bench.host("busy")
            with pytest.raises(StoreError, match=r"farms are at work on it: default on busy; stop them first"):
                copy(dsn, other)
            assert used.value("SELECT count(*) FROM farm.job") == 1
        finally:
            used.close()
        with pytest.raises(StoreError, match="one and the same database"):
            copy(other, other)


def test_a_copy_that_fails_leaves_nothing(bench: Bench, dsn: str, empty_dsn: str) -> None:
    """The new one does not take the rows: after its partitions were made and some tables filled."""
    fill(bench)
    with closing(Session(empty_dsn, application_name="test")) as target, closing(Session(dsn, application_name="test")) as source:
        schema.migrate(target)
        with psycopg.connect(empty_dsn, autocommit=True) as sql:
            sql.execute("ALTER TABLE farm.scheduled ADD CONSTRAINT unwilling CHECK (attempt < 0)")
            with pytest.raises(StoreError, match=r"^the new database does not take a row of farm.scheduled: .*unwilling"):
                copy_database(source, target, progress=lambda *_: None)
            assert {name for name, rows in contents(empty_dsn).items() if rows} == {"depth", "partition", "pruning_look"}
            sql.execute("ALTER TABLE farm.scheduled DROP CONSTRAINT unwilling")
        assert copy_database(source, target, progress=lambda *_: None).rows["job"] == 26
    assert contents(empty_dsn) == contents(dsn)


def test_nobody_writes_while_it_lasts(bench: Bench, dsn: str, empty_dsn: str) -> None:
    """An enqueue that has begun holds the copy up until it has ended: what is copied is one moment, with all of it or nothing."""
    bench.enqueue(5)
    with psycopg.connect(dsn) as writing:
        writing.execute("SELECT farm.enqueue('tests:late')")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("farm.store.copying.LOCK_S", 0.05)
            with pytest.raises(StoreError, match="others write to the old database"):
                copy(dsn, empty_dsn)
        copied: list[Copied] = []
        thread = threading.Thread(target=lambda: copied.append(copy(dsn, empty_dsn)))
        thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_for(lambda: bench.value(waiting) == 1, "the copy, for the end of the enqueue")
        writing.commit()
        thread.join()
    # What was committed while it waited is part of the moment.
    assert copied[0].rows["job"] == 6
    assert contents(empty_dsn) == contents(dsn)


def test_what_retention_has_done_is_copied_and_what_it_is_at_is_not(bench: Bench, dsn: str, empty_dsn: str) -> None:
    prunes = PruneStore(bench.session)
    kept = bench.enqueue(3, delay_s=3600)
    for is_last in (False, True):
        bench.enqueue(30)
        claim = bench.claim(bench.host())
        bench.commit([outcome(claim, position) for position in range(30)])
        assert prunes.begin_next(0.0)
        assert prunes.begin_due(Retention(0.0, 0.0, 0.0))
        while prunes.go_on(10, 1.0).state == "copying":
            pass
        if not is_last:
            assert prunes.finish(1000) == "pruned"
    assert prunes.drop(), "two others are there yet, and a new partition is copied and has not taken its place"
    bench.sql.execute("UPDATE farm.heartbeat SET state = 'retired'")
    copy(dsn, empty_dsn)
    new = Bench(empty_dsn)
    try:
        assert {row[0] for row in new.rows("SELECT id FROM farm.jobs")} == set(kept) | set(claim.job_ids)
        assert check(new.session) == []
        again = PruneStore(new.session)
        assert again.under_way() == (False, False)
        assert again.begin_due(Retention(0.0, 0.0, 0.0))
        while again.go_on(10, 1.0).state == "copying":
            pass
        assert again.finish(1000) == "pruned"
        assert [row[0] for row in new.rows("SELECT id FROM farm.jobs ORDER BY id")] == kept
    finally:
        new.close()


def test_an_interrupt_leaves_nothing_and_holds_nothing(bench: Bench, dsn: str, empty_dsn: str) -> None:
    bench.enqueue(50)

    def interrupt(copied: int, _total: int) -> None:
        if copied:
            raise KeyboardInterrupt

    with closing(Session(empty_dsn, application_name="test")) as target, closing(Session(dsn, application_name="test")) as source:
        with pytest.raises(KeyboardInterrupt):
            copy_database(source, target, progress=interrupt)
        bench.enqueue()
        assert contents(empty_dsn)["job"] == []
        assert copy_database(source, target, progress=lambda *_: None).rows["job"] == 51


def test_statistics_that_cannot_be_made_cost_no_copy(bench: Bench, dsn: str, empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.enqueue(5)

    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("the connection was lost")

    monkeypatch.setattr("farm.store.copying._analyze", refuse)
    assert copy(dsn, empty_dsn).rows["job"] == 5
    assert contents(empty_dsn) == contents(dsn)
