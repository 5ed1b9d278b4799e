"""Every order of the messages of a lane that goes to sleep and of a transaction that enqueues: no job is left that nobody hears of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

import farm.store.claims
import farm.store.session
from farm.store.claims import ClaimStore
from farm.store.connection import DeadlineConnection
from farm.store.session import Session, send
from farm.store.statements import compose
from farm.supervisor.claims.claimer import Arrival, Claimer
from farm.supervisor.claims.idleness import SAFETY_POLL_S, Idleness
from farm.supervisor.lanes.lane import Lane
from tests.store.bench import Bench
from tests.store.stepping import Stage, SteppedConnection, orders
from tests.store.test_wakeups import Ear

POLL_S = 0.25
LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
SLEEP, ENQUEUE = 6, 3
"""Messages: begin, declare, commit, take a number, ask for the oldest, look; rows, wake, commit."""


class SleepyLane:
    """A lane with one free slot, as the claimer sees it."""

    def __init__(self) -> None:
        self.name = "default"
        self.config = SimpleNamespace(queues=("*",))
        self.memory_mb = 1000
        self.claimed = self.turns = 0
        self.held_by = frozenset[str]()
        self.stands_back = False

    def demand(self, now: float) -> int:
        return 1


class Sleeper:
    """A claimer that has found nothing and is about to declare that; its clock stands still while it looks, and leaps from look to look."""

    def __init__(self, bench: Bench, host_id: int) -> None:
        self.arrivals: list[Arrival] = []
        self._host_id = host_id
        self._classes = bench.claims.classes()

    def sleep(self, session: Session) -> list[int]:
        """Go to sleep; returns the jobs that it claimed before announcements were to suffice."""
        claimer = Claimer(
            store=_Knowing(session, self._classes),
            lanes=[cast(Lane, SleepyLane())],
            host_id=self._host_id,
            runner_names=["python"],
            deliver=self.arrivals.append,
            claim_max=10,
            poll_s=POLL_S,
            burst=True,
        )
        claimer.hear_anew(True)
        now = wait_s = 0.0
        while wait_s < SAFETY_POLL_S:
            now += wait_s
            wait_s = claimer.step(now)
        return [job_id for arrival in self.arrivals for job_id in arrival.claim.job_ids]


class _Knowing(ClaimStore):
    """Knows the classes already, and has looked once: what comes before the declaration is of no interest."""

    def __init__(self, session: Session, classes: Mapping[int, Any]) -> None:
        super().__init__(session)
        self._known = dict(classes)
        self._looked = False

    def classes(self) -> dict[int, Any]:
        return self._known

    def find_work(self, *arguments: Any) -> list[Any]:
        if not self._looked:
            self._looked = True
            return []
        return super().find_work(*arguments)


def enqueueing(class_id: int, level: str) -> Callable[[Session], None]:
    """What an enqueue comes to, in a caller's transaction: rows, the look for who sleeps, commit."""

    def unit(connection: DeadlineConnection) -> None:
        rows = f"""BEGIN ISOLATION LEVEL {level};
            INSERT INTO farm.job (id, class_id, priority, task, args) VALUES (1, {class_id}, 4, 'app:f', '[]');
            INSERT INTO farm.ready (job_id, class_id, priority) VALUES (1, {class_id}, 4)"""  # noqa: S608
        for message in (rows, f"SELECT farm.wake(ARRAY[{class_id}], ARRAY[4], job_id => 1)", "COMMIT"):
            send(connection, message.encode())

    return lambda session: session.run(unit)


def send_apart(connection: DeadlineConnection, message: bytes, params: Any = None) -> list[Any]:
    """Send each statement of a message by itself: somebody may come between any two of them."""
    return [rows for statement in message.split(b";\n") for rows in send(connection, statement, params)]


@pytest.fixture
def stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(farm.store.session, "DeadlineConnection", SteppedConnection)
    monkeypatch.setattr(farm.store.claims, "send", send_apart)
    with Stage(bench.dsn) as opened:
        yield opened


@pytest.fixture
def ear(bench: Bench) -> Iterator[Ear]:
    listening = Ear(bench.dsn)
    yield listening
    listening.close()


