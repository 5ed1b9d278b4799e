"""The farm of this host as a screen shows it: shared memory, read at every look, and what the farm tells through its control socket.

Nothing here writes, waits for long, or asks the database for anything, until a key asks for a job. It outlives the farm: when that is gone
it lets go of its memory, says so, and finds its successor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from farm.control import HOSTS_MAX, Connection, find, running
from farm.errors import FarmError
from farm.headway import printable
from farm.model import Depths, QueueDepth
from farm.screen import troubles
from farm.screen.attached import JOBS_MAX
from farm.screen.crew import LaneWatch, Member
from farm.screen.deeds import Deeds
from farm.screen.flow import FlowWatch
from farm.screen.hosts import host_views, queue_views, waiting
from farm.screen.model import DatabaseView, FarmState, Flow, Horizon, HostView, JobRun, LaneView, QueueView, Snapshot, SubworkerView
from farm.screen.processes import NO_USAGE, Processes
from farm.screen.rates import Minute, Rate, Recent
from farm.screen.talk import Key, Talk
from farm.shm.slots import Slot

if TYPE_CHECKING:
    from farm.store.session import Session

NAMED_S, UNSEEN_S = 0.1, 1.0
"""A job that runs for less is gone before anybody has read its name, seen or not."""
TENTHS_S = 10.0
"""From here on screens show whole seconds of how long a job has run: what looks the same is to be the same."""
SLOW_S = 1.5
"""What the farm tells is put together anew when it tells something, which is once a second, or after so long."""
YOUNG_S = 5.0
"""All that a farm so young has counted is recent."""
SILENT_S, LOST_S = 3.0, 10.0
"""Without an answer for so long it is said; for so long it is taken for lost."""
ASK_S = 5.0

Told = Mapping[str, Any]
OpenSessionOf = Callable[[Told], AbstractContextManager["Session"]]
"""Connects to a farm's database, by what that has told of itself: `config`, the path of its configuration, and `database`, its name."""


class Slow(NamedTuple):
    """What is put together once a second: from what the farm tells, or because it changes slowly and costs much."""

    told: Told
    at: float
    """CLOCK_MONOTONIC, in seconds."""
    queues: tuple[QueueView, ...]
    hosts: tuple[HostView, ...]
    database: DatabaseView
    flow: Flow
    farm: Recent
    """Of the farm as a whole."""
    recent: Mapping[str, Recent]
    """By lane, as is the next."""
    troubles: Mapping[str, str]
    notices: tuple[str, ...]


