"""All that moves jobs against all else that does, two and three at a time, in every order of their messages.

Most of it is one statement. Here it is two messages, the statement and its COMMIT, so that what the others do in between meets its locks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from typing import Any

import pytest

import farm.store.session
from farm.model import OutcomeKind
from farm.store.claims import ClaimStore
from farm.store.commits import CommitStore
from farm.store.connection import DeadlineConnection
from farm.store.hosts import HostStore
from farm.store.invariants import ATTEMPTS_MAX_USUAL, CHECKS
from farm.store.session import Session, bigint_array, send
from farm.store.statements import compose
from farm.store.upkeep import Reaped, UpkeepStore
from tests.store.bench import NOW_NS, QUICK, Bench, batch_of, outcome
from tests.store.stepping import Stage, SteppedConnection, orders

Work = Callable[[Session], Any]
ANEW = """
    DELETE FROM farm.ready; DELETE FROM farm.returned; DELETE FROM farm.scheduled; DELETE FROM farm.lease; DELETE FROM farm.job;
    DELETE FROM farm.result; DELETE FROM farm.failure; DELETE FROM farm.cancel_request;
    UPDATE farm.heartbeat SET state = 'live';
    UPDATE farm.host SET retired_at = NULL;
    SELECT farm.enqueue('tests:job', max_attempts => 2, delay_s => CASE n WHEN 7 THEN 100 END) FROM generate_series(1, 7) AS n;
"""
MOVED = """
    UPDATE farm.scheduled SET run_at = now() - interval '1 s';
    WITH ended AS (DELETE FROM farm.ready WHERE job_id = (SELECT min(job_id) FROM farm.ready) RETURNING job_id)
    INSERT INTO farm.result (job_id, status, attempt, finished_at, error) SELECT job_id, 3, 0, now(), '{}' FROM ended;
    INSERT INTO farm.cancel_request (job_id, only_unstarted, reason)
    SELECT l.job_ids[i], false, 'enough' FROM farm.lease AS l, generate_series(2, 4) AS i
    UNION ALL SELECT min(job_id), false, 'now' FROM farm.ready;
