"""Depths are counted only while somebody looks, by one host at a time, and for a hundredth of the time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from farm.model import Depths, QueueDepth
from farm.supervisor.views.depths import COUNT_S_MAX, KNOWN_S, PAUSE_FACTOR, PAUSE_S_MIN, WANTED_S, DepthWatch

QUEUES = (QueueDepth("a", 7, False, 3.0),)


@dataclass
class Database:
    """The row that all hosts share, on a clock of the test's own."""

    now: float = 1000.0
    takes_s: float = 0.001
    breaks_off: bool = False
    counted_at: float | None = None
    due_at: float = 0.0
    counts: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def read(self) -> Depths:
        age_s = None if self.counted_at is None else self.now - self.counted_at
        return Depths(() if age_s is None else QUEUES, age_s, self.due_at - self.now)

    def take_turn(self) -> bool:
        if self.due_at > self.now:
            return False
        self.due_at = self.now + 30.0
        return True

    def count(self, limit_s: float) -> list[QueueDepth] | None:
        assert limit_s == COUNT_S_MAX
        self.counts.append(self.now)
        self.now += self.takes_s
        return None if self.breaks_off else list(QUEUES)

    def store(self, queues: list[QueueDepth], pause_s: float) -> None:
        assert tuple(queues) == QUEUES
        self.counted_at, self.due_at = self.now, self.now + pause_s


class Host:
    """A watch that is stepped when it wants to be, or is woken."""

    def __init__(self, database: Database) -> None:
        self.woken = 0
        self.database = database
        self.watch = DepthWatch(store=database, wake=self.wake, clock=database.clock)
        self._step_at = database.now

    def wake(self) -> None:
        self.woken += 1
        self._step_at = self.database.now

    def step(self) -> None:
        if self.database.now >= self._step_at:
            self._step_at = self.database.now + self.watch.step(self.database.now)


def run(hosts: list[Host], seconds: float, *, looks: bool) -> None:
    database = hosts[0].database
    end = database.now + seconds
    while database.now < end:
        for host in hosts:
            if looks:
                host.watch.look()
            host.step()
        database.now += 0.25


def test_nothing_is_asked_of_the_database_while_nobody_looks() -> None:
    database = Database()
    host = Host(database)
    run([host], 100.0, looks=False)
    assert database.counts == []
    assert host.watch.look() is None
    assert host.woken == 1
    host.step()
    told = host.watch.look()
    assert told is not None
    assert (told.queues, host.woken) == (QUEUES, 1)
    run([host], 300.0, looks=False)
    assert len(database.counts) <= WANTED_S / PAUSE_S_MIN + 1
    assert host.watch.look() is None, "what was known is old by now"
    assert host.woken == 2


@pytest.mark.parametrize("takes_s", [0.001, 0.1])
@pytest.mark.parametrize("hosts", [1, 5])
def test_all_hosts_together_take_a_hundredth_of_the_time(takes_s: float, hosts: int) -> None:
    database = Database(takes_s=takes_s)
    watching = [Host(database) for _ in range(hosts)]
    run(watching, 200.0, looks=True)
    assert len(database.counts) <= 200.0 / max(PAUSE_S_MIN, (PAUSE_FACTOR + 1) * takes_s) + 1
    assert len(database.counts) >= 2
    for host in watching:
        told = host.watch.look()
        assert told is not None
        assert told.age_s is not None
        assert 0.0 <= told.age_s <= 100 * takes_s + 2.0


def test_a_count_that_takes_too_long_leaves_what_was_known_until_it_is_old() -> None:
    database = Database()
    host = Host(database)
    run([host], 3.0, looks=True)
    database.breaks_off = True
    known_at = database.now
    run([host], KNOWN_S / 2, looks=True)
    assert host.watch.look() is not None
    run([host], KNOWN_S, looks=True)
    assert host.watch.look() is None
    assert len([at for at in database.counts if at > known_at]) <= 1.5 * KNOWN_S / 30.0 + 1, "and it is not tried again at once"