def missed(bench: Bench, stage: Stage, ear: Ear, level: str, order: tuple[int, ...]) -> bool:
    """Play an order; True if the job was neither claimed before the lane slept, nor announced after that."""
    bench.sql.execute("TRUNCATE farm.ready, farm.lease, farm.job, farm.idle, farm.heartbeat")
    host_id = bench.host()
    claimed, _ = stage.play([Sleeper(bench, host_id).sleep, enqueueing(bench.class_id(), level)], order)
    announced = f"{bench.class_id()}:4:1" in ear.heard()
    assert bench.rows("SELECT job_id FROM farm.ready") == ([] if claimed else [(1,)])
    return not claimed and not announced


@pytest.fixture
def known(bench: Bench) -> None:
    bench.sql.execute("SELECT farm.class_id('default', 'python')")


@pytest.mark.parametrize("level", LEVELS)
def test_no_job_is_missed_by_a_lane_that_goes_to_sleep(bench: Bench, stage: Stage, ear: Ear, known: None, level: str) -> None:
    for order in orders(SLEEP, ENQUEUE):
        assert not missed(bench, stage, ear, level, order), order


def test_without_the_settling_jobs_would_be_missed(
    bench: Bench, stage: Stage, ear: Ear, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders above are worth something only if they find what is missing here."""
    monkeypatch.setattr(ClaimStore, "oldest_open", lambda _: 1 << 62)
    assert any(missed(bench, stage, ear, "READ COMMITTED", order) for order in orders(SLEEP - 1, ENQUEUE))


def test_the_end_of_a_snapshot_is_not_a_number_high_enough(
    bench: Bench, stage: Stage, ear: Ear, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one after the last that has ended, so an enqueue that began during the declaration's commit may well have a higher one."""

    def composed(*names: str) -> bytes:
        return compose(*names).replace(b"pg_current_xact_id()", b"pg_snapshot_xmax(pg_current_snapshot())")

    monkeypatch.setattr(farm.store.claims, "compose", composed)
    assert any(missed(bench, stage, ear, "READ COMMITTED", order) for order in orders(SLEEP, ENQUEUE))


class Declared:
    """Where idleness is declared: what was, and which transaction is the oldest."""

    def __init__(self) -> None:
        self.lanes: dict[str, object] = {}
        self.number = 0
        self.oldest = 0

    def declare_idle(self, host_id: int, lane: str, classes: object) -> int:
        self.lanes[lane] = classes
        self.number += 10
        return self.number

    def withdraw_idle(self, host_id: int, lane: str) -> None:
        del self.lanes[lane]

    def oldest_open(self) -> int:
        return self.oldest


@pytest.mark.parametrize("heard", [True, False])
def test_looks_become_rarer_and_stop_short_of_the_poll_only_where_announcements_are_heard(heard: bool) -> None:
    store = Declared()
    idleness = Idleness(store=store, poll_s=POLL_S)
    idleness.heard = heard
    assert idleness.rest(1, "a", None)
    pauses = []
    for _ in range(11):
        idleness.settle()
        pauses.append(idleness.pause_s(1))
    assert pauses[:8] == [0.001 * 2**n for n in range(8)]
    assert pauses[8:] == [POLL_S] * 3
    store.oldest = 10
    idleness.settle()
    assert idleness.pause_s(1) == (SAFETY_POLL_S if heard else POLL_S)
    assert idleness.pause_s(2) == POLL_S, "the other lane has declared nothing"


def test_a_lane_that_wants_other_classes_declares_them_and_one_that_works_withdraws() -> None:
    store = Declared()
    idleness = Idleness(store=store, poll_s=POLL_S)
    assert idleness.rest(1, "a", [1])
    assert not idleness.rest(1, "a", [1])
    assert idleness.rest(1, "a", [1, 2])
    assert store.lanes == {"a": [1, 2]}
    assert not idleness.work(1, "a", 5.0)
    assert not idleness.rest(1, "a", [1, 2])
    assert not idleness.work(1, "a", 6.5), "it has not worked steadily"
    assert idleness.work(1, "a", 7.5)
    assert store.lanes == {}
    assert not idleness.work(1, "a", 9.0), "it is withdrawn already"
    assert idleness.rest(1, "a", [1, 2])
    idleness.forget()
    assert idleness.rest(1, "a", [1, 2])
