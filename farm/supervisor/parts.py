"""The supervisor's threads and their connections: claims, heartbeat, upkeep, LISTEN. Everything here may talk to the database."""

from __future__ import annotations

import platform
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import farm
from farm import linux
from farm.config.model import Config
from farm.errors import StoreUnavailable
from farm.model import CancelRequest, HostRequest
from farm.ports import Part
from farm.retry import Policies
from farm.shm.generation import JOB_RING_BYTES
from farm.shm.place import Place
from farm.shm.spill import Spill
from farm.store import schema
from farm.store.claims import ClaimStore
from farm.store.depths import DepthStore
from farm.store.hosts import HostStore
from farm.store.prunes import PruneStore
from farm.store.reads import ReadStore
from farm.store.requests import RequestStore
from farm.store.session import Session
from farm.store.upkeep import UpkeepStore
from farm.store.wakeups import Wakeups
from farm.supervisor.claims.claimer import Claimer
from farm.supervisor.claims.listener import Listener
from farm.supervisor.claims.packing import Packer
from farm.supervisor.claims.refusals import Refusals
from farm.supervisor.claims.timeouts import Timeouts
from farm.supervisor.control.pauses import Pauses
from farm.supervisor.control.postbox import Postbox
from farm.supervisor.counts.figures import Figures
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.engine.loop import Loop
from farm.supervisor.engine.threads import Nap, PartThread
from farm.supervisor.host.heartbeat import Heartbeat, less_monotonic
from farm.supervisor.host.hostrow import described
from farm.supervisor.host.lanestate import LaneStates
from farm.supervisor.host.takeover import take_over
from farm.supervisor.lanes.handover import Handover
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.limits.cancel import Unwanted
from farm.supervisor.processes.generation import Generation
from farm.supervisor.processes.writer import Writer
from farm.supervisor.supervisor import Retired, Supervisor, deliverer
from farm.supervisor.upkeep.retention import Pruner
from farm.supervisor.upkeep.upkeep import Upkeep
from farm.supervisor.views.depths import DepthWatch
from farm.supervisor.views.lookout import InTurn, Lookout
from farm.supervisor.views.panorama import Link
from farm.supervisor.views.service import Service

FRAME_SPARE_BYTES = 64
STOP_S = 6.0
PROMOTE_EVERY_S = 1.0