class LiveSource:
    """A Source. Used by one thread."""

    def __init__(self, home: Path, instance: str | None, *, open_session: OpenSessionOf, version: str = "") -> None:
        """instance: None for the only farm that runs below this home. open_session: called when a key first needs the database."""
        self._home = home
        self._instance = instance
        self._version = version
        self._talk = Talk(self._find)
        self._deeds = Deeds(lambda: open_session(self._told or {}))
        self._flow = FlowWatch()
        self._processes = Processes()
        self._lanes: dict[str, LaneWatch] = {}
        self._rate, self._minute = Rate(), Minute()
        self._told: Told | None = None
        self._told_at = 0.0
        self._was_blind = True
        """Of what has ended by now nobody knows when."""
        self._lane_views: dict[str, LaneView] = {}
        self._slow: Slow | None = None
        self._last: Snapshot | None = None

    def look(self, seen: Collection[str] | None = None) -> Snapshot:
        """Return how it stands. At the first call it waits for the farm's answer for half a second at the most, later not at all.

        seen: the names of the subworkers that are on the screen: the others come round after them. None: all of them are.
        """
        now, now_ns = time.monotonic(), time.monotonic_ns()
        lanes = self._lanes.values()
        looked = [member for lane in lanes for member in lane.look(now, now_ns, seen)]
        self._talk.look(now, self._unnamed(looked, now_ns, seen))
        if self._talk.answer is not None and self._talk.answer is not self._told:
            self._take_in(self._talk.answer, now)
        if self._told is None or not self._talk.connected or now - self._told_at > LOST_S:
            return self._without_farm(now)
        self._rate.note(now, sum(lane.ended for lane in self._lanes.values()))
        self._minute.note(now, sum(lane.news for lane in self._lanes.values()))
        self._last = self._snapshot(self._told, now, now_ns, seen)
        return self._last

    def job(self, job_id: int) -> dict[str, Any]:
        """Return all that is known of a job. Raises FarmError."""
        return self._deeds.job(job_id)

    def pause(self, lane: str) -> str:
        """Pause a lane."""
        return self._ask("pause", lanes=[lane])

    def resume(self, lane: str) -> str:
        """Let a lane go on."""
        return self._ask("resume", lanes=[lane])

    def drain(self) -> str:
        """Have the farm leave in order."""
        return self._ask("drain")

    def cancel(self, job_id: int) -> str:
        """Cancel one job."""
        return self._deeds.cancel(job_id)

    def retry(self, job_id: int) -> str:
        """Make a job ready again."""
        return self._deeds.retry(job_id)

    def close(self) -> None:
        """Let go of everything."""
        self._talk.close()
        self._let_go()
        self._deeds.close()

    def _find(self) -> Connection | None:
        """Connect to the farm that is meant; once found, it is that one for good."""
        if self._instance is not None:
            return find(self._home, self._instance)
        found = running(self._home)
        for other in found[1:]:
            other.close()
        if not found:
            return None
        self._instance = found[0].instance
        return found[0]

    def _ask(self, do: str, **arguments: Any) -> str:
        connection = self._find()
        if connection is None:
            raise FarmError(f"the farm {self._instance!r} has gone")
        with connection:
            answer = connection.ask(do, wait_s=ASK_S, **arguments)
        return "; ".join(printable(str(line)) for line in answer.get("said", ()))

    def _take_in(self, told: Told, now: float) -> None:
        """Take in what the farm tells: lanes and subworkers come and go."""
        place = Path(told["place"])
        is_other = self._told is None or self._told["place"] != told["place"]
        if is_other:
            self._let_go()
            self._lanes = {}
        is_new, self._was_blind = (is_other or self._was_blind) and told["up_s"] > YOUNG_S, False
        self._told, self._told_at = told, now
        names = [lane["name"] for lane in told["lanes"]]
        for name in self._lanes.keys() - set(names):
            self._lanes.pop(name).close()
            self._lane_views.pop(name, None)
        self._lanes = {name: self._lanes.get(name) or LaneWatch(name) for name in names}
        for lane in told["lanes"]:
            self._lanes[lane["name"]].tell(lane, place, now, is_new=is_new)
        self._flow.attach(Path(told["ack"]), Path(told["failures"]))
        self._flow.tell(told["claims"])

    def _let_go(self) -> None:
        """Unmap all files: what nobody else holds is to be given back."""
        for lane in self._lanes.values():
            lane.close()
        self._flow.close()
        self._processes.close()

    def _without_farm(self, now: float) -> Snapshot:
        """Say that it is starting, or gone, with what was last known of it that is not stale."""
        self._let_go()
        self._was_blind = True
        silent = f"the farm has not answered for {now - self._told_at:.0f} s: it is stopped, or stuck"
        if self._told is None or self._last is None:
            state = FarmState.STARTING if self._talk.refusal or self._talk.connected else FarmState.LOST
            notice = self._talk.refusal or ("it has not answered yet" if self._talk.connected else f"no farm runs in {self._home}")
            return Snapshot(
                at=_clock(),
                instance=self._instance or "",
                host="",
                version=self._version,
                state=state,
                up_s=0.0,
                database=DatabaseView(name=""),
                notices=(notice,),
            )
        if self._talk.connected and self._talk.answer is None:
            return replace(self._stale(), state=FarmState.STARTING, notices=(self._talk.refusal or "it has not answered yet",))
        gone = f"the farm {self._last.instance} has gone: what became of its jobs stands in its log"
        return replace(self._stale(), state=FarmState.LOST, notices=(silent if self._talk.connected else gone,))

    def _stale(self) -> Snapshot:
        assert self._last is not None
        lanes = tuple(replace(lane, running=0, serving=0, rate=0.0, buffered=0, trouble="") for lane in self._last.lanes)
        return replace(self._last, at=_clock(), lanes=lanes, subworkers=(), rate=0.0)

    def _unnamed(self, looked: Sequence[Member], now_ns: int, seen: Collection[str] | None) -> list[Key]:
        """Return the jobs of those that were looked at whose task is not known yet, and is wanted."""
        unnamed: list[Key] = []
        known = self._talk.tasks
        if len(known) > 2 * JOBS_MAX * sum(len(lane.members) for lane in self._lanes.values()):
            known.clear()
        for member in looked:
            if not member.attached.longest:
                continue
            is_seen = seen is None or member.post in seen
            if is_seen or (member.view is not None and not all(job.task for job in member.view.jobs)):
                # How long they have run, and how far they are, changes all the time. A name may be there that was not.
                member.has_changed = True
            number = member.told["number"]
            before_ns = now_ns - int((NAMED_S if is_seen else UNSEEN_S) * 1e9)
            keys = [(number, slot.seq) for slot in member.attached.longest if slot.started_ns <= before_ns]
            unnamed += [key for key in keys if key not in known]
        return unnamed

    def _snapshot(self, told: Told, now: float, now_ns: int, seen: Collection[str] | None) -> Snapshot:
        if self._processes.is_due(now):
            self._look_at_processes(now, seen)
        subworkers = tuple(
            [
                member.view if member.view is not None and not member.has_changed else self._subworker(lane, member, now_ns)
                for lane in self._lanes.values()
                for member in lane.members.values()
            ]
        )
        if self._slow is None or self._slow.told is not told or now >= self._slow.at + SLOW_S:
            self._slow = self._look_slowly(told, now, now_ns, subworkers)
        slow = self._slow
        lanes = tuple(self._lane(lane, slow) for lane in self._lanes.values())
        return Snapshot(
            at=_clock(),
            instance=told["instance"],
            host=told["host"],
            version=told["version"],
            state=_state(told),
            up_s=told["up_s"] + now - self._told_at,
            database=slow.database,
            rate=self._rate.per_second,
            queue_time=slow.farm.queue_time,
            run_time=slow.farm.run_time,
            failure_share=slow.farm.failure_share,
            memory_bytes=told["memory_bytes"],
            lanes=lanes,
            subworkers=subworkers,
            flow=slow.flow,
            failures=self._flow.failures(),
            hosts=slow.hosts,
            queues=slow.queues,
            log_path=told.get("log_path", ""),
            notices=slow.notices,
        )

    def _look_slowly(self, told: Told, now: float, now_ns: int, subworkers: Sequence[SubworkerView]) -> Slow:
        """Put together what the farm tells and what it means; the order is that of a screen."""
        age_s = now - self._told_at
        hosts = told["hosts"]
        # Of very many hosts some are told: one of the others may have a lane for a queue.
        all_hosts = [] if hosts is None or len(hosts["hosts"]) >= HOSTS_MAX else hosts["hosts"]
        queues = queue_views(_depths(told, age_s), frozenset(told["paused_queues"]), all_hosts)
        recent = {name: lane.minute.recent(now) for name, lane in self._lanes.items()}
        troubles_of = {name: self._trouble(lane, recent[name], queues, now_ns) for name, lane in self._lanes.items()}
        members = [member for lane in self._lanes.values() for member in lane.members.values()]
        horizon = self._horizon(told, age_s)
        return Slow(
            told=told,
            at=now,
            queues=queues,
            hosts=() if hosts is None else tuple(host_views(hosts["hosts"], age_s=hosts["age_s"] + age_s, lease_s=told["lease_s"])),
            database=DatabaseView(
                name=told["database"],
                latency_s=told["latency_s"],
                away_s=None if told["away_s"] is None else told["away_s"] + age_s,
                horizon=horizon,
            ),
            flow=self._flow.look(
                now,
                job_rings=max((member.attached.ring_shares[0] for member in members), default=0.0),
                result_rings=max((member.attached.ring_shares[1] for member in members), default=0.0),
                uncommitted=sum(lane.uncommitted for lane in self._lanes.values()),
            ),
            farm=self._minute.recent(now),
            recent=recent,
            troubles=troubles_of,
            notices=(*self._notices(told, troubles_of, subworkers, horizon, age_s), *troubles.notices_of_queues(queues)),
        )

    def _trouble(self, lane: LaneWatch, recent: Recent, queues: Sequence[QueueView], now_ns: int) -> str:
        """Say why a lane does less than it should."""
        of, run = lane.told, lane.running
        starved_by = ""
        waits = waiting(queues, of["queues"])[0] + int(of["buffered"])
        if run >= lane.capacity and waits:
            slow_s = troubles.slow_s(recent.median_run_s)
            before_ns = now_ns - int(slow_s * 1e9)
            jobs = [
                self._job(member, slot, now_ns)
                for member in lane.members.values()
                for slot in member.attached.longest
                if slot.started_ns <= before_ns
            ]
            slots = troubles.Slots(lane.capacity, run, lane.started_before(before_ns), jobs)
            starved_by = troubles.starved(slots, waiting=waits, median_s=recent.median_run_s)
        return troubles.trouble_of(
            of["held_by"], missing=of["missing"], serving=lane.serving + lane.leaving, full=of["subworkers"], starved_by=starved_by
        )

    def _lane(self, lane: LaneWatch, slow: Slow) -> LaneView:
        of = lane.told
        queued, oldest_s = waiting(slow.queues, of["queues"])
        recent = slow.recent[lane.name]
        view = LaneView(
            name=lane.name,
            queues=tuple(of["queues"]),
            capacity=lane.capacity,
            running=lane.running,
            subworkers=of["subworkers"],
            serving=lane.serving,
            stolen=lane.stolen,
            buffered=int(of["buffered"]),
            queued=queued if slow.told["depths"] is not None else None,
            oldest_s=oldest_s,
            rates=lane.rate.seconds,
            rate=lane.rate.per_second,
            queue_time=recent.queue_time,
            run_time=recent.run_time,
            failure_share=recent.failure_share,
            occupancy=lane.occupancy,
            paused="paused" in of["held_by"],
            held_by=tuple(of["held_by"]),
            trouble=slow.troubles[lane.name],
        )
        # What is equal is to be the same: so that it need not be drawn anew.
        known = self._lane_views.get(lane.name)
        if view == known:
            return known
        self._lane_views[lane.name] = view
        return view

    def _look_at_processes(self, now: float, seen: Collection[str] | None) -> None:
        members = {name: member for lane in self._lanes.values() for name, member in lane.members.items() if member.told["pid"]}
        names = None if seen is None else {name for name, member in members.items() if member.post in seen}
        idle = {name for name, member in members.items() if member.attached.is_settled and not member.attached.running}
        self._processes.look({name: member.told["pid"] for name, member in members.items()}, now, names, idle)
        for name, member in members.items():
            usage = self._processes.usages.get(name, NO_USAGE)
            if usage is not member.usage:
                member.usage, member.has_changed = usage, True

    def _subworker(self, lane: LaneWatch, member: Member, now_ns: int) -> SubworkerView:
        """Return a subworker as it is shown: while it looks the same, it is the same."""
        of, usage = member.told, member.usage
        jobs = tuple([self._job(member, slot, now_ns) for slot in member.attached.longest])
        view = SubworkerView(
            name=of["post"],
            pid=of["pid"],
            lane=lane.name,
            state=("busy" if jobs else "idle") if of["phase"] == "serving" else of["phase"],
            rss_bytes=usage.held_bytes,
            limit_bytes=of["limit_bytes"],
            cpu=usage.cpu,
            jobs=jobs,
            ended=member.attached.ended,
            buffered=of["unstarted"],
            restarts=of["restarts"],
            restarted_why=of["restarted_why"],
        )
        member.has_changed = False
        if view != member.view:
            member.view = view
        assert member.view is not None
        return member.view

    def _job(self, member: Member, slot: Slot, now_ns: int) -> JobRun:
        running_s = max(0, now_ns - slot.started_ns) / 1e9
        said = member.attached.progress(slot)
        return JobRun(
            job_id=slot.job_id,
            task=self._talk.tasks.get((member.told["number"], slot.seq), ""),
            running_s=float(int(running_s)) if running_s >= TENTHS_S else int(running_s * 10) / 10 if running_s >= 1.0 else running_s,
            progress=None if said is None else said.fraction,
            text="" if said is None else said.text,
        )

    def _horizon(self, told: Told, age_s: float) -> Horizon | None:
        """Return what keeps the database from cleaning up, if it has done so for long enough to hurt."""
        rate = self._rate.per_second
        held = next(
            (
                one
                for one in told["horizon"]
                if one["age_s"] is not None and troubles.horizon_hurts(one["age_s"] + age_s, rate, idle=one["idle"])
            ),
            None,
        )
        return None if held is None else Horizon(holder=printable(held["holder"]), age_s=held["age_s"] + age_s)

    def _notices(
        self, told: Told, troubles_of: Mapping[str, str], subworkers: Sequence[SubworkerView], horizon: Horizon | None, age_s: float
    ) -> Iterator[str]:
        """Say what an operator should read first, the worst first."""
        if age_s > SILENT_S:
            yield f"the supervisor has not answered for {age_s:.0f} s"
        if told["away_s"] is not None:
            yield "the database does not answer; results are kept, nothing new is claimed"
        if told["short_of_memory"]:
            yield f"the host is short of memory: {told['short_of_memory']}"
        growth = {member.told["pid"]: member.usage.growth for lane in self._lanes.values() for member in lane.members.values()}
        yield from troubles.eaters(subworkers, growth)
        yield from troubles.notices_of_lanes(troubles_of)
        if horizon is not None:
            yield troubles.horizon_notice(horizon.holder, horizon.age_s)


def _state(told: Told) -> FarmState:
    if told["draining"]:
        return FarmState.DRAINING
    if told["away_s"] is not None:
        return FarmState.AWAY
    return FarmState.RUNNING if told["served"] else FarmState.STARTING


def _depths(told: Told, age_s: float) -> Depths | None:
    depths = told["depths"]
    return None if depths is None else Depths(tuple(QueueDepth(**queue) for queue in depths["queues"]), depths["age_s"] + age_s, 0.0)


def _clock() -> datetime:
    return datetime.now(UTC).astimezone()
