"""Outcomes that PostgreSQL refuses, at every place of a batch: each fails its own job and holds up no other."""

from __future__ import annotations

import struct
from contextlib import closing
from itertools import cycle

import psycopg
from psycopg import conninfo

from farm.model import CommitReport, Outcome, OutcomeKind
from farm.store import schema
from farm.store.invariants import check
from farm.store.session import Session
from tests.servers import Server
from tests.store.bench import NOW_NS, Bench, batch_of, outcome, outcomes

BATCH = 100
POISONS = (b'"a\\u0000b"', b'"\\ud800"', b"[" * 7000, b"NaN", b"1e200000", b"\xff", b"", b'{"a": 1')


def poisoned(good: Outcome, payload: bytes, number: int) -> Outcome:
    """Make an outcome that cannot be stored: a result, an error, or times that no clock can have said."""
    match number % 3:
        case 0:
            return good._replace(payload=payload)
        case 1:
            return good._replace(kind=OutcomeKind.FAILED, payload=payload or b"{")
        case _:
            return good._replace(started_ns=NOW_NS * 2**23, finished_ns=NOW_NS * 2**23)


def test_one_at_every_place_of_a_batch(bench: Bench, server: Server) -> None:
    """Every place on the newest PostgreSQL; on an older one, which takes the same rows, some."""
    places = range(BATCH) if server.major >= 18 else range(0, BATCH, 11)
    ids = bench.enqueue(BATCH * len(places), max_attempts=1)
    host = bench.host()
    for place, payload in zip(places, cycle(POISONS), strict=False):
        claim = bench.claim(host, BATCH)
        batch = outcomes(claim)
        batch[place] = poisoned(batch[place], payload, place)
        assert bench.commit(batch) == CommitReport(BATCH, 0, 0, 0, 0), (place, payload)
    failed = bench.rows("SELECT job_id, error->>'type' FROM farm.result WHERE status <> 1 ORDER BY 1")
    assert failed == [(ids[index * BATCH + place], "UnstorableResult") for index, place in enumerate(places)]
    assert bench.rows("SELECT count(*), count(DISTINCT job_id) FROM farm.result") == [(len(ids), len(ids))]
    assert bench.rows("SELECT id FROM farm.lease") == []
    assert check(bench.session) == []


def test_many_in_a_batch(bench: Bench) -> None:
    """With one in three bad, and of several leases, the good ones are stored all the same; a retry finds all of them done."""
    bench.enqueue(BATCH, max_attempts=1)
    host = bench.host()
    batch: list[Outcome] = []
    for _ in range(4):
        claim = bench.claim(host, BATCH // 4)
        batch += outcomes(claim)
    bad = range(0, BATCH, 3)
    for place in bad:
        batch[place] = poisoned(batch[place], POISONS[place % len(POISONS)], place // 3)
    assert bench.commit(batch) == CommitReport(BATCH, 0, 0, 0, 0)
    assert bench.rows("SELECT status, count(*) FROM farm.result GROUP BY 1 ORDER BY 1") == [(1, BATCH - len(bad)), (2, len(bad))]
    assert bench.commit(batch, again=True) == CommitReport(0, 0, 0, BATCH, 0)
    assert check(bench.session) == []


def test_one_of_which_everything_is_wrong(bench: Bench) -> None:
    """A success whose number of columns, times and value are no good: it fails its job, which is somewhere all the same."""
    bench.enqueue(2, max_attempts=1)
    claim = bench.claim(bench.host(), 2)
    batch = batch_of(outcomes(claim))
    for place, columns in enumerate((9, 11)):
        batch.heads[place] = struct.pack(">hiqiqiq", columns, 8, claim.job_ids[place], 8, 5, 8, -5)
        batch.values[place] = b"{"
    assert bench.commits.commit(batch, now_ns=NOW_NS) == CommitReport(2, 0, 0, 0, 0)
    assert bench.rows("SELECT status, error->>'type' FROM farm.result") == [(2, "UnstorableResult")] * 2
    assert check(bench.session) == []


def test_a_log_that_a_database_has_no_characters_for(empty_dsn: str) -> None:
    """It is kept in ASCII, and its job comes to what it came to."""
    dsn = conninfo.make_conninfo(empty_dsn, dbname="in_latin1")
    with psycopg.connect(empty_dsn, autocommit=True) as sql:
        sql.execute("CREATE DATABASE in_latin1 ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        with closing(Session(dsn, application_name="test", deadline_s=60)) as session:
            schema.migrate(session)
        with closing(Bench(dsn)) as bench:
            bench.enqueue(3, max_attempts=1)
            claim = bench.claim(bench.host(), 3)
            kinds = (OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.SUCCEEDED)
            batch = [outcome(claim, place, kind)._replace(log="✓ \0 done\n".encode()) for place, kind in enumerate(kinds)]
            batch[2] = batch[2]._replace(payload=b"{")
            assert bench.commit(batch) == CommitReport(3, 0, 0, 0, 0)
            log = "\\u2713 \\ufffd done\n"
            assert bench.rows("SELECT status, error->>'type', log FROM farm.result ORDER BY job_id") == [
                (1, None, log),
                (2, "failed", None),
                (2, "UnstorableResult", None),
            ]
            assert bench.rows("SELECT log FROM farm.failure ORDER BY job_id") == [(log,), (log,)]
            assert check(bench.session) == []
    finally:
        with psycopg.connect(empty_dsn, autocommit=True) as sql:
            sql.execute("DROP DATABASE in_latin1 WITH (FORCE)")
