"""From a configuration to a running farm, and out again: what is made in which order, and why in that order.

1. The lock: only one supervisor on a state directory. 2. The zygote and the writer: they import while we go on; the zygote is
executed before anything here has seen a password. 3. The database. 4. What a dead predecessor left behind. 5. Our own host row,
threads and subworkers. On the way out everything in reverse.
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farm import linux
from farm.collector import collect_rarely
from farm.config.model import Config
from farm.errors import FarmError
from farm.failpoints import passing
from farm.home import StateDir, cannot_use, farm_home
from farm.ports import Part
from farm.shm.generation import RESULT_RING_BYTES, RingFile
from farm.shm.place import Place, find_places, make_place
from farm.shm.spill import Spill
from farm.supervisor.control.control import Control
from farm.supervisor.control.reload import Reloader
from farm.supervisor.crew.children import Children
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.engine.loop import Loop
from farm.supervisor.engine.threads import EventNap
from farm.supervisor.host.announcement import announce_lanes
from farm.supervisor.host.room import check_machine, rings_bytes
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.log import logs
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.generation import Generation
from farm.supervisor.processes.groups import Groups
from farm.supervisor.processes.output import Output
from farm.supervisor.processes.spawn import inherit_nothing
from farm.supervisor.processes.strays import strays, told
from farm.supervisor.processes.writer import Writer
from farm.supervisor.views.monitor import open_monitor
from farm.supervisor.views.service import Service
from farm.units import counted

if TYPE_CHECKING:
    from farm.supervisor.control.commands import Commands
    from farm.supervisor.control.pauses import Pauses
    from farm.supervisor.parts import Parts
    from farm.supervisor.supervisor import Supervisor
    from farm.supervisor.views.front import Front
    from farm.supervisor.views.panorama import Panorama

WRITER_LEAVE_S = 5.0
SWITCH_S = 0.0005
"""The interpreter's threads take turns this often: at the usual 5 ms a claim would wait for the dispatch of another."""

log = logging.getLogger("farm")


def start(config: Config, *, load: Callable[[], Config] | None = None, burst: bool, log_format: str, tui: bool = False) -> int:
    """Run a farm until it is told to stop; returns the exit code. Raises FarmError, before anything has been claimed.

    load: reads the configuration again, for a reload. tui: put the screen in front, once the farm works.
    """
    linux.hide_memory()
    # Before anything is started, which inherits it: a job that is claimed passes through many hands, and each may be woken late.
    linux.ask_for_slices(linux.SLICE_NS)
    service = Service(os.environ, pid=os.getpid())
    inherit_nothing()
    log_lines = logs.set_up(log_format)
    sys.setswitchinterval(SWITCH_S)
    check_machine(config)
    with ExitStack() as stack:
        stack.callback(service.close)
        return Boot(config, stack, service, log_lines if tui else None).run(load=load, burst=burst)


@dataclass(frozen=True, slots=True)
class Answering:
    """A database that answers."""

    dsn: str
    label: str
    embedded: bool
    revive: Callable[[], None] | None = None
    """Brings the embedded server up again if it was killed together with its keeper."""


