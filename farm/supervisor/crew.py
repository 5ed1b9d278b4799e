"""The children that run jobs: births, deaths, burials, successors. Main thread only."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from farm.errors import FarmError
from farm.model import OutcomeKind
from farm.shm.frames import SPILLED, HeldJob
from farm.shm.generation import GenerationFile
from farm.shm.place import Place
from farm.shm.spill import Spill, owner_of
from farm.subworker.order import Descriptors, ForkOrder
from farm.supervisor.burial import how_it_ended, judge
from farm.supervisor.desk import Desk
from farm.supervisor.generation import Doom, Generation, Phase
from farm.supervisor.lane import Lane
from farm.supervisor.output import Output
from farm.supervisor.writer import Writer
from farm.supervisor.zygote import Zygote

NUMBERS_MAX = 0xFFFF
"""An ack names its generation in 16 bits; 0 is the desk."""
BIRTH_S_MAX = 5.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 5.0

log = logging.getLogger("farm")


@dataclass(slots=True)
class Post:
    """One place for a subworker in a lane. When one dies before it served, its successor waits: longer each time."""

    index: int
    lane: Lane
    generation: Generation | None = None
    pause_s: float = PAUSE_S_MIN
    fill_at: float = field(default=0.0)


class Crew:
    """Keeps every post filled; accounts for every job of every subworker that dies."""

    def __init__(
        self,
        *,
        lanes: Sequence[Lane],
        place: Place,
        runners: Sequence[tuple[str, dict[str, Any]]],
        spill: Spill,
        spill_directory: str,
        spill_bytes_max: int,
        supervisor_fd: int,
        writer_fd: int,
        desk: Desk,
        admit: Callable[[Generation], None],
        watch_output: Callable[[Output], None],
        unwatch_output: Callable[[Output], None],
    ) -> None:
        self.lanes = lanes
        self.host_id = 0
        self.closing = False
        """Set when no successors are to be made."""
        self._place = place
        self._runners = tuple(runners)
        self._spill = spill
        self._spill_directory = spill_directory
        self._spill_bytes_max = spill_bytes_max
        self._supervisor_fd = supervisor_fd
        self._writer_fd = writer_fd
        self._desk = desk
        self._admit = admit
        self._watch_output = watch_output
        self._unwatch_output = unwatch_output
        indexes = itertools.count()
        self.posts = [Post(next(indexes), lane) for lane in lanes for _ in range(lane.config.subworkers)]
        self.by_number: dict[int, Generation] = {}
        self.setup_failures = 0
        """How often a subworker ended because its runners could not be set up."""
        self._outputs: dict[str, Output] = {}
        self._numbers = itertools.cycle(range(1, NUMBERS_MAX + 1))
        self._born = itertools.count(1)
        self._early_deaths: dict[int, int] = {}
        """Exit statuses of children that were reaped before their birth was told."""

    @property
    def generations(self) -> list[Generation]:
        """All that are not buried."""
        return list(self.by_number.values())

    def fill_posts(self, zygote: Zygote, writer: Writer, now: float) -> float:
        """Have a subworker forked for every empty post whose time has come; returns the seconds until the next one."""
        wait_s = float("inf")
        for post in self.posts:
            if self.closing or post.generation is not None:
                continue
            if now >= post.fill_at:
                try:
                    self._fill(post, zygote, writer)
                    continue
                except (FarmError, OSError) as error:
                    log.error("lane %s is a subworker short: %s; next try in %.1f s", post.lane.name, error, post.pause_s)
                    self._pause(post)
            wait_s = min(wait_s, max(0.0, post.fill_at - now))
        return wait_s

    def hear_births(self, zygote: Zygote) -> None:
        """Learn the pids of those that were forked."""
        births = zygote.births()
        by_name = {generation.name: generation for generation in self.generations}
        for birth in births:
            generation = by_name.get(birth.name)
            if generation is None:
                continue
            generation.pid = birth.pid
            if birth.pid in self._early_deaths:
                self._note_death(generation, self._early_deaths.pop(birth.pid))
            elif generation.phase is Phase.DOOMED:
                generation.kill(None)
        if births:
            self._early_deaths.clear()

    def note_ready(self) -> bool:
        """Let those serve whose runners are set up, True if there are any; kill those whose ring was found to be broken."""
        any_ready = False
        for generation in self.generations:
            if generation.phase is Phase.BORN and generation.ready:
                self._admit(generation)
                generation.phase = Phase.SERVING
                self._post(generation).pause_s = PAUSE_S_MIN
                any_ready = True
            elif generation.phase is Phase.SERVING and generation.file.broken:
                log.error("%s has overwritten its result ring: killed", generation.name)
                generation.kill(Doom(OutcomeKind.CRASHED, "its subworker's result ring was overwritten, so it was killed", 0))
        return any_ready

    def note_death(self, pid: int, status: int) -> bool:
        """Take in that a child was reaped; False if it is none of ours, or not yet known."""
        for generation in self.generations:
            if generation.pid == pid:
                self._note_death(generation, status)
                return True
        self._early_deaths[pid] = status
        return False

    def give_up_unborn(self, now: float, *, all_of_them: bool = False) -> None:
        """Bury those that were never born: their zygote died, or did not answer in time."""
        for generation in self.generations:
            unborn = generation.phase in (Phase.BORN, Phase.DOOMED) and not generation.pid
            if unborn and (all_of_them or now - generation.born_at > BIRTH_S_MAX):
                self._note_death(generation, 0)

    def settle(self, number: int, sequences: Sequence[int]) -> list[bytes]:
        """Take in acks of one generation: those jobs are committed. Returns the names of spill files that can go."""
        generation = self.by_number.get(number)
        return [] if generation is None else [job[-1] for job in generation.settle(sequences)]

    def consumed(self) -> list[Generation]:
        """Return the dead whose rings are consumed: when the acks that are there now have been taken, they can be buried."""
        return [generation for generation in self.generations if generation.phase is Phase.DEAD and generation.consumed]

    def bury(self, consumed: Sequence[Generation], writer: Writer) -> None:
        """Account for the jobs of the dead, when the acks are in that came before they were consumed."""
        for generation in consumed:
            if self._desk.backlog:
                # Its file goes with the burial, and is the only other witness of what it had started: first there must be room for that.
                break
            lane = self._lane(generation)
            estate = judge(generation)
            if generation.host_id == self.host_id:
                lane.take_back(estate.back)
                self._desk.push(estate.outcomes)
                self.drop_arguments(estate.over)
            else:
                self.drop_arguments(estate.back + estate.over)
            self._forget(generation, lane, writer)

    def finish_recalls(self) -> bool:
        """Take back what was recalled from those that have answered, and let them go on; True if anybody has. Not while closing."""
        answered = [lane.finish_recalls() for lane in self.lanes]
        return any(answered)

    def abandon(self) -> None:
        """Kill everybody and drop what is held: the host was retired, and its jobs are somebody else's now."""
        for lane in self.lanes:
            self.drop_arguments(lane.held)
            lane.held.clear()
        for generation in self.generations:
            generation.kill(None)

    def drop_arguments(self, jobs: Iterable[HeldJob]) -> None:
        """Remove the spilled arguments of jobs that will not be handed out again."""
        for job in jobs:
            if job[0] & SPILLED:
                self._spill.remove(job[-1])

    def in_flight(self) -> int:
        """Return how many claimed jobs have no committed outcome yet, as far as the main thread knows."""
        handed = sum(len(generation.handed) for generation in self.by_number.values())
        return handed + sum(len(lane.held) + lane.claimed - lane.arrived for lane in self.lanes)

    def attach_all(self, writer: Writer) -> None:
        """Tell a new writer of every ring that there is."""
        for generation in self.generations:
            self._attach(generation, writer)

    def close(self) -> None:
        """Close the pipes of those that are left."""
        for output in self._outputs.values():
            self._unwatch_output(output)
            output.close()
        self._outputs.clear()

    def _fill(self, post: Post, zygote: Zygote, writer: Writer) -> None:
        path = self._place.generation(post.index, next(self._born))
        name = path.name
        number = next(number for number in self._numbers if number not in self.by_number)
        lane = post.lane
        with ExitStack() as undo:
            wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.callback(os.close, wake_fd)
            output_end, output = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, output_end)
            undo.callback(os.close, output)
            file = GenerationFile.create(path, slots=lane.config.concurrency, host_id=self.host_id)
            undo.pop_all()
        generation = Generation(name=name, number=number, lane=lane.name, host_id=self.host_id, file=file, wake_fd=wake_fd)
        order = ForkOrder(
            name=name,
            path=str(file.path),
            lane=lane.name,
            concurrency=lane.config.concurrency,
            memory_bytes=lane.config.memory_bytes,
            keep_result=lane.config.keep_result,
            runners=self._runners,
            env={},
            spill_directory=self._spill_directory,
            spill_owner=owner_of(path),
            spill_bytes_max=self._spill_bytes_max,
            supervisor_pid=os.getpid(),
        )
        descriptors = Descriptors(
            wake=wake_fd, writer=self._writer_fd, supervisor=self._supervisor_fd, output=output, output_end=output_end
        )
        self._outputs[name] = Output(f"w{post.index} ({lane.name})", output_end)
        self._watch_output(self._outputs[name])
        self.by_number[number] = generation
        post.generation = generation
        lane.add(generation)
        self._attach(generation, writer)
        try:
            zygote.order(order, descriptors)
        except OSError:
            self._note_death(generation, 0)
        finally:
            os.close(output)

    def _attach(self, generation: Generation, writer: Writer) -> None:
        writer.attach(
            name=generation.name, number=generation.number, path=str(generation.file.path), of_subworker=True, wake_fd=generation.wake_fd
        )

    def _note_death(self, generation: Generation, status: int) -> None:
        served = generation.ready
        setup_failed = generation.setup_failed
        expected = generation.phase is Phase.DOOMED
        idle = not generation.running()
        generation.die(status)
        post = self._post(generation)
        post.generation = None
        if not served and not expected:
            self.setup_failures += setup_failed
            why = "its runners could not be set up; see its output" if setup_failed else "it ended before it was ready"
            log.error("%s (lane %s): %s; next try in %.1f s", generation.name, generation.lane, why, post.pause_s)
            self._pause(post)
        elif not expected and idle:
            # Of one that ran something its burial tells.
            log.warning("%s (%s), while it ran nothing: %s", generation.post, generation.lane, how_it_ended(status))

    def _pause(self, post: Post) -> None:
        post.fill_at = time.monotonic() + post.pause_s
        post.pause_s = min(post.pause_s * 2, PAUSE_S_MAX)

    def _forget(self, generation: Generation, lane: Lane, writer: Writer) -> None:
        lane.remove(generation)
        generation.phase = Phase.BURIED
        del self.by_number[generation.number]
        output = self._outputs.pop(generation.name)
        self._unwatch_output(output)
        output.close()
        writer.detach(generation.name)
        self._spill.remove_of_owner(owner_of(generation.file.path))
        generation.close()

    def _post(self, generation: Generation) -> Post:
        return next(post for post in self.posts if post.generation is generation)

    def _lane(self, generation: Generation) -> Lane:
        return next(lane for lane in self.lanes if lane.name == generation.lane)