"""
"""Of seven jobs four are in a lease, two ready, one scheduled; then one of the ready ones has ended. Four are to be cancelled."""
MESSAGES = {"claim": 2, "commit": 3, "take over": 2, "cancel": 2, "sweep": 2, "promote": 2, "retry": 2}
PAIRS = [pair for pair in combinations_with_replacement(MESSAGES, 2) if pair != ("commit", "commit")]
"""Two commits meet in test_interleavings.py, where their reports are looked at too."""
TRIPLES = [
    # The first of them in its messages, the others in one each: else there would be thousands of orders.
    ("commit", "take over", "cancel"),
    ("commit", "sweep", "promote"),
    ("commit", "cancel", "retry"),
    ("claim", "take over", "sweep"),
    ("claim", "cancel", "promote"),
    ("claim", "promote", "promote"),
    ("claim", "claim", "promote"),
    ("take over", "cancel", "retry"),
    ("sweep", "promote", "retry"),
]


@pytest.fixture
def stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(farm.store.session, "DeadlineConnection", SteppedConnection)
    with Stage(bench.dsn) as opened:
        yield opened


class Scene:
    """Jobs in every place, and what may be done about them. Set up anew for each order, in as few messages as can be."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.host, self.other = bench.host(), bench.host()
        bench.enqueue()
        asked = bench.asking(0, 10, returned_max=5) | {"upto_ids": None, "upto_seqs": None, "again": False}
        self._asked = {name: bigint_array(value) if isinstance(value, list) else value for name, value in asked.items()}
        self.set_up()

    def set_up(self) -> None:
        """Have all jobs where they stand before anything is done."""
        self._execute(ANEW)
        claim = ClaimStore(self._bench.session).claim(**self._bench.asking(self._bench.lease_id(self.host), 4))
        assert claim is not None
        self._execute(MOVED)
        kinds = (OutcomeKind.SUCCEEDED, OutcomeKind.RELEASED, OutcomeKind.FAILED)
        self.lease, self.ids = claim, list(range(claim.job_ids[0], claim.job_ids[0] + 7))
        self.batch = [outcome(claim, position, kind) for position, kind in enumerate(kinds)]

    def work(self, name: str, *, whole: bool = False) -> Work:
        """Return what does this in so many messages as MESSAGES says, or in one."""
        ids = bigint_array(self.ids)
        match name:
            case "commit":
                return lambda session: CommitStore(session, QUICK).commit(batch_of(self.batch), now_ns=NOW_NS)
            case "take over":
                if whole:
                    self._bench.hosts.retire(self.host, None)
                    return self._reap
                return self._take_over
            case "claim":
                return in_messages("claim_jobs", whole, **self._asked | {"lease_id": self._bench.lease_id(self.other)})
            case "cancel":
                return in_messages("cancel_jobs", whole, job_ids=ids, reason=None, waiting=True, held=True)
            case "sweep":
                return in_messages("sweep_cancels", whole, above_id=0, jobs_max=100)
            case "promote":
                return in_messages("promote_jobs", whole, jobs_max=100)
            case "retry":
                return in_messages("retry_jobs", whole, job_ids=ids, by="eve")
        raise AssertionError(name)

    def look(self, *checks: str) -> None:
        """Look that every job stands in one place, or whatever else is to be checked, in one message."""
        found = self._bench.session.run(lambda connection: send(connection, compose(*checks), {"attempts_max": ATTEMPTS_MAX_USUAL}))
        assert found == [[]] * len(checks)

    def settle(self) -> None:
        """Let go of what is held, and do what was put off."""
        self._execute("UPDATE farm.heartbeat SET state = 'retired'")
        for host in self._bench.upkeep.retired_with_leases():
            assert self._bench.upkeep.reap(host, []).jobs
        self._bench.upkeep.promote(100)
        self._bench.upkeep.sweep_cancels(0, 100)
        left = "SELECT 1 FROM farm.cancel_request UNION ALL SELECT 1 FROM farm.lease UNION ALL SELECT 1 FROM farm.scheduled"
        assert self._bench.rows(left) == []

    def _take_over(self, session: Session) -> Reaped:
        HostStore(session).retire(self.host, None)
        return self._reap(session)

    def _reap(self, session: Session) -> Reaped:
        return UpkeepStore(session).reap(self.host, [self.lease.job_ids[2]])

    def _execute(self, statements: str) -> None:
        self._bench.sql.execute(statements.encode())


def in_messages(name: str, whole: bool, **params: Any) -> Work:
    """Run a statement in one message, or in a transaction that stays open until the next."""

    def unit(connection: DeadlineConnection) -> Any:
        if whole:
            return send(connection, compose("begin", name, "commit"), params)
        (rows,) = send(connection, compose("begin", name), params)
        send(connection, compose("commit"))
        return rows

    return lambda session: session.run(unit)


def play(scene: Scene, stage: Stage, names: tuple[str, ...], whole: tuple[bool, ...]) -> int:
    """Have them meet in every order, and look each time; returns how many orders there were."""
    lengths = [1 if is_whole else MESSAGES[name] for name, is_whole in zip(names, whole, strict=True)]
    # Of two that are alike it does not matter which one is first.
    every = [order for order in orders(*lengths) if order[0] == 0 or len(set(names)) > 1]
    for order in every:
        scene.set_up()
        works = [scene.work(name, whole=is_whole) for name, is_whole in zip(names, whole, strict=True)]
        stage.play(works, order)
        try:
            scene.look("check_places")
            scene.settle()
            scene.look(*CHECKS)
        except AssertionError as error:
            raise AssertionError(f"{names}, in the order {order}") from error
    return len(every)


@pytest.mark.timeout(120)
def test_two_of_everything(bench: Bench, stage: Stage) -> None:
    scene = Scene(bench)
    assert sum(play(scene, stage, pair, (False, False)) for pair in PAIRS) == 168


@pytest.mark.timeout(120)
def test_three_of_what_meets_at_one_job(bench: Bench, stage: Stage) -> None:
    scene = Scene(bench)
    assert sum(play(scene, stage, three, (False, True, True)) for three in TRIPLES) == 132