class Boot:
    """Makes the pieces, in order; the stack unmakes them, in reverse."""

    def __init__(self, config: Config, stack: ExitStack, service: Service, screen_logs: logs.Logs | None = None) -> None:
        """screen_logs: there is to be a screen in front, and this is where log lines go."""
        self._screen_logs = screen_logs
        self._config = config
        self._stack = stack
        self._service = service
        # First of all: a signal that comes from here on ends the farm in order.
        self._loop = Loop()
        stack.callback(self._loop.close)
        self._loop.catch_signals()
        home = farm_home()
        self._state = StateDir.create(home, config.host.name)
        stack.callback(self._state.close)
        self._state.lock_supervisor()
        self._home = home
        self._control = self._make_control()
        # Before the lock goes: whoever starts a farm here next makes a socket of its own in the same place.
        stack.callback(self._control.close, 2)
        # A port that is taken is found out before anything is started.
        self._monitor = open_monitor(config.metrics, stack)
        self._old_places = find_places(state_id=self._state.id, state_dir=self._state.path)
        self._place = self._make_place()
        stack.push(self._clean_up)
        self._groups = Groups(state_path=self._state.path, state_id=self._state.id, run=self._place.path.name, wanted=config.host.cgroup)
        stack.callback(self._groups.close)
        self._crew_lock = self._state.open_crew_lock()
        stack.callback(self._crew_lock.close)
        self._writer_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        stack.callback(os.close, self._writer_fd)
        self._log_end, self._log_fd = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, self._log_fd)
        self._output = Output("writer", self._log_end)
        stack.callback(self._output.close)
        self._spill = Spill(self._state.spill_path, owner=f"{self._place.path.name}.supervisor", bytes_max=config.spill_bytes_max // 2)
        """Takes arguments up to half of the bound: results, which come after them, must not wait for room that only they can make."""
        self._children = Children(
            place=self._place,
            spill_path=self._state.spill_path,
            supervisor_fd=self._loop.wake_fd,
            writer_fd=self._writer_fd,
            crew_lock_fd=self._crew_lock.fd,
            output_fd=self._log_fd,
        )
        self._answering: Answering | None = None
        self._working = False
        self._late_lock: Part | None = None

    def run(self, *, load: Callable[[], Config] | None, burst: bool) -> int:
        """Bring the farm up, let it work, bring it down. Returns the exit code."""
        self._loop.watch(self._log_end, lambda: self._output.step(time.monotonic()))
        # Before anybody is started, since this may move us.
        self._groups.open()
        zygote = self._children.make_zygote(self._config)
        writer = self._children.spawn_writer()
        # They import while an old crew has its time to finish. The lock that they inherit is ours to take yet.
        self._end_old_crew()
        self._groups.remove_old()
        self._answering = self._open_database()
        # After the embedded server has been started: it is to be nobody's child, and must not become ours.
        linux.adopt_orphans()
        linux.set_oom_score(linux.OOM_SCORE_OF_FARM)
        self._children.dsn = self._answering.dsn
        self._children.groups_home = "" if self._groups.home is None else str(self._groups.home)
        self._children.start_writer(writer, self._config)
        from farm.supervisor.parts import Parts

        desk = Desk(self._desk_file(), wake_writer=lambda: os.eventfd_write(self._writer_fd, 1), heartbeat_s=self._config.heartbeat_s)
        parts = Parts(self._config, self._answering.dsn, self._stack, revive=self._answering.revive)
        parts.prepare(embedded=self._answering.embedded)
        parts.take_over(self._old_places, writer=writer, spill=self._spill, check=self._check_alive(writer))
        nap = EventNap()
        witness = Witness(hurry=nap.wake, wake=self._loop.wake)
        lanes = [Lane(lane, claim_max=self._config.claim_max, witness=witness) for lane in self._config.lanes]
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        host_id = parts.register(self._state.instance)
        crew = self._make_crew(lanes, desk, admit=parts.admit)
        crew.host_id = desk.file.host_id = host_id
        parts.make(lanes=lanes, crew=crew, desk=desk, inbox=inbox, loop=self._loop, burst=burst, witness=witness, heartbeats_nap=nap)
        self._children.desk = desk
        self._children.attach_desk(writer)
        mainstays = Mainstays(config=self._config, loop=self._loop, children=self._children, crew=crew, zygote=zygote, writer=writer)
        supervisor = parts.supervisor(
            loop=self._loop, mainstays=mainstays, crew=crew, desk=desk, spill=self._spill, inbox=inbox, service=self._service, burst=burst
        )
        self._announce(host_id)
        pauses = parts.pauses(self._state.path, crew=crew, handover=supervisor.handover)
        pauses.restore()

        def adopt(config: Config, lanes: Sequence[Lane]) -> None:
            self._spill.bytes_max = config.spill_bytes_max // 2
            parts.adopt(config, lanes)
            supervisor.adopt(lanes, host=config.host, drain_timeout_s=config.drain_timeout_s)
            pauses.lanes_changed()

        reloader = Reloader(
            config=self._config,
            load=load,
            mainstays=mainstays,
            crew=crew,
            place=self._place,
            make_lane=lambda lane, claim_max: Lane(lane, claim_max=claim_max, witness=witness),
            adopt=adopt,
            begin=self._service.tell_reloading,
            end=lambda: self._service.tell_ready(supervisor.status()),
            claim_for=parts.claim_for,
        )
        self._obey(supervisor, parts, mainstays, crew, pauses, reloader)
        self._be_watched(supervisor, parts, mainstays, crew, desk)
        self._working = True
        supervisor.front = self._put_screen_in_front()
        collect_rarely()
        parts.start(self._late_lock)
        uncommitted = supervisor.run()
        if supervisor.front is not None:
            # What came of all is to be read where the farm was started.
            supervisor.front.close()
        code = self._leave(supervisor, mainstays, parts, crew, uncommitted)
        self._control.close(code)
        return code

    def _put_screen_in_front(self) -> Front | None:
        if self._screen_logs is None:
            return None
        from farm.supervisor.views.front import LOG_NAME, Front

        database = self._config.database
        front = Front(
            logs=self._screen_logs,
            log_path=self._state.path / LOG_NAME,
            instance=self._state.instance,
            database=None if database.dsn is None else {"dsn": database.dsn, "pooled": database.pooled},
        )
        self._stack.callback(front.close)
        front.start()
        return front

    def _desk_file(self) -> RingFile:
        return RingFile.create(self._place.desk, host_id=0, capacity=RESULT_RING_BYTES)

    def _make_place(self) -> Place:
        needed = rings_bytes(self._config)
        run = f"{time.clock_gettime_ns(time.CLOCK_REALTIME):020d}"
        place = make_place(state_id=self._state.id, run=run, bytes_needed=needed, state_dir=self._state.path)
        if place.warning:
            log.warning("%s", place.warning)
        return place

    def _make_control(self) -> Control:
        try:
            return Control(self._state.path)
        except OSError as error:
            raise cannot_use(self._state.path, error) from error

    def _obey(self, supervisor: Supervisor, parts: Parts, mainstays: Mainstays, crew: Crew, pauses: Pauses, reloader: Reloader) -> None:
        """Have what comes through the control socket and the database done."""
        panorama = self._make_panorama(supervisor, parts, mainstays, crew, pauses, reloader)
        commands = self._make_commands(supervisor, pauses, reloader, panorama)
        supervisor.obey(commands, reloader=reloader, control=self._control, postbox=parts.postbox)

    def _be_watched(self, supervisor: Supervisor, parts: Parts, mainstays: Mainstays, crew: Crew, desk: Desk) -> None:
        """Have those tell how this farm does whom anybody asks for that."""
        if self._monitor is None and not self._service.watched:
            return
        from farm.supervisor.telling import judge_of, watch_farm
        from farm.supervisor.vitals import Vitals

        vitals = Vitals(
            supervisor=supervisor,
            crew=crew,
            desk=desk,
            figures=parts.figures(crew),
            mainstays=mainstays,
            steps=parts.steps,
            knows_work=parts.knows_work,
            claims_fail=parts.claims_fail,
        )
        self._service.stuck = judge_of(vitals)
        if self._monitor is not None:
            about = {"farm": self._state.instance, "version": _version()}
            watch_farm(self._monitor, vitals, parts=parts, mainstays=mainstays, crew=crew, **about)

    def _make_panorama(
        self, supervisor: Supervisor, parts: Parts, mainstays: Mainstays, crew: Crew, pauses: Pauses, reloader: Reloader
    ) -> Panorama:
        from farm.supervisor.views.front import LOG_NAME
        from farm.supervisor.views.panorama import Panorama

        assert self._answering is not None
        return Panorama(
            crew=crew,
            status=lambda: {
                "host_id": crew.host_id,
                "config": reloader.config.path,
                "memory_bytes": reloader.config.host.memory_bytes,
                "paused_queues": sorted(pauses.paused.queues),
                **supervisor.state(),
            },
            link=parts.link,
            depths=parts.depths,
            lookout=parts.lookout,
            ack_path=lambda: mainstays.writer.ack_file.path,
            short_of_memory=supervisor.short_of_memory,
            claims=parts.figures(crew).claims,
            about={
                "instance": self._state.instance,
                "version": _version(),
                "place": str(self._place.path),
                "failures": str(self._place.failures),
                "lease_s": self._config.lease_s,
                "log_path": "" if self._screen_logs is None else str(self._state.path / LOG_NAME),
                "database": self._answering.label,
            },
        )

    def _make_commands(self, supervisor: Supervisor, pauses: Pauses, reloader: Reloader, panorama: Panorama) -> Commands:
        from farm.supervisor.control.commands import Commands

        return Commands(
            pauses=pauses,
            drain=supervisor.drain,
            reloader=reloader,
            snapshot=lambda: {
                "instance": self._state.instance,
                "version": _version(),
                "config": reloader.config.path,
                "paused": pauses.as_data(),
                "cgroup": self._groups.describe(),
                **supervisor.snapshot(),
            },
            config=reloader.as_data,
            screen=panorama.look,
            tasks=panorama.tasks,
        )

    def _clean_up(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        """Remove our rings if the start failed: nothing has been claimed, so nothing can be in them."""
        if kind is not None and not self._working:
            self._place.remove()

    def _end_old_crew(self) -> None:
        from farm.supervisor.host.takeover import LateLock, end_old_crew

        if not end_old_crew(self._crew_lock, self._old_places):
            # Its files are left alone: its jobs come back by the lease time, and the next start finds what is left.
            self._old_places = []
            self._late_lock = LateLock(self._crew_lock)

    def _open_database(self) -> Answering:
        database = self._config.database
        if database.dsn is not None:
            from farm.dsn import describe_dsn

            return Answering(database.dsn, describe_dsn(database.dsn), False)
        from farm.embedded import open_server

        server = self._stack.enter_context(open_server(self._home, log=lambda line: log.info("%s", line)))
        return Answering(server.dsn, f"embedded PostgreSQL {server.version}", True, server.revive)

    def _make_crew(self, lanes: list[Lane], desk: Desk, *, admit: Callable[[Generation], None]) -> Crew:
        return Crew(
            lanes=lanes,
            place=self._place,
            runners=list(self._config.runners.items()),
            spill=self._spill,
            spill_directory=str(self._state.spill_path),
            spill_bytes_max=self._config.spill_bytes_max,
            supervisor_fd=self._loop.wake_fd,
            writer_fd=self._writer_fd,
            desk=desk,
            groups=self._groups,
            admit=admit,
            watch_output=lambda output: self._loop.watch(output.fd, lambda: self._read_output(output)),
            unwatch_output=lambda output: self._loop.unwatch(output.fd),
        )

    def _read_output(self, output: Output) -> None:
        """Log what a subworker printed. A pipe at its end is readable for ever: watched on, it would keep the loop awake."""
        if not output.step(time.monotonic()):
            self._loop.unwatch(output.fd)

    def _check_alive(self, writer: Writer) -> Callable[[], None]:
        """Return what is called while waiting for a writer that may die: then there is nothing to wait for."""

        def check() -> None:
            self._output.step(time.monotonic())
            if os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise FarmError("the writer ended while it took over an earlier run; its words are above")

        return check

    def _announce(self, host_id: int) -> None:
        assert self._answering is not None
        facts = (_version(), self._state.instance, platform.node(), host_id, self._answering.label)
        names = ("version", "instance", "host", "host_id", "database")
        started = event(Event.STARTED, **dict(zip(names, facts, strict=True)))
        log.info("farm %s as %r on %s, host %d: %s", *facts, extra=started)
        announce_lanes(self._config)

    def _leave(self, supervisor: Supervisor, mainstays: Mainstays, parts: Any, crew: Crew, uncommitted: int) -> int:
        """Retire our host row, end the threads, the writer and the zygote. Rings are removed only if everything is committed."""
        passing("supervisor.before_leave")
        parts.stop(retire=uncommitted == 0)
        mainstays.leave()
        _wait_for(mainstays.writer.pid, WRITER_LEAVE_S)
        self._output.step(time.monotonic())
        ours = {mainstays.writer.pid, mainstays.zygote.pid, *(generation.pid for generation in crew.generations)}
        if found := strays(ours):
            log.warning("processes that jobs have left behind still run: %s", told(found))
        summary = supervisor.summary()
        mainstays.writer.close()
        crew.close()
        if uncommitted:
            text = "left with %s without a committed outcome: the next start here commits or releases them"
            log.error(text, counted(uncommitted, "job"), extra=event(Event.LEFT, uncommitted=uncommitted))
            return 1
        self._place.remove()
        self._spill.remove_of_run(self._place.path.name)
        log.info("left: %s", summary, extra=event(Event.LEFT, uncommitted=0))
        if supervisor.gave_up:
            return 1 if supervisor.served else 2
        return 0


def _wait_for(pid: int, wait_s: float) -> None:
    """Wait for a child to end by itself, then kill it."""
    deadline = time.monotonic() + wait_s
    try:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
                return
            time.sleep(0.002)
    except ChildProcessError:
        pass


def _version() -> str:
    from farm import __version__

    return __version__
