"""All hosts as the database tells of them, with nothing of theirs on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from farm.errors import FarmError
from farm.model import Depths, QueueDepth
from farm.screen.hosts import HostsSource, host_views, queue_views
from farm.screen.model import FarmState
from farm.store.hosts import HostStore
from farm.store.session import Session
from tests.servers import Server

LANES = {"mail": {"queues": ["mail"], "subworkers": 2, "concurrency": 4}, "rest": {"queues": ["*"], "subworkers": 1, "concurrency": 1}}
STATES = json.dumps(
    {
        "mail": {"serving": 1, "of": 2, "busy": 50, "buffered": 3, "missing": "no memory"},
        "rest": {"serving": 1, "of": 1, "held_by": ["paused"]},
    }
)


@contextmanager
def opened(dsn: str) -> Iterator[Session]:
    session = Session(dsn, application_name="screen")
    yield session
    session.close()


def test_hosts_lanes_and_queues_are_what_the_database_says(dsn: str, server: Server) -> None:
    with opened(dsn) as session:
        store = HostStore(session)
        one, two = (
            store.register(
                instance=name, name=f"{name}.example", lanes=LANES, capacity=9, memory_bytes=8 * 10**9, version="1", runners=["python"]
            )
            for name in ("one", "two")
        )
        store.beat(one, [], [], STATES, ["mail"])
        store.retire(two, None)
        session.run(lambda connection: connection.execute("SELECT farm.enqueue('a:b', '[]', 'mail') FROM generate_series(1, 3)").fetchall())
        source = HostsSource(lambda: opened(dsn), database="here", version="1")
        snapshot = source.look()
        assert (snapshot.state, snapshot.database.name, snapshot.memory_bytes) == (FarmState.RUNNING, "here", 8 * 10**9)
        assert [(host.instance, host.state, host.capacity) for host in snapshot.hosts] == [("one", "live", 9), ("two", "retired", 9)]
        mail, rest = snapshot.lanes
        assert (mail.name, mail.capacity, mail.running, mail.serving, mail.subworkers, mail.buffered) == ("mail", 8, 4, 1, 2, 3)
        assert (mail.queued, rest.queued, rest.paused) == (3, 3, True)
        assert (mail.rate, mail.stolen) == (None, None), "no heartbeat tells"
        assert mail.oldest_s is not None
        assert [(queue.name, queue.ready, queue.paused) for queue in snapshot.queues] == [("mail", 3, True)]
        assert any("no memory" in notice for notice in snapshot.notices)
        assert source.cancel(1) == "job 1 is cancelled"
        assert source.retry(1) == "job 1 is ready again"
        assert source.job(1)["attempts"][0]["kind"] == "retried"
        with pytest.raises(FarmError, match=r"^no living host has a lane 'two'$"):
            source.pause("two")
        with pytest.raises(FarmError, match=r"farm drain --host"):
            source.drain()
        store.retire(one, None)
        source._look_at = 0.0
        left = source.look()
        assert (left.state, left.notices[0]) == (FarmState.LOST, "no host is live: `farm start CONFIG` makes one")
    server.stop("immediate")
    source._look_at = 0.0
    away = source.look()
    assert (away.state, away.database.away_s) == (FarmState.AWAY, 0.0)
    assert [host.instance for host in away.hosts] == ["one", "two"], "it shows what was last known"
    source.close()


def test_a_queue_that_no_lane_of_a_living_host_takes_from_is_told_apart() -> None:
    depths = Depths((QueueDepth("mail", 3, False, 1.0), QueueDepth("bills", 3, False, 1.0)), 0.0, 0.0)
    mail, rest = ({"id": 1, "state": "live", "lanes": {name: LANES[name]}} for name in ("mail", "rest"))

    def unserved(*hosts: dict[str, object]) -> list[str]:
        return [queue.name for queue in queue_views(depths, frozenset(), hosts) if queue.unserved]

    assert unserved(mail) == ["bills"]
    assert unserved(mail, {**rest, "state": "retired"}) == ["bills"]
    assert unserved(mail, rest) == [], "the rest is any queue"
    assert unserved() == [], "nobody knows"


def test_a_host_that_has_left_runs_nothing() -> None:
    told = {
        "id": 1, "name": "a", "instance": "one", "state": "live", "beat_age_s": 0.5, "running": 3, "capacity": 9, "memory_bytes": 1,
        "version": "1", "lanes": {}, "paused_queues": [],
    }  # fmt: skip
    views = host_views([told, {**told, "state": "retired"}, {**told, "beat_age_s": 60.0}], age_s=0.0, lease_s=10.0)
    assert [(host.state, host.running) for host in views] == [("live", 3), ("retired", 0), ("lost", 3)], (
        "one that is lost may run them still"
    )
