"""Outcomes that PostgreSQL refuses, at every place of a batch: each fails its own job and holds up no other."""

from __future__ import annotations

from itertools import cycle

from farm.model import CommitReport, Outcome, OutcomeKind
from farm.store.invariants import check
from tests.servers import Server
from tests.store.bench import NOW_NS, Bench, outcomes

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
