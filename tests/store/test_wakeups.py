"""Who is told of what."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

import farm
import farm.store.wakeups
from farm.errors import StoreUnavailable
from farm.model import OutcomeKind
from farm.store.claims import ClaimStore
from farm.store.session import Session
from farm.store.wakeups import Wakeups
from tests.proxy import Hole, Proxy
from tests.store.bench import Bench, outcomes


class Ear:
    """A connection that listens; `heard` is what it has not told yet."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("LISTEN farm_wake")

    def heard(self) -> list[str]:
        # A notification is delivered before the answer to a statement that was sent after its commit.
        self._connection.execute("NOTIFY farm_wake, 'end'")
        payloads: list[str] = []
        for notification in self._connection.notifies(timeout=30):
            if notification.payload == "end":
                return sorted(payloads)
            payloads.append(notification.payload)
        raise AssertionError("notifications do not arrive")

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def ear(bench: Bench) -> Iterator[Ear]:
    listening = Ear(bench.dsn)
    yield listening
    listening.close()


@pytest.fixture
def client(bench: Bench) -> Iterator[farm.Client]:
    with farm.connect(bench.dsn) as connected:
        yield connected


def test_nobody_is_told_while_nobody_sleeps(bench: Bench, ear: Ear, client: farm.Client) -> None:
    bench.enqueue(1)
    assert ear.heard() == ["classes"], "a class that is new may be for a lane that could not name it yet"
    bench.enqueue(3)
    client.enqueue("app:f")
    client.enqueue_many([{"task": "app:f"}] * 3)
    assert ear.heard() == []


def test_a_lane_that_sleeps_is_told_of_its_classes_once_a_transaction(bench: Bench, ear: Ear, client: farm.Client) -> None:
    bench.enqueue(1, queue="mine")
    bench.enqueue(1, queue="other")
    mine, other = bench.class_id("mine"), bench.class_id("other")
    ear.heard()
    bench.claims.declare_idle(bench.host(), "lane", [mine])
    client.enqueue("app:f", queue="other")
    assert ear.heard() == []
    job_id = client.enqueue("app:f", queue="mine", priority=2)
    assert ear.heard() == [f"{mine}:2:{job_id}"]
    client.enqueue_many([{"task": "app:f", "queue": queue, "priority": priority} for queue in ("mine", "other") for priority in (1, 1, 3)])
    assert ear.heard() == [f"{mine}:1", f"{mine}:3"]
    bench.claims.declare_idle(bench.host(), "all", None)
    job_id = client.enqueue("app:f", queue="other")
    assert ear.heard() == [f"{other}:4:{job_id}"]


def test_what_comes_back_wakes_lanes_too(bench: Bench, ear: Ear) -> None:
    bench.enqueue(2)
    host, other = bench.host(), bench.host()
    claim = bench.claim(host)
    bench.claims.declare_idle(other, "lane", None)
    ear.heard()
    bench.commit(outcomes(claim, OutcomeKind.FAILED))
    assert ear.heard() == [str(bench.class_id())]
    bench.claim(host)
    bench.hosts.retire(host, None)
    bench.upkeep.reap(host, None)
    assert ear.heard() == [str(bench.class_id())]
    bench.enqueue(1, delay_s=100)
    bench.sql.execute("UPDATE farm.scheduled SET run_at = now()")
    ear.heard()
    bench.upkeep.promote(10)
    assert ear.heard() == [str(bench.class_id())]


def test_whoever_promotes_is_told_of_an_earlier_job(bench: Bench, ear: Ear, client: farm.Client) -> None:
    client.enqueue("app:f", delay_s=1000)
    assert "later" in ear.heard()
    client.enqueue("app:f", delay_s=2000)
    client.enqueue_many([{"task": "app:f", "delay_s": 3000}])
    assert ear.heard() == []
    client.enqueue_many([{"task": "app:f", "delay_s": 3000}, {"task": "app:f", "delay_s": 10}])
    assert ear.heard() == ["later"]


def test_a_transaction_that_may_not_see_who_sleeps_always_tells(bench: Bench, ear: Ear, client: farm.Client) -> None:
    bench.enqueue(1)
    ear.heard()
    with psycopg.connect(bench.dsn) as own:
        own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        job_id = client.enqueue("app:f", connection=own)
    assert ear.heard() == [f"{bench.class_id()}:4:{job_id}"]


def test_what_comes_while_the_connection_is_used_for_something_else(bench: Bench) -> None:
    """A wake-up that arrives with the answer to another statement is told by the next wait."""
    session = Session(bench.dsn, application_name="tests")
    try:
        wakeups = Wakeups(session)
        assert wakeups.wait(0.0) is None, "it hears from now on"
        assert wakeups.wait(0.0) == []
        bench.enqueue(1)
        ClaimStore(session).read_jobs([1])
        assert wakeups.wait(30.0) == ["classes"]
    finally:
        session.close()
        wakeups.close()


def test_a_connection_that_is_dead_without_a_word_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farm.store.wakeups, "ASK_EVERY_S", 0.0)
    with Proxy(bench.dsn) as proxy:
        session = Session(proxy.dsn, application_name="tests")
        wakeups = Wakeups(session)
        assert wakeups.wait(0.0) is None
        bench.enqueue(1)
        assert wakeups.wait(30.0) == ["classes"]
        proxy.lose(Hole.ANSWERS)
        monkeypatch.setattr(farm.store.wakeups, "MARGIN_S", 0.1)
        with pytest.raises(StoreUnavailable):
            wakeups.wait(0.0)
        session.close()
        wakeups.close()


def test_a_wait_that_is_interrupted_ends_and_so_does_the_next_one_after_an_interrupt(bench: Bench) -> None:
    session = Session(bench.dsn, application_name="tests")
    wakeups = Wakeups(session)
    try:
        assert wakeups.wait(30.0) is None
        for _ in range(3):
            for _ in range(5):
                wakeups.interrupt()
            assert wakeups.wait(3600.0) == []
            wakeups.interrupt()
            wakeups.pause(3600.0)
        interrupter = threading.Timer(0.01, wakeups.interrupt)
        interrupter.start()
        assert wakeups.wait(3600.0) == []
        interrupter.join()
    finally:
        session.close()
        wakeups.close()
