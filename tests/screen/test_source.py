"""A real farm, as a screen sees it: under load, with faults, and through the deaths of each of its processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from farm.control import connect
from farm.errors import FarmError
from farm.screen.model import FarmState, LaneView, Snapshot, SubworkerView
from farm.screen.source import LiveSource
from farm.store.session import Session
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm
from tests.screen import faults
from tests.screen.conftest import MakeFarm
from tests.screen.faults import Faults

TASKS = Path(__file__).parent / "tasks"
LOOKS = 30
"""More than it takes until what is counted of a subworker is shown as a rate."""
LANES = {
    faults.STARVED_LANE: {"queues": [faults.STARVED_LANE], "subworkers": 2},
    faults.EATER_LANE: {"queues": ["*"], "subworkers": 1, "memory": f"{faults.MEMORY_MB}MB"},
}


def opener(dsn: str) -> Callable[[Mapping[str, Any]], AbstractContextManager[Session]]:
    @contextmanager
    def opened(_told: Mapping[str, Any]) -> Iterator[Session]:
        session = Session(dsn, application_name="screen")
        yield session
        session.close()

    return opened


class Looking:
    """A source that is looked at until something is to be seen."""

    def __init__(self, source: LiveSource, seen: Collection[str] | None = None) -> None:
        """seen: the subworkers that are on the screen; None: all."""
        self.source = source
        self.seen = seen
        self.last = source.look(seen)

    def until(self, look: Callable[[Snapshot], Any], what: str) -> Any:
        def once() -> Any:
            self.last = self.source.look(self.seen)
            assert self.last.rate >= 0.0
            assert all((lane.rate or 0.0) >= 0.0 and all(second >= 0.0 for second in lane.rates) for lane in self.last.lanes)
            return look(self.last)

        return wait_for(once, what)

    def lane(self, name: str) -> LaneView:
        return next(lane for lane in self.last.lanes if lane.name == name)


def mapped() -> list[str]:
    """Return what this process has mapped of farms."""
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if "/dev/shm/farm-" in line]


def subworker(snapshot: Snapshot, lane: str) -> SubworkerView | None:
    return next((one for one in snapshot.subworkers if one.lane == lane and one.state in ("busy", "idle", "leaving")), None)


def said(snapshot: Snapshot, *parts: str) -> str | None:
    return next((notice for notice in snapshot.notices if all(part in notice for part in parts)), None)


def slow_ones(snapshot: Snapshot) -> list[SubworkerView]:
    """Return the subworkers that run the slow task, once it is known of both."""
    busy = [one for one in snapshot.subworkers if one.lane == faults.STARVED_LANE and one.jobs]
    return busy if [(one.state, one.jobs[0].task) for one in busy] == [("busy", faults.SLOW_TASK)] * 2 else []


@pytest.fixture
def live(make_farm: MakeFarm) -> RunningFarm:
    runners = {"python": {"allow": ["greedy:*"], "path": [str(TASKS)]}}
    return make_farm(name="live", lanes=LANES, runners=runners)


@pytest.fixture
def source(live: RunningFarm, dsn: str) -> Iterator[LiveSource]:
    source = LiveSource(live.home, "live", open_session=opener(dsn))
    yield source
    source.close()
    assert mapped() == []


@pytest.mark.parametrize("seen", [None, ()], ids=["all are seen", "none is"])
def test_three_faults_are_shown_and_what_keys_do_about_them(
    live: RunningFarm, source: LiveSource, dsn: str, ledger: Ledger, seen: Collection[str] | None
) -> None:
    """A lane starved by a slow task, a job that eats memory, a transaction that is left open: each in words, with who it is. Also where
    their subworkers are beyond the end of the screen."""
    assert source.look().state is FarmState.LOST
    with Faults(dsn) as prepared:
        prepared.hold_horizon()
        live.start()
        live.all_subworkers(3)
        eater = prepared.eat(60.0)
        prepared.starve(2, 60.0)
        looking = Looking(source, seen)
        starved = looking.until(
            lambda snapshot: said(snapshot, f"lane {faults.STARVED_LANE}: 2 of 2 slots taken by {faults.SLOW_TASK} for up to "),
            "the starved lane",
        )
        assert starved.endswith(" wait")
        looking.until(
            lambda snapshot: said(snapshot, f"of lane {faults.EATER_LANE} holds ", f"job {eater} ({faults.EATER_TASK})"), "the eater"
        )
        holder = looking.until(lambda snapshot: said(snapshot, faults.HORIZON_NAME, "idle in transaction"), "the open transaction")
        assert holder.endswith(" from being cleaned up")
        assert looking.last.database.horizon is not None

        snapshot = looking.last
        assert (snapshot.state, snapshot.instance, snapshot.host) == (FarmState.RUNNING, "live", os.uname().nodename)
        assert snapshot.database.latency_s is not None
        lane = looking.lane(faults.STARVED_LANE)
        assert (lane.capacity, lane.running, lane.subworkers, lane.serving) == (2, 2, 2, 2)
        # A few may have run before the slow ones were claimed.
        assert 0.9 * faults.WAITING <= (lane.queued or 0) + lane.buffered <= 1.1 * faults.WAITING
        assert lane.oldest_s is not None
        assert [(queue.name, queue.ready) for queue in snapshot.queues] == [(faults.STARVED_LANE, lane.queued)]
        busy = looking.until(slow_ones, "the names of what they run")
        assert {one.pid for one in snapshot.subworkers} == set(live.subworkers())
        assert [(host.instance, host.state, host.lanes) for host in snapshot.hosts] == [("live", "live", tuple(LANES))]

        assert source.pause(faults.STARVED_LANE) == f"lane {faults.STARVED_LANE} is paused; 2 jobs still run"
        looking.until(lambda snapshot: looking.lane(faults.STARVED_LANE).paused, "the pause")
        assert said(looking.last, faults.STARVED_LANE) is None, "it is meant so"
        with pytest.raises(FarmError, match=r"^there is no lane 'slaw'"):
            source.pause("slaw")
        for job in [one.jobs[0] for one in busy] + [subworker(looking.last, faults.EATER_LANE).jobs[0]]:  # type: ignore[union-attr]
            assert source.cancel(job.job_id) == f"job {job.job_id} is asked to end"
        assert faults.STARVED_LANE in source.resume(faults.STARVED_LANE)
        looking.until(lambda snapshot: all(faults.HORIZON_NAME in notice for notice in snapshot.notices), "their end")
        cancelled = source.job(eater)
        assert cancelled["state"] == "cancelled"
        assert source.retry(eater) == f"job {eater} is ready again"
        with pytest.raises(FarmError, match=r"^there is no job 77777"):
            source.job(77777)
    assert source.drain().startswith("draining: running jobs may end within ")
    looking.until(lambda snapshot: snapshot.state in (FarmState.DRAINING, FarmState.LOST), "the drain")
    # The job that was tried again may have ended by now, and the farm have left: then there is nobody to hurry.
    with suppress(FarmError), connect(live.home) as farm:
        farm.ask("drain", hurry=True)
    assert live.wait() == 0
    gone = looking.until(lambda snapshot: snapshot.state is FarmState.LOST and snapshot, "its end")
    assert gone.notices == ("the farm live has gone: what became of its jobs stands in its log",)
    assert mapped() == []


def test_what_ended_while_nothing_was_known_is_not_taken_for_recent(
    live: RunningFarm, source: LiveSource, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A farm that was stopped for a while and goes on is not shown with all jobs of its life as if they had ended just now."""
    monkeypatch.setattr("farm.screen.source.YOUNG_S", 0.0)
    live.start()
    live.all_subworkers(3)
    looking = Looking(source)
    ledger.enqueue_all([(faults.QUICK_TASK, ())] * 500)
    wait_for(lambda: ledger.settled() == 500, "the end of all jobs")
    looking.until(lambda snapshot: sum(one.ended for one in snapshot.subworkers) == 500 and snapshot.rate == 0, "that all is quiet")
    monkeypatch.setattr("farm.screen.source.LOST_S", 0.3)
    live.signal(signal.SIGSTOP)
    looking.until(lambda snapshot: snapshot.state is FarmState.LOST, "that it does not answer")
    live.signal(signal.SIGCONT)
    monkeypatch.setattr("farm.screen.source.LOST_S", 60.0)
    rates: list[float] = []

    def look(snapshot: Snapshot) -> bool:
        rates.append(snapshot.rate)
        return len(rates) > LOOKS and len(snapshot.subworkers) == 3

    looking.until(look, "that it goes on")
    assert set(rates) == {0.0}
    live.stop()


