"""The children that run jobs: births, deaths, burials, successors. Main thread only."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from farm.errors import FarmError
from farm.failpoints import passing
from farm.model import OutcomeKind
from farm.shm.frames import SPILLED, HeldJob
from farm.shm.generation import GenerationFile
from farm.shm.place import Place
from farm.shm.spill import Spill, owner_of
from farm.subworker.order import Descriptors, ForkOrder
from farm.supervisor.burial import exhausted, how_it_ended, judge
from farm.supervisor.desk import Desk
from farm.supervisor.footprint import KernelKills, held_bytes
from farm.supervisor.generation import ALL_THAT_RUN, NONE_OF_THEM, Doom, Generation, Phase, signal_group
from farm.supervisor.lane import Lane
from farm.supervisor.output import Output
from farm.supervisor.shortage import Shortage
from farm.supervisor.writer import Writer
from farm.supervisor.zygote import Zygote

NUMBERS_MAX = 0xFFFF
"""An ack names its generation in 16 bits; 0 is the desk."""
SPARE = "spare"
BIRTH_S_MAX = 5.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 5.0
DYING_MAX = 1
"""Of each lane so many subworkers that were told to end may still be there beside its full crew: memory is shared out for that."""
SPARE_PAUSE_S = 0.02
"""After a spare has taken a post another one is made, but first come the jobs."""
QUICK_S = 1.0
"""One that ends sooner without having started a job is not replaced at once: the next one may do the same."""

log = logging.getLogger("farm")


@dataclass(slots=True)
class Post:
    """One place for a subworker in a lane, or for a spare one. When one dies at once, its successor waits: longer each time."""

    index: int
    lane: Lane
    is_spare: bool = False
    generation: Generation | None = None
    pause_s: float = PAUSE_S_MIN
    fill_at: float = field(default=0.0)

    @property
    def serving(self) -> bool:
        return self.generation is not None and self.generation.phase is Phase.SERVING


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
        self._spares = {lane.name: Post(next(indexes), lane, is_spare=True) for lane in lanes}
        """One for each lane: born and set up, without a post and without jobs."""
        self._shortages = {lane.name: Shortage(lane.name, lane.config.subworkers) for lane in lanes}
        self.by_number: dict[int, Generation] = {}
        self.setup_failures = 0
        """How often a subworker ended because its runners could not be set up."""
        self._outputs: dict[str, Output] = {}
        self._numbers = itertools.cycle(range(1, NUMBERS_MAX + 1))
        self._born = itertools.count(1)
        self._kernel_kills = KernelKills()

    @property
    def generations(self) -> list[Generation]:
        """All that are not buried."""
        return list(self.by_number.values())

    def fill_posts(self, zygote: Zygote, writer: Writer, now: float) -> float:
        """Fill every empty post whose time has come, with the spare of its lane or else a new one, and have new spares forked.

        Returns the seconds until there is more to do; 0 if somebody new can be handed jobs.
        """
        if self.closing:
            return float("inf")
        wait_s = float("inf")
        for post in self.posts:
            if post.generation is not None and post.generation.phase is Phase.DOOMED:
                self._vacate(post, post.generation)
            if post.generation is None:
                if now >= post.fill_at and self._seat_spare(post, now):
                    wait_s = 0.0
                else:
                    wait_s = min(wait_s, self._fill_in_time(post, zygote, writer, now))
        for spare in self._spares.values():
            if spare.generation is None and all(post.serving for post in self.posts if post.lane is spare.lane):
                wait_s = min(wait_s, self._fill_in_time(spare, zygote, writer, now))
        return wait_s

    def _vacate(self, post: Post, doomed: Generation) -> None:
        """Let a successor have the post of one that was told to end and is not gone yet. What it cannot start any more is for others."""
        holders = [held.generation for held in self.posts]
        if sum(other.phase is Phase.DOOMED and other not in holders for other in post.lane.generations) >= DYING_MAX:
            return
        post.generation = None
        if doomed.recall_active and doomed.host_id == self.host_id:
            post.lane.take_back(doomed.recall_now())

    def _seat_spare(self, post: Post, now: float) -> bool:
        """Give an empty post to the spare of its lane; False if there is none that is ready."""
        spare = self._spares[post.lane.name]
        generation = spare.generation
        if generation is None or generation.phase is not Phase.BORN or not generation.ready:
            return False
        spare.generation, spare.pause_s, spare.fill_at = None, PAUSE_S_MIN, max(spare.fill_at, now + SPARE_PAUSE_S)
        post.generation = generation
        generation.take_post(post.index)
        self._outputs[generation.name].name = f"{generation.post} ({generation.lane})"
        post.lane.add(generation)
        self._begin(generation)
        return True

    def _fill_in_time(self, post: Post, zygote: Zygote, writer: Writer, now: float) -> float:
        """Have a subworker forked for a post when its time has come; returns the seconds until then."""
        if now >= post.fill_at:
            try:
                self._fill(post, zygote, writer)
                return float("inf")
            except (FarmError, OSError) as error:
                self._note_missing(post, str(error))
        return max(0.0, post.fill_at - now)

    def hear_births(self, zygote: Zygote) -> None:
        """Learn the pids of those that were forked, and of those that could not be."""
        births = zygote.births()
        by_name = {generation.name: generation for generation in self.generations} if births else {}
        for birth in births:
            # Its birth is told by a subworker itself, so it is heard before its death.
            generation = by_name.get(birth.name)
            if generation is None or generation.phase is Phase.DEAD:
                if birth.pid:
                    # Given up before it was born. Births are heard before any child is reaped, so this number is still that child's.
                    signal_group(birth.pid, signal.SIGKILL)
            elif birth.error:
                self._note_death(generation, 0, why=f"no process can be made ({birth.error})")
            else:
                generation.pid = birth.pid
                if generation.phase is Phase.DOOMED:
                    generation.kill(None)

    def note_ready(self) -> bool:
        """Let those serve whose runners are set up, True if there are any; kill those whose ring was found to be broken."""
        any_ready = False
        for generation in self.generations:
            if generation.phase is Phase.BORN and generation.ready and generation.file.post:
                self._begin(generation)
                any_ready = True
            elif generation.phase is Phase.SERVING and generation.file.broken:
                log.error("%s has overwritten its result ring: killed", generation.name)
                generation.kill(Doom(OutcomeKind.CRASHED, "its subworker's result ring was overwritten, so it was killed", ALL_THAT_RUN))
        return any_ready

    def note_death(self, pid: int, status: int, peak_bytes: int = 0) -> bool:
        """Take in that a child was reaped, with the largest size that it had; False if it is none of ours."""
        for generation in self.generations:
            if generation.pid == pid and generation.phase is not Phase.DEAD:
                generation.peak_bytes = peak_bytes
                if status == signal.SIGKILL and generation.doom is None:
                    generation.killed_by_kernel = self._kernel_kills.are_new(time.monotonic())
                self._note_death(generation, status)
                return True
        return False

    def give_up_unborn(self, now: float, *, all_of_them: bool = False) -> None:
        """Bury those that were never born: their zygote died, or did not answer in time."""
        for generation in self.generations:
            unborn = generation.phase in (Phase.BORN, Phase.DOOMED) and not generation.pid
            if unborn and (all_of_them or now - generation.born_at > BIRTH_S_MAX):
                self._note_death(generation, 0, why="it was not born")

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
            passing("supervisor.before_bury")
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
            self.drop_arguments(lane.take_all())
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
        return handed + sum(lane.waiting + lane.claimed - lane.arrived for lane in self.lanes)

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
        generation.memory_bytes = lane.config.memory_bytes
        if post.is_spare:
            generation.post = SPARE
        else:
            file.post = post.index + 1
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
        self._outputs[name] = Output(f"{generation.post} ({lane.name})", output_end)
        self._watch_output(self._outputs[name])
        self.by_number[number] = generation
        post.generation = generation
        if not post.is_spare:
            lane.add(generation)
        self._attach(generation, writer)
        try:
            zygote.order(order, descriptors)
        except OSError as error:
            self._note_death(generation, 0, why=f"no process can be ordered ({error.strerror})")
        finally:
            os.close(output)

    def _attach(self, generation: Generation, writer: Writer) -> None:
        writer.attach(
            name=generation.name, number=generation.number, path=str(generation.file.path), of_subworker=True, wake_fd=generation.wake_fd
        )

    def _begin(self, generation: Generation) -> None:
        """Let a subworker serve that is set up and has a post."""
        self._admit(generation)
        generation.phase = Phase.SERVING
        generation.footprint_bytes = held_bytes(generation.pid) if generation.pid else 0
        lane = self._lane(generation)
        if all(post.serving for post in self.posts if post.lane is lane):
            self._shortages[lane.name].note_full()

    def _note_death(self, generation: Generation, status: int, why: str = "") -> None:
        post = self._post(generation)
        served = generation.ready and generation.post != SPARE
        was_doomed, idle = generation.phase is Phase.DOOMED, not generation.running()
        worked = generation.started > 0 or time.monotonic() - generation.born_at > QUICK_S
        generation.die(status)
        if generation.doom is None:
            generation.doom = exhausted(generation)
            if generation.doom is not None and generation.doom.seq == NONE_OF_THEM:
                self._lane(generation).loners.know(slot.job_id for slot in generation.running())
        if post is not None:
            post.generation = None
            if served and worked:
                post.pause_s = PAUSE_S_MIN
        if was_doomed:
            return
        if served:
            if idle:
                # Of one that ran something its burial tells.
                log.warning("%s (%s), while it ran nothing: %s", generation.post, generation.lane, how_it_ended(status))
            if post is not None and not worked:
                self._pause(post)
        elif post is not None:
            self.setup_failures += generation.setup_failed and not post.is_spare
            reason = "its runners cannot be set up; see its output" if generation.setup_failed else why or how_it_ended(status)
            self._note_missing(post, reason)

    def _note_missing(self, post: Post, why: str) -> None:
        """Try again later, and say so; a spare is missed only if its lane comes to need it."""
        lane = post.lane
        if post.is_spare:
            log.warning("lane %s has no spare subworker: %s; next try in %.1f s", lane.name, why, post.pause_s)
        else:
            present = sum(other.serving for other in self.posts if other.lane is lane)
            self._shortages[lane.name].note(present, why, time.monotonic())
        self._pause(post)

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

    def _post(self, generation: Generation) -> Post | None:
        """Return the post that one holds; none if it was told to end and a successor has it."""
        return next((post for post in (*self.posts, *self._spares.values()) if post.generation is generation), None)

    def _lane(self, generation: Generation) -> Lane:
        return next(lane for lane in self.lanes if lane.name == generation.lane)
