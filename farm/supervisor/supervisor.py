"""The supervisor's main thread: one loop from arrivals to rings, from acks to demand, from deaths to burials, until the drain is done."""

from __future__ import annotations

import logging
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from farm.config.model import Host
from farm.errors import FarmError
from farm.model import HostRequest, Outcome
from farm.shm.frames import HeldJob
from farm.shm.spill import Spill
from farm.supervisor.claims.claimer import Arrival, Claimer
from farm.supervisor.claims.packing import Packer
from farm.supervisor.control.commands import Commands
from farm.supervisor.control.control import Control
from farm.supervisor.control.postbox import Postbox
from farm.supervisor.control.reload import Reloader
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk, released
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.crew.recycling import Recycling
from farm.supervisor.crew.rounds import Rounds
from farm.supervisor.drain import Drain
from farm.supervisor.engine.loop import Loop
from farm.supervisor.engine.threads import PartThread
from farm.supervisor.lanes.handover import Handover
from farm.supervisor.lanes.lane import Lane, leases_held
from farm.supervisor.lanes.origins import Origins
from farm.supervisor.lanes.takeback import TakeBack
from farm.supervisor.limits.cancel import Cancels, Unwanted
from farm.supervisor.limits.deadlines import Deadlines
from farm.supervisor.limits.memory import MemoryWatch
from farm.supervisor.limits.pressure import Meter
from farm.supervisor.limits.throttle import Throttle
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.generation import Phase, signal_group
from farm.supervisor.processes.writer import DESK_NUMBER
from farm.supervisor.views.front import Front
from farm.supervisor.views.service import Service
from farm.supervisor.views.snapshot import lane_snapshot, running
from farm.units import counted

SLEEP_S_MAX = 1.0
ACKS_S_MAX = 0.03
"""Acks are waited for only when nothing else wakes the supervisor sooner: they free memory, and nobody waits for that."""
SETUP_TRIES = 4
"""Of each subworker, before any has served: what cannot be set up at the start is a mistake in the configuration, or of the machine."""
LEAVE_S_MAX = 30.0
"""What leaving may take beside the time that running jobs have: the last commits, and the ends of processes and threads."""
LOOK_S = 0.02
"""How often to look whether the ring of a dead subworker is consumed, and with --burst whether the last look found nothing."""

log = logging.getLogger("farm")


@dataclass(frozen=True, slots=True)
class Retired:
    """News from the heartbeat: the host row was retired by somebody, a new one is registered."""

    host_id: int