class Parts:
    """Makes the parts, gives each its session and its thread, and ends them."""

    def __init__(self, config: Config, dsn: str, stack: ExitStack, *, revive: Callable[[], None] | None) -> None:
        self._config = config
        self._dsn = dsn
        self._stack = stack
        self._revive = revive
        heartbeat = self._session("heartbeat", keeps_plans=True)
        self._hosts = HostStore(heartbeat)
        self._requests = RequestStore(heartbeat)
        upkeep = self._session("upkeep", keeps_plans=True)
        self._upkeep_store = UpkeepStore(upkeep, Policies(config.tasks))
        self._reaper = HostStore(upkeep)
        self._pruner = Pruner(store=PruneStore(upkeep), retention=config.retention)
        self._depth_store = DepthStore(upkeep)
        self._looks = _Looks(upkeep)
        self._claims_store = ClaimStore(self._session("claims", keeps_plans=True))
        self._host_id = 0
        self._registered_boot_ns = 0
        self._clock_us = 0
        self._instance = ""
        self._threads: list[PartThread] = []

    def admit(self, generation: Generation) -> None:
        """Let a subworker start jobs."""
        self._heartbeat.admit(generation)

    def prepare(self, *, embedded: bool) -> None:
        """See that the schema is ours: the embedded database is migrated, any other must be. Raises FarmError."""
        session = self._session("start")
        if embedded:
            schema.migrate(session)
        else:
            schema.require(session)
        session.close()

    def take_over(self, places: Sequence[Place], *, writer: Writer, spill: Spill, check: Callable[[], None]) -> None:
        """Settle what earlier runs on this state directory have left behind."""
        take_over(places, writer=writer, store=_Taking(self._hosts, self._upkeep_store), spill=spill, check=check)

    def register(self, instance: str) -> int:
        """Make our host row; the gate counts from before it was made."""
        self._instance = instance
        self._registered_boot_ns = linux.boottime_ns()
        self._host_id = self._hosts.register(
            instance=instance,
            name=platform.node(),
            **described(self._config),
            version=farm.__version__,
        )
        sent_ns = time.monotonic_ns()
        self._clock_us = less_monotonic(self._hosts.clock_us(), sent_ns)
        return self._host_id

    def make(
        self,
        *,
        lanes: Sequence[Lane],
        crew: Crew,
        desk: Desk,
        inbox: queue.SimpleQueue[Any],
        loop: Loop,
        burst: bool,
        witness: Witness,
        heartbeats_nap: Nap,
    ) -> None:
        """Make the parts and their threads."""
        config = self._config
        self._inbox, self._loop = inbox, loop
        self.postbox = Postbox(store=self._requests, deliver=self._deliver_request, wake=heartbeats_nap.wake)
        self._claimer = Claimer(
            store=self._claims_store,
            lanes=lanes,
            host_id=self._host_id,
            runner_names=list(config.runners),
            deliver=deliverer(inbox, loop),
            claim_max=config.claim_max,
            poll_s=config.poll_s,
            burst=burst,
        )
        self._heartbeat = Heartbeat(
            store=self._hosts,
            host_id=self._host_id,
            every_s=config.heartbeat_s,
            gate_s=config.gate_s,
            generations=lambda: crew.generations,
            retired=self._begin_again,
            registered_boot_ns=self._registered_boot_ns,
            clock_us=self._clock_us,
            revive=self._revive,
            retry_s_max=config.reconnect_pause_s,
            waiters=desk.note_waiters,
            unwanted=self._tell_unwanted,
            exchange=self.postbox.exchange,
            witness=witness,
            lanes=LaneStates(lanes=lambda: crew.lanes, shortage=crew.shortage).look,
            paused_queues=lambda: self._claimer.paused_queues,
        )
        heartbeat = PartThread("heartbeat", self._heartbeat, heartbeats_nap)
        listen = config.database.listen or (None if config.database.pooled else self._dsn)
        self._hears = listen is not None
        keeper = self._keeper = Upkeep(
            store=self._upkeep_store,
            retire=self._reaper.retire,
            lease_s=config.lease_s,
            reap_every_s=config.reap_every_s,
            promote_every_s=self._promote_every_s(),
            promoted=self._hear_of_work,
        )
        self.depths = DepthWatch(store=self._depth_store, wake=lambda: upkeep.wake())
        self.lookout = Lookout(store=self._looks, wake=lambda: upkeep.wake(), clock=time.monotonic)
        upkeep = PartThread("upkeep", InTurn(keeper, self.depths, self.lookout, self._pruner))

        def hear_of_cancel() -> None:
            heartbeat.wake()
            keeper.hear_of_cancel()
            upkeep.wake()

        listener: Listener | None = None
        if listen is not None:
            wakeups = Wakeups(self._session("listen", dsn=listen))
            self._stack.callback(wakeups.close)
            listener = Listener(
                wakeups=wakeups,
                claimer=self._claimer,
                later=upkeep.wake,
                waiters=desk.note_waiters,
                cancel=hear_of_cancel,
                request=heartbeat.wake,
            )
        self._claims = PartThread("claims", self._claimer, listener)
        self._threads = [self._claims, upkeep, heartbeat]

    def supervisor(
        self,
        *,
        loop: Loop,
        mainstays: Mainstays,
        crew: Crew,
        desk: Desk,
        spill: Spill,
        inbox: queue.SimpleQueue[Any],
        service: Service,
        burst: bool,
    ) -> Supervisor:
        """Make the main thread's part."""
        self._packer = Packer(
            runner_names=list(self._config.runners),
            refusals=Refusals(self._config.runners),
            timeouts=self._timeouts(),
            spill=spill,
            frame_bytes_max=JOB_RING_BYTES // 4 - FRAME_SPARE_BYTES,
        )
        return Supervisor(
            host=self._config.host,
            drain_timeout_s=self._config.drain_timeout_s,
            loop=loop,
            mainstays=mainstays,
            crew=crew,
            desk=desk,
            spill=spill,
            inbox=inbox,
            packer=self._packer,
            claimer=self._claimer,
            claims=self._claims,
            service=service,
            burst=burst,
        )

    def adopt(self, config: Config, lanes: Sequence[Lane]) -> None:
        """Go by another configuration, with these lanes. Called in the main thread: what other threads read is replaced as a whole."""
        self._config = config
        self._packer.adopt(runner_names=list(config.runners), refusals=Refusals(config.runners), timeouts=self._timeouts())
        self._upkeep_store.policies = Policies(config.tasks)
        self._keeper.promote_every_s = self._promote_every_s()
        self._pruner.adopt(config.retention)
        self._claimer.adopt(claim_max=config.claim_max, poll_s=config.poll_s)
        self._claimer.set_lanes(lanes)
        self._claims.wake()
        self._heartbeat.describe(described(config))

    def claim_for(self, runner_names: Sequence[str]) -> None:
        """Claim jobs of these runners from now on."""
        self._claimer.claim_for(runner_names)
        self._claims.wake()

    def figures(self, crew: Crew) -> Figures:
        """Return what the threads, and the main thread for the crew, have counted; after make()."""
        return Figures(claims=self._claimer.figures, beats=self._heartbeat.figures, upkeep=self._keeper.figures, restarts=crew.restarts)

    def steps(self) -> dict[str, float]:
        """Return for how many seconds each thread has been at its present step, 0 for one that sleeps. From any thread."""
        now = time.monotonic()
        return {thread.name: thread.at_it_s(now) for thread in self._threads}

    def thread_failures(self) -> dict[str, int]:
        """Return how many steps of each thread have failed. From any thread."""
        return {thread.name: thread.failures for thread in self._threads}

    def knows_work(self, lane: Lane) -> bool:
        """Tell whether there is work that this lane could claim. From any thread."""
        return self._claimer.knows_work(lane)

    def claims_fail(self) -> bool:
        """Tell whether the last claim, or look for work, has failed. From any thread."""
        return self._claims.fails

    def link(self) -> Link:
        """Return how the database does."""
        return Link(self._heartbeat.figures.last_s, self._heartbeat.figures.away_since)

    def pauses(self, directory: Path, *, crew: Crew, handover: Handover) -> Pauses:
        """Make what pauses lanes and queues, and remembers it in a state directory."""
        return Pauses(directory, crew=crew, handover=handover, claimer=self._claimer, wake=self._claims.wake)

    def start(self, late_lock: Part | None = None) -> None:
        """Start all threads; late_lock: a part that has to take the crew's lock yet."""
        if late_lock is not None:
            self._threads.append(PartThread("crew lock", late_lock))
        for thread in self._threads:
            thread.start()

    def stop(self, *, retire: bool) -> None:
        """End all threads; then, if nothing of ours is left in the database, retire our host row: no lease time to wait for."""
        self._heartbeat.closed = True
        for thread in self._threads:
            thread.stop(0.0)
        for thread in self._threads:
            thread.stop(STOP_S)
        # What was asked for last, as a rule to leave: the heartbeat's thread may have had no time for that any more.
        with suppress(StoreUnavailable):
            self.postbox.write_answers()
        if retire:
            # With the database gone at this very moment the row waits for its lease: there is nothing in it to hurry for.
            with suppress(StoreUnavailable):
                self._hosts.retire(self._host_id, None)

    def _timeouts(self) -> Timeouts:
        policies = Policies(self._config.tasks)
        return Timeouts(of_task=lambda task: policies.of(task).timeout_s)

    def _promote_every_s(self) -> float:
        """What is due earlier than everything else is announced: where announcements are heard, polling is only the safety net."""
        poll_s = self._config.poll_s
        return max(poll_s, PROMOTE_EVERY_S) if self._hears else poll_s

    def _begin_again(self, host_id: int) -> None:
        """Our row was retired, which is for ever: register a new one. Called in the heartbeat's thread, which owns that session."""
        new_id = self.register(self._instance)
        self._heartbeat.begin_as(new_id, self._registered_boot_ns)
        # Told before anything can be claimed for the new row: what arrives earlier is dropped with all that is held.
        self._inbox.put(Retired(new_id))
        self._claimer.begin_as(new_id)
        self._loop.wake()

    def _tell_unwanted(self, requests: Sequence[CancelRequest]) -> None:
        """Called in the heartbeat's thread."""
        self._inbox.put(Unwanted(requests))
        self._loop.wake()

    def _deliver_request(self, request: HostRequest) -> None:
        """Called in the heartbeat's thread."""
        self._inbox.put(request)
        self._loop.wake()

    def _hear_of_work(self) -> None:
        self._claimer.news = True
        self._claims.wake()

    def _session(self, part: str, *, dsn: str | None = None, keeps_plans: bool = False) -> Session:
        pooled = self._config.database.pooled
        session = Session(
            dsn or self._dsn, application_name=f"farm {part}", pooled=pooled, keeps_plans=keeps_plans, connect_s=self._config.connect_s
        )
        self._stack.callback(session.close)
        return session


class _Looks:
    """What the lookout asks of the store."""

    def __init__(self, session: Session) -> None:
        self.hosts = ReadStore(session).hosts
        self.horizon = UpkeepStore(session).horizon


class _Taking:
    """What a take-over asks of the store."""

    def __init__(self, hosts: HostStore, upkeep: UpkeepStore) -> None:
        self._hosts = hosts
        self._upkeep = upkeep

    def retire(self, host_id: int) -> bool:
        return self._hosts.retire(host_id, None)

    def reap(self, host_id: int, started: Sequence[int]) -> int:
        return self._upkeep.reap(host_id, started).jobs

    def leases_left(self, host_id: int) -> int:
        return self._upkeep.leases_left(host_id)
