"""The farm of this host as a screen shows it: shared memory, read at every look, and what the farm tells through its control socket.

Nothing here writes, waits for long, or asks the database for anything, until a key asks for a job. It outlives the farm: when that is gone
it lets go of its memory, says so, and finds its successor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.control import Connection, find, running
from farm.errors import FarmError
from farm.headway import printable
from farm.model import Depths, QueueDepth
from farm.screen import troubles
from farm.screen.crew import LaneWatch, Member
from farm.screen.deeds import Deeds
from farm.screen.flow import FlowWatch
from farm.screen.hosts import host_views, queue_views, waiting
from farm.screen.model import DatabaseView, FarmState, Horizon, JobRun, LaneView, QueueView, Snapshot, SubworkerView
from farm.screen.processes import Processes, Usage
from farm.screen.rates import Minute, Rate, Recent
from farm.screen.talk import Key, Talk

if TYPE_CHECKING:
    from farm.store.session import Session

JOBS_MAX = 20
"""Jobs of one subworker that are looked at one by one: those that run for longest."""
NAMED_S = 0.1
"""A job that runs for less is gone before anybody has read its name."""
YOUNG_S = 5.0
"""All that a farm so young has counted is recent."""
SILENT_S, LOST_S = 3.0, 10.0
"""Without an answer for so long it is said; for so long it is taken for lost."""
ASK_S = 5.0

Told = Mapping[str, Any]
OpenSessionOf = Callable[[Told], AbstractContextManager["Session"]]
"""Connects to a farm's database, by what that has told of itself: `config`, the path of its configuration, and `database`, its name."""