class Supervisor:
    """Runs until told to drain and drained. Everything it needs is made by boot.py."""

    def __init__(
        self,
        *,
        host: Host,
        drain_timeout_s: float,
        loop: Loop,
        mainstays: Mainstays,
        crew: Crew,
        desk: Desk,
        spill: Spill,
        inbox: queue.SimpleQueue[Arrival | Retired | Unwanted | HostRequest],
        packer: Packer,
        claimer: Claimer,
        claims: PartThread,
        service: Service,
        burst: bool,
    ) -> None:
        self._drain_timeout_s = drain_timeout_s
        self._loop = loop
        self._mainstays = mainstays
        self._crew = crew
        self._desk = desk
        self._spill = spill
        self._inbox = inbox
        self._packer = packer
        self._unpacked: Arrival | None = None
        self._packed_to = 0
        """The first position of the unpacked arrival that is still to be packed."""
        self._claimer = claimer
        self._claims = claims
        self._service = service
        self._burst = burst
        self._rounds = Rounds(crew)
        self._deadlines = Deadlines(crew)
        self._cancels = Cancels(crew=crew, desk=desk)
        self._memory = MemoryWatch(crew)
        self._throttle = Throttle(lanes=lambda: crew.lanes, host=host, meter=Meter())
        self.origins = Origins(in_use=lambda: leases_held(crew.lanes))
        self.handover = Handover(crew.lanes, origins=self.origins, give_back=self._give_back)
        self.take_back = TakeBack(crew.lanes, self.handover)
        self._recycling = Recycling(crew)
        self.front: Front | None = None
        """The screen on our terminal, if there is one."""
        self._reloader: Reloader | None = None
        self._control: Control | None = None
        self._commands: Commands | None = None
        self._postbox: Postbox | None = None
        self._drain: Drain | None = None
        self._quiet_since: float | None = None
        self._served = False
        self.gave_up = False
        """True when it drains because it could not go on, not because it was told to."""
        self.turned_at = time.monotonic()
        """When the loop turned last."""
        self.settled = 0
        """Jobs whose outcome is committed, as told by acks."""
        self.refused = 0
        """Jobs whose task may not run here: they failed without having been handed out."""

    def adopt(self, lanes: Sequence[Lane], *, host: Host, drain_timeout_s: float) -> None:
        """Go by another configuration, with these lanes; those that leave are still among the crew's."""
        self._throttle.heed(host)
        self._drain_timeout_s = drain_timeout_s
        self.handover.lanes_changed(self._crew.lanes)
        self.take_back.set_lanes(lanes)

    def obey(self, commands: Commands, *, reloader: Reloader, control: Control, postbox: Postbox) -> None:
        """Do from now on what comes through the control socket and the database."""
        self._commands, self._control, self._postbox = commands, control, postbox
        self._reloader = reloader
        control.serve(commands.perform)
        self._loop.watch(control.fd, control.hear)

    def run(self) -> int:
        """Work until drained; returns the number of jobs whose outcome could not be committed."""
        wait_s = 0.0
        while True:
            for number in self._loop.wait(wait_s if wait_s <= ACKS_S_MAX or self._mainstays.writer.arm() else 0.0):
                self._obey(number)
            self._mainstays.writer.disarm()
            now = time.monotonic()
            wait_s = min(self.step(now), SLEEP_S_MAX)
            if self._drain is not None:
                if self._drain.done and self._claimer.idle and self._unpacked is None and self._inbox.empty():
                    return 0
                if self._drain.given_up(now):
                    return self._drain.uncommitted()

    @property
    def draining(self) -> bool:
        """True from when it was told to leave."""
        return self._drain is not None

    @property
    def served(self) -> bool:
        """True once a lane has been ready."""
        return self._served

    def status(self) -> str:
        """Say in one line what it does now."""
        if not self._served:
            return "starting"
        lanes, busy = len(self._crew.lanes), running(self._crew.lanes)
        doing = "draining" if self._drain is not None else counted(lanes, "lane")
        return f"{doing}, {counted(busy, 'job')} running, {counted(self.settled, 'outcome')} committed"

    def summary(self) -> str:
        """Say what came of the jobs, in words."""
        parts = [f"{counted(self.settled, 'outcome')} committed"]
        if self.refused:
            parts.append(f"{counted(self.refused, 'job')} refused")
        if self._drain is not None and self._drain.stopped:
            parts.append(f"{counted(self._drain.stopped, 'running job')} stopped")
        if self._drain is not None and self._drain.released:
            parts.append(f"{self._drain.released:,} given back unstarted")
        if dropped := self._mainstays.dropped:
            parts.append(f"{dropped:,} dropped by the fence")
        return ", ".join(parts)

    def step(self, now: float) -> float:
        """Do all that can be done now; returns the seconds until the next look."""
        self.turned_at = now
        # Work first: whoever has just enqueued a job is waiting for it.
        self._take_arrivals()
        if self._drain is None:
            self._dispatch(now)
        changed = self._crew.note_ready()
        self._rounds.step(now)
        self._crew.give_up_unborn(now)
        dying = any(generation.phase in (Phase.DEAD, Phase.DOOMED) for generation in self._crew.astir)
        # In this order: the writer pushes acks before it moves a tail, so those of a ring that was consumed before can be taken now.
        # Looked at afterwards, a job whose ack has just come would be taken for one that never started, and run again.
        consumed = self._crew.consumed()
        self._take_acks()
        self._crew.bury(consumed, self._mainstays.writer)
        if consumed and self._reloader is not None:
            self._reloader.note_burials()
        if self._drain is None:
            changed = self._crew.finish_recalls() or changed or bool(consumed) or any(lane.loners.any for lane in self._crew.lanes)
            if changed:
                self.handover.sweep()
                # There are jobs to hand out again, or somebody new to have them.
                self._dispatch(now)
        self._desk.step()
        self._mainstays.step()
        zygote, writer = self._mainstays.zygote, self._mainstays.writer
        recycle_s = self._recycling.step(now) if self._drain is None else SLEEP_S_MAX
        # Posts last: those who were just told to end have successors at once.
        wait_s = min(recycle_s, self._look_at_memory(now), self._deadlines.step(), self._crew.fill_posts(zygote, writer, now))
        if self._drain is None:
            wait_s = min(wait_s, self.handover.step(now), self.take_back.step(now))
        self._tell_first_ready()
        if self._control is not None:
            wait_s = min(wait_s, self._control.step(now))
        if self._drain is not None:
            writer.drain()
            wait_s = min(wait_s, self._drain.step(now))
        elif self._burst:
            wait_s = min(wait_s, self._look_for_end(now))
        wait_s = min(wait_s, self._service.step(now, self.status))
        self._crew.let_rest()
        return min(wait_s, LOOK_S) if dying or self._unpacked is not None else wait_s

    def _look_at_memory(self, now: float) -> float:
        """End what takes more memory than it may, and claim nothing more while the host is short of it."""
        wait_s = self._memory.step(now)
        wait_s = min(wait_s, self._throttle.step(now, busy=wait_s < float("inf")))
        if self._throttle.missing and (taken_bytes := self._memory.relieve(now)):
            self._throttle.owe(taken_bytes, now)
        return wait_s

    def _dispatch(self, now: float) -> None:
        for lane in self._crew.lanes:
            lane.dispatch(now)
            if self._claimer.knows_work(lane) and lane.wants_more():
                self._claims.wake()

    def begin_drain(self) -> None:
        """Stop claiming and leave when all is done; called again, hurry."""
        now = time.monotonic()
        if self._drain is not None:
            log.info("hurrying: running jobs are ended now", extra=event(Event.HURRIED))
            self._drain.hurry(now)
            return
        left_s = self._drain_timeout_s
        log.info("draining: running jobs may end within %g s", left_s, extra=event(Event.DRAINING, left_s=left_s))
        self._claimer.closed = True
        self._drain = Drain(crew=self._crew, desk=self._desk, deadline=now + self._drain_timeout_s)
        self._service.tell_stopping(self.status(), self._drain_timeout_s + LEAVE_S_MAX)

    def drain(self, hurry: bool) -> tuple[float, list[str]]:
        """Leave when all is done, or hurry; asked again, go on with it. Returns the seconds that running jobs have, and that in words."""
        begun = self._drain is not None
        if not begun:
            self.begin_drain()
        if hurry:
            self.begin_drain()
            return 0.0, ["running jobs are ended now"]
        assert self._drain is not None
        left_s = self._drain.left_s(time.monotonic())
        return left_s, [f"{'draining already' if begun else 'draining'}: running jobs may end within {left_s:.0f} s"]

    def snapshot(self) -> dict[str, Any]:
        """Return the farm as it stands, as data."""
        return {
            "pid": os.getpid(),
            "host_id": self._crew.host_id,
            **self.state(),
            "running": running(self._crew.lanes),
            "settled": self.settled,
            "refused": self.refused,
            "lanes": [lane_snapshot(lane) for lane in self._crew.lanes],
        }

    def state(self) -> dict[str, Any]:
        """Return where the farm is in its life, as data."""
        return {
            "served": self._served,
            "draining": self._drain is not None,
            "left_s": None if self._drain is None else self._drain.left_s(time.monotonic()),
        }

    def short_of_memory(self) -> str:
        """Say in words how short of memory the host is, "" if it is not."""
        return self._throttle.why

    def _obey(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap_children()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self.begin_drain()
        elif number == signal.SIGHUP and self.front is not None and self.front.note_hangup(time.monotonic()):
            pass
        elif number == signal.SIGHUP and self._reloader is not None:
            # Why it cannot be done stands in the log; the old configuration goes on.
            with suppress(FarmError):
                self._reloader.reload()

    def _take_arrivals(self) -> None:
        """Take in what the threads have sent, in order. What cannot be packed yet of a claim, for want of room to spill, waits first."""
        while self._unpacked is None or self._unpack(self._unpacked):
            try:
                news = self._inbox.get_nowait()
            except queue.Empty:
                self._unpacked = None
                return
            if isinstance(news, Retired):
                self._begin_as(news.host_id)
                self._unpacked = None
            elif isinstance(news, Unwanted):
                self._cancels.act(news.requests, draining=self._drain is not None)
                self._unpacked = None
            elif isinstance(news, HostRequest):
                if self._commands is not None and self._postbox is not None:
                    self._commands.answer(news, self._postbox)
                self._unpacked = None
            else:
                self._unpacked = news

    def _unpack(self, arrival: Arrival) -> bool:
        first, claimed = self._packed_to, len(arrival.claim.job_ids)
        self._packed_to = 0
        self.origins.note(arrival.claim.lease_id, arrival.origin)
        if arrival.host_id != self._crew.host_id:
            # Claimed just before our host row was retired: they are somebody else's now, too.
            arrival.lane.arrive(claimed - first, [])
            return True
        # Claimed before it was paused, or before the lanes have changed: it goes back.
        unwanted = self.handover.is_unwanted(arrival.lane, arrival.origin)
        to_release = self._drain is not None or unwanted
        packed = self._packer.pack(arrival.claim, arrival.rows, arrival.runner, first=first, to_release=to_release)
        if unwanted:
            arrival.lane.arrive(packed.end - first, [])
            self._give_back(packed.jobs)
        else:
            arrival.lane.arrive(packed.end - first, packed.jobs, some_lost=arrival.claim.losts is not None)
        if packed.refused:
            self._refuse(arrival, packed.refused)
        if packed.end < claimed:
            self._packed_to = packed.end
            return False
        return True

    def _refuse(self, arrival: Arrival, outcomes: Sequence[Outcome]) -> None:
        self.refused += len(outcomes)
        self._desk.push(outcomes, of=next((one.number for one in arrival.lane.generations), 0))
        tasks = {row[0]: row[1] for row in arrival.rows}
        self._crew.tallies.note(arrival.lane.name, ((tasks.get(outcome.job_id, b""), outcome) for outcome in outcomes))

    def _give_back(self, jobs: list[HeldJob]) -> None:
        """Release jobs that were claimed and not started."""
        self._desk.push(released(jobs))
        self._crew.drop_arguments(jobs)

    def _begin_as(self, host_id: int) -> None:
        """Our host row was retired: what we hold is somebody else's. Outcomes in the rings are still offered to the fence."""
        dead = event(Event.TAKEN_FOR_DEAD, host_id=host_id)
        log.error("this host was declared dead and its jobs were taken over; it begins again as host %d", host_id, extra=dead)
        self._crew.abandon()
        self._crew.host_id = self._desk.file.host_id = host_id

    def _take_acks(self) -> None:
        for number, sequences in self._mainstays.acks():
            if number == DESK_NUMBER:
                self._desk.settle(len(sequences))
            else:
                self.settled += len(sequences)
                for name in self._crew.settle(number, sequences):
                    self._spill.remove(name)

    def _reap_children(self) -> None:
        """Reap whoever has ended. The group of a dead subworker is killed first, while its pid cannot be another's."""
        if self.front is not None:
            self.front.note_child()
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            # Its birth was told before its end, and is heard while its number is still its own.
            self._mainstays.hear_births()
            signal_group(ended.si_pid, signal.SIGKILL)
            _pid, status, used = os.wait4(ended.si_pid, 0)
            if self.front is not None and self.front.note_death(ended.si_pid, status):
                continue
            if not self._mainstays.note_death(ended.si_pid, status):
                self._crew.note_death(ended.si_pid, status, used.ru_maxrss * 1024)
            elif self._mainstays.failed and not self.gave_up:
                self.gave_up = True
                self.begin_drain()
                self.begin_drain()

    def _tell_first_ready(self) -> None:
        if not self._served and any(lane.serving for lane in self._crew.lanes):
            self._served = True
            log.info("ready", extra=event(Event.READY))
            self._service.tell_ready(self.status())
            self._claims.wake()
        elif not self._served and self._drain is None and self._crew.setup_failures >= SETUP_TRIES:
            log.error("no subworker could be set up, in %d tries of each: the farm gives up", SETUP_TRIES, extra=event(Event.GAVE_UP))
            self.gave_up = True
            self.begin_drain()

    def _look_for_end(self, now: float) -> float:
        """With --burst: drain once nothing is in flight and a look that began after that has found nothing runnable."""
        if not self._served or self._crew.in_flight() or not self._desk.drained or not self._claimer.idle:
            self._quiet_since = None
            return SLEEP_S_MAX
        if self._quiet_since is None:
            self._quiet_since = now
            self._claimer.news = True
            self._claims.wake()
        elif self._claimer.nothing_left_since > self._quiet_since:
            log.info("nothing runnable is left")
            self.begin_drain()
            return 0.0
        return LOOK_S


def deliverer(inbox: queue.SimpleQueue[Arrival | Retired | Unwanted | HostRequest], loop: Loop) -> Callable[[Arrival], None]:
    """Return what the claim thread calls with a batch: the main thread is woken for it."""

    def deliver(arrival: Arrival) -> None:
        inbox.put(arrival)
        loop.wake()

    return deliver