def test_it_outlives_every_process_of_the_farm(live: RunningFarm, source: LiveSource, ledger: Ledger) -> None:
    """A subworker, the writer and the supervisor are killed, under load; a reload takes a lane away."""
    live.start()
    live.all_subworkers(3)
    looking = Looking(source)
    ledger.enqueue_all([(faults.QUICK_TASK, ())] * 1_000)
    victim = looking.until(lambda snapshot: subworker(snapshot, faults.EATER_LANE), "its subworker")
    os.kill(victim.pid, signal.SIGKILL)
    looking.until(
        lambda snapshot: (one := subworker(snapshot, faults.EATER_LANE)) and one.pid != victim.pid and one.restarts == 1, "its successor"
    )
    os.kill(live.writer(), signal.SIGKILL)
    looking.until(lambda snapshot: ledger.settled() == 1_000 and snapshot.flow.backlog == 0, "the end of all jobs")
    looking.until(lambda snapshot: snapshot.flow.commit_size is not None, "the new writer's commits")
    lane = looking.until(lambda snapshot: (lane := looking.lane(faults.EATER_LANE)).run_time.p50_s is not None and lane, "what they took")
    assert lane.failure_share is not None
    assert (looking.last.run_time.p99_s, looking.last.queue_time.p99_s) != (None, None)
    assert sum(one.ended for one in looking.last.subworkers if one.lane == lane.name) <= 1_000

    text = live.config.read_text()
    live.config.write_text(text.replace(f"  {faults.STARVED_LANE}:\n", "  other:\n"))
    with connect(live.home) as farm:
        farm.ask("reload")
    looking.until(lambda snapshot: {lane.name for lane in snapshot.lanes if not lane.held_by} == {"other", faults.EATER_LANE}, "the reload")

    live.kill()
    looking.until(lambda snapshot: snapshot.state is FarmState.LOST, "that it is gone")
    assert mapped() == []
    assert looking.last.subworkers == ()
    live.start()
    looking.until(lambda snapshot: snapshot.state is FarmState.RUNNING and len(snapshot.subworkers) == 3, "its successor")
    live.signal(signal.SIGSTOP)
    live.signal(signal.SIGCONT)
    looking.until(lambda snapshot: snapshot.state is FarmState.RUNNING, "that it goes on")
    live.stop()