class LiveSource:
    """A Source. Used by one thread."""

    def __init__(
        self, home: Path, instance: str | None, *, open_session: OpenSessionOf, version: str = "", horizon_s: float = troubles.HORIZON_S
    ) -> None:
        """instance: None for the only farm that runs below this home. open_session: called when a key first needs the database.
        horizon_s: from when on it is told in any case that something keeps the database from cleaning up."""
        self._home = home
        self._instance = instance
        self._version = version
        self._horizon_s = horizon_s
        self._talk = Talk(self._find)
        self._deeds = Deeds(lambda: open_session(self._told or {}))
        self._flow = FlowWatch()
        self._processes = Processes()
        self._lanes: dict[str, LaneWatch] = {}
        self._rate, self._minute = Rate(), Minute()
        self._told: Told | None = None
        self._told_at = 0.0
        self._jobs: dict[str, tuple[JobRun, ...]] = {}
        """By the names of subworkers' files."""
        self._last: Snapshot | None = None

    def look(self) -> Snapshot:
        """Return how it stands. At the first call it waits for the farm's answer for half a second at the most, later not at all."""
        now, now_ns = time.monotonic(), time.monotonic_ns()
        self._talk.look(now, self._unnamed(now_ns))
        if self._talk.answer is not None and self._talk.answer is not self._told:
            self._take_in(self._talk.answer, now)
        if self._told is None or not self._talk.connected or now - self._told_at > LOST_S:
            return self._without_farm(now)
        news = [(lane.look(now, now_ns), lane.news) for lane in self._lanes.values()]
        self._rate.note(now, sum(ended for ended, _figures in news))
        self._minute.note(now, sum(figures for _ended, figures in news))
        self._last = self._snapshot(self._told, now, now_ns)
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
        self._told, self._told_at = told, now
        names = [lane["name"] for lane in told["lanes"]]
        for name in self._lanes.keys() - set(names):
            self._lanes.pop(name).close()
        self._lanes = {name: self._lanes.get(name) or LaneWatch(name) for name in names}
        for lane in told["lanes"]:
            self._lanes[lane["name"]].tell(lane, place, now, is_new=is_other and told["up_s"] > YOUNG_S)
        self._flow.attach(Path(told["ack"]), Path(told["failures"]))
        self._flow.tell(told["claims"])

    def _let_go(self) -> None:
        """Unmap all files: what nobody else holds is to be given back."""
        for lane in self._lanes.values():
            lane.close()
        self._flow.close()
        self._jobs = {}

    def _without_farm(self, now: float) -> Snapshot:
        """Say that it is starting, or gone, with what was last known of it that is not stale."""
        self._let_go()
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

    def _unnamed(self, now_ns: int) -> list[Key]:
        """Look at the jobs that run; returns those whose task is not known yet."""
        unnamed: list[Key] = []
        known = self._talk.tasks
        for lane in self._lanes.values():
            for name, member in lane.members.items():
                number, runs = member.told["number"], []
                for slot in member.attached.longest(JOBS_MAX):
                    running_s = max(0, now_ns - slot.started_ns) / 1e9
                    task = known.get((number, slot.seq), "")
                    if not task and running_s >= NAMED_S:
                        unnamed.append((number, slot.seq))
                    said = member.attached.progress(slot)
                    fraction, text = (None, "") if said is None else (said.fraction, said.text)
                    runs.append(JobRun(job_id=slot.job_id, task=task, running_s=running_s, progress=fraction, text=text))
                self._jobs[name] = tuple(runs)
        if len(known) > 2 * len(self._jobs) * JOBS_MAX:
            known.clear()
        return unnamed

    def _snapshot(self, told: Told, now: float, now_ns: int) -> Snapshot:
        members = [(lane, member) for lane in self._lanes.values() for member in lane.members.values()]
        usages = self._processes.look([member.told["pid"] for _lane, member in members if member.told["pid"]], now)
        subworkers = tuple(self._subworker(lane, member, usages) for lane, member in members)
        queues = queue_views(_depths(told, now - self._told_at), frozenset(told["paused_queues"]))
        medians_s = {name: lane.minute.recent(now) for name, lane in self._lanes.items()}
        lanes = tuple(self._lane(lane, medians_s[lane.name], queues, told) for lane in self._lanes.values())
        shares = [member.attached.ring_shares() for _lane, member in members]
        flow = self._flow.look(
            now,
            job_rings=max((jobs for jobs, _results in shares), default=0.0),
            result_rings=max((results for _jobs, results in shares), default=0.0),
            uncommitted=sum(member.told["uncommitted"] for _lane, member in members),
        )
        age_s = now - self._told_at
        horizon = self._horizon(told, age_s)
        recent = self._minute.recent(now)
        hosts = told["hosts"]
        return Snapshot(
            at=_clock(),
            instance=told["instance"],
            host=told["host"],
            version=told["version"],
            state=_state(told),
            up_s=told["up_s"] + age_s,
            database=DatabaseView(
                name=told["database"],
                latency_s=told["latency_s"],
                away_s=None if told["away_s"] is None else told["away_s"] + age_s,
                horizon=horizon,
            ),
            rate=self._rate.per_second,
            queue_time=recent.queue_time,
            run_time=recent.run_time,
            failure_share=recent.failure_share,
            memory_bytes=told["memory_bytes"],
            lanes=lanes,
            subworkers=subworkers,
            flow=flow,
            failures=self._flow.failures(),
            hosts=() if hosts is None else tuple(host_views(hosts["hosts"], age_s=hosts["age_s"] + age_s, lease_s=told["lease_s"])),
            queues=queues,
            log_path=told.get("log_path", ""),
            notices=tuple(self._notices(told, lanes, subworkers, usages, horizon, age_s)),
        )

    def _lane(self, lane: LaneWatch, recent: Recent, queues: Sequence[QueueView], told: Told) -> LaneView:
        of = lane.told
        counted = told["depths"] is not None
        queued, oldest_s = waiting(queues, of["queues"])
        serving, run = lane.serving, lane.running
        buffered = int(of["buffered"])
        jobs = [job for name in lane.members for job in self._jobs.get(name, ())]
        slow = lane.running_longer(troubles.slow_s(recent.median_run_s)) if run >= lane.capacity else 0
        starved_by = troubles.starved(
            troubles.Slots(lane.capacity, run, slow, jobs), waiting=queued + buffered, median_s=recent.median_run_s
        )
        trouble = troubles.trouble_of(
            of["held_by"], missing=of["missing"], serving=len(serving) + lane.leaving, full=of["subworkers"], starved_by=starved_by
        )
        return LaneView(
            name=lane.name,
            queues=tuple(of["queues"]),
            capacity=lane.capacity,
            running=run,
            subworkers=of["subworkers"],
            serving=len(serving),
            stolen=lane.stolen,
            buffered=buffered,
            queued=queued if counted else None,
            oldest_s=oldest_s,
            rates=lane.rate.seconds,
            rate=lane.rate.per_second,
            queue_time=recent.queue_time,
            run_time=recent.run_time,
            failure_share=recent.failure_share,
            occupancy=lane.occupancy,
            paused="paused" in of["held_by"],
            held_by=tuple(of["held_by"]),
            trouble=trouble,
        )

    def _subworker(self, lane: LaneWatch, member: Member, usages: Mapping[int, Usage]) -> SubworkerView:
        of = member.told
        jobs = self._jobs.get(of["name"], ())
        usage = usages.get(of["pid"], Usage(0, None, 0.0))
        return SubworkerView(
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

    def _horizon(self, told: Told, age_s: float) -> Horizon | None:
        """Return what keeps the database from cleaning up, if it has done so for long enough to hurt."""
        rate = self._rate.per_second
        held = next(
            (
                one
                for one in told["horizon"]
                if one["age_s"] is not None and troubles.horizon_hurts(one["age_s"] + age_s, rate, self._horizon_s)
            ),
            None,
        )
        return None if held is None else Horizon(holder=printable(held["holder"]), age_s=held["age_s"] + age_s)

    def _notices(
        self,
        told: Told,
        lanes: Sequence[LaneView],
        subworkers: Sequence[SubworkerView],
        usages: Mapping[int, Usage],
        horizon: Horizon | None,
        age_s: float,
    ) -> Iterator[str]:
        """Say what an operator should read first, the worst first."""
        if age_s > SILENT_S:
            yield f"the supervisor has not answered for {age_s:.0f} s"
        if told["away_s"] is not None:
            yield "the database does not answer; results are kept, nothing new is claimed"
        if told["short_of_memory"]:
            yield f"the host is short of memory: {told['short_of_memory']}"
        yield from troubles.eaters(subworkers, {pid: usage.growth for pid, usage in usages.items()})
        yield from troubles.notices_of_lanes(lanes)
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
