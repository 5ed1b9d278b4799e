"""The children that run jobs: births, deaths, burials, successors. Main thread only."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from farm.errors import FarmError
from farm.failpoints import passing
from farm.shm.frames import SPILLED, HeldJob, task_of
from farm.shm.place import Place
from farm.shm.spill import Spill, owner_of
from farm.supervisor.counts.figures import RestartFigures, reason_of
from farm.supervisor.counts.tallies import Tallies
from farm.supervisor.crew.births import SPARE, Births
from farm.supervisor.crew.bounds import bounds_of
from farm.supervisor.crew.burial import exhausted, how_it_ended, judge
from farm.supervisor.crew.desk import Desk, released
from farm.supervisor.crew.posts import PAUSE_S_MIN, LanePosts, Post
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.footprint import KernelKills, held_bytes
from farm.supervisor.processes.generation import NONE_OF_THEM, Generation, Phase, signal_group
from farm.supervisor.processes.groups import Groups
from farm.supervisor.processes.output import Output
from farm.supervisor.processes.roster import Roster
from farm.supervisor.processes.writer import Writer
from farm.supervisor.processes.zygote import Zygote

NUMBERS_MAX = 0xFFFF
"""An ack names its generation in 16 bits; 0 is the desk."""
BIRTH_S_MAX = 5.0
SETUP_S_MAX = 60.0
"""From its order until a subworker must be set up: what takes longer hangs."""
SPARE_PAUSE_S = 0.02
"""After a spare has taken a post another one is made, but first come the jobs."""
QUICK_S = 1.0
"""One that ends sooner without having started a job is not replaced at once: the next one may do the same."""
NEW_SETTINGS = "its lane's settings have changed"

log = logging.getLogger("farm")


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
        groups: Groups,
        admit: Callable[[Generation], None],
        watch_output: Callable[[Output], None],
        unwatch_output: Callable[[Output], None],
    ) -> None:
        self.host_id = 0
        self.closing = False
        """Set when no successors are to be made."""
        self.by_number: dict[int, Generation] = {}
        self._roster: Roster[Generation] = Roster()
        self.tallies = Tallies()
        self.births = Births(
            place=place,
            runners=runners,
            spill_directory=spill_directory,
            spill_bytes_max=spill_bytes_max,
            supervisor_fd=supervisor_fd,
            writer_fd=writer_fd,
            groups=groups,
        )
        self._groups = groups
        self._spill = spill
        self._desk = desk
        self._admit = admit
        self._watch_output = watch_output
        self._unwatch_output = unwatch_output
        self._indexes = itertools.count()
        self._posts = {lane.name: LanePosts(lane, self._indexes) for lane in lanes}
        self._outputs: dict[str, Output] = {}
        self._numbers = itertools.cycle(range(1, NUMBERS_MAX + 1))
        self._kernel_kills = KernelKills()
        self.restarts = RestartFigures()

    @property
    def lanes(self) -> list[Lane]:
        """Those of the configuration, and those that are to go and have somebody left."""
        return [posts.lane for posts in self._posts.values()]

    @property
    def posts(self) -> list[LanePosts]:
        """The posts of every lane."""
        return list(self._posts.values())

    @property
    def runners_known(self) -> int:
        """How many runners every subworker has that is not buried: of those that a reload has added, the older ones have none."""
        return min((generation.runners for generation in self.generations), default=len(self.births.runners))

    @property
    def setup_failures(self) -> int:
        """How often a subworker could not be set up, at the post where that happened least: nobody can ever be, if that is often."""
        return min((post.setup_failures for posts in self._posts.values() for post in posts.posts), default=0)

    def shortage(self, lane_name: str) -> str:
        """Say in one line why a lane has fewer subworkers than it should, or no spare one; "" if nobody is missing. Any thread may ask."""
        posts = self._posts.get(lane_name)
        return "" if posts is None else posts.shortage.why

    def add_lane(self, lane: Lane) -> None:
        """Have subworkers for one more lane, from the next fill_posts() on. Its name must be free: has_lane()."""
        assert lane.name not in self._posts
        # As a whole: other threads ask for shortages.
        self._posts = {**self._posts, lane.name: LanePosts(lane, self._indexes)}

    def has_lane(self, lane_name: str) -> bool:
        """Tell whether a lane has anybody, or should have: true after remove_lane() until the last of its subworkers is buried."""
        return lane_name in self._posts

    def remove_lane(self, lane_name: str) -> None:
        """Have a lane's subworkers end as soon as they run nothing; nobody comes after them.

        What they had not started waits in the lane again: whoever removes it gives that back, or to others, until has_lane() is false.
        """
        self._posts[lane_name].closed = True
        self.set_posts(lane_name, 0)
        self._drop_if_empty(lane_name)

    def keep_lane(self, lane_name: str) -> None:
        """Let a lane stay that was to go; set_posts() says with how many subworkers."""
        self._posts[lane_name].closed = False
        self._posts[lane_name].settled = False

    def set_posts(self, lane_name: str, subworkers: int) -> None:
        """Have so many subworkers in a lane. More are forked at the next fill_posts(); who is one too many, the least busy first, is
        handed nothing more and ends when it runs nothing. Their unstarted jobs wait in the lane again."""
        posts = self._posts[lane_name]
        for generation in posts.resize(subworkers):
            if generation.phase is Phase.SERVING:
                posts.lane.take_back(generation.leave())
            else:
                generation.kill(None)
        if posts.closed and posts.spare.generation is not None:
            posts.spare.generation.kill(None)

    def replace(self, lane_name: str, why: str = NEW_SETTINGS) -> None:
        """Have every subworker of a lane replaced by one that is born from now on, with the lane's configuration as it is now.

        One after the other, the successor always first, between two jobs: no job is ended for it, and the lane never stands still. It
        takes as long as jobs run; while no successor can be set up (see shortage()) the old ones go on. Returns at once.
        """
        posts = self._posts[lane_name]
        for post in posts.posts:
            if post.generation is not None:
                post.generation.stir()
                post.generation.replace_why = why
        # It has no jobs, and would be the successor.
        if posts.spare.generation is not None:
            posts.spare.generation.kill(None)

    @property
    def generations(self) -> list[Generation]:
        """All that are not buried."""
        return list(self.by_number.values())

    @property
    def astir(self) -> tuple[Generation, ...]:
        """Those of them that have anything to do, or come or go: the others serve, or are ready spares, and nothing comes of them."""
        return self._roster.standing.astir

    def let_rest(self) -> None:
        """Have those looked at seldom from now on that have nothing to do. At the end of a step: everybody has looked at them."""
        for generation in self.astir:
            if not generation.handed and generation.may_rest:
                self._posts[generation.lane].lane.let_rest(generation)

    def fill_posts(self, zygote: Zygote, writer: Writer, now: float) -> float:
        """Fill every empty post whose time has come, with the spare of its lane or else a new one, and have new spares forked.

        Returns the seconds until there is more to do; 0 if somebody new can be handed jobs.
        """
        if self.closing:
            return float("inf")
        wait_s = float("inf")
        for generation in self.astir:
            if generation.phase is not Phase.SERVING:
                self._posts[generation.lane].settled = False
        for posts in self._posts.values():
            if not posts.settled:
                wait_s = min(wait_s, self._fill_posts_of(posts, zygote, writer, now))
        return wait_s

    def _fill_posts_of(self, posts: LanePosts, zygote: Zygote, writer: Writer, now: float) -> float:
        wait_s = float("inf")
        for post in posts.posts:
            generation = post.generation
            if generation is not None and generation.phase is Phase.DOOMED and not generation.missed_why:
                self._vacate(posts, post, generation)
            if post.generation is None:
                if now >= post.fill_at and self.seat_spare(posts, post, now):
                    wait_s = 0.0
                else:
                    wait_s = min(wait_s, self._fill_in_time(post, zygote, writer, now))
        complete = posts.complete
        if posts.spare.generation is None and complete and not posts.closed:
            wait_s = min(wait_s, self._fill_in_time(posts.spare, zygote, writer, now))
        posts.settled = complete and (posts.closed or posts.spare.generation is not None)
        return wait_s

    def _vacate(self, posts: LanePosts, post: Post, doomed: Generation) -> None:
        """Let a successor have the post of one that was told to end and is not gone yet. What it cannot start any more is for others."""
        if posts.has_room:
            post.generation = None
            post.emptied_why = doomed.doom.message if doomed.doom is not None else ""
            if doomed.recall_active and doomed.host_id == self.host_id:
                posts.lane.take_back(doomed.recall_now())

    def seat_spare(self, posts: LanePosts, post: Post, now: float) -> bool:
        """Give a post to the spare of its lane, whoever had it; False if there is none that is ready."""
        generation, spare = posts.ready_spare, posts.spare
        if generation is None:
            return False
        spare.generation, spare.pause_s, spare.fill_at = None, PAUSE_S_MIN, max(spare.fill_at, now + SPARE_PAUSE_S)
        posts.settled = False
        post.fill(generation)
        generation.take_post(post.index)
        self._outputs[generation.name].name = f"{generation.post} ({generation.lane})"
        posts.lane.add(generation)
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
        """Let those serve whose runners are set up, True if there are any."""
        any_ready = False
        for generation in self.astir:
            if generation.phase is Phase.BORN and generation.ready and generation.file.post:
                self._begin(generation)
                any_ready = True
            elif generation.phase is Phase.BORN and generation.ready:
                self._posts[generation.lane].shortage.note_spare()
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
        """Bury those that were never born: their zygote died, or did not answer in time. And kill those whose setup does not end."""
        for generation in self.astir:
            if generation.phase is Phase.BORN and generation.pid and not generation.file.ready and now - generation.born_at > SETUP_S_MAX:
                generation.missed_why = f"its setup has not ended after {SETUP_S_MAX:g} s"
                generation.kill(None)
            unborn = generation.phase in (Phase.BORN, Phase.DOOMED) and not generation.pid
            if unborn and (all_of_them or now - generation.born_at > BIRTH_S_MAX):
                self._note_death(generation, 0, why="it was not born")

    def settle(self, number: int, sequences: Sequence[int]) -> list[bytes]:
        """Take in acks of one generation: those jobs are committed. Returns the names of spill files that can go."""
        generation = self.by_number.get(number)
        return [] if generation is None else [job[-1] for job in generation.settle(sequences)]

    def consumed(self) -> list[Generation]:
        """Return the dead whose rings are consumed: when the acks that are there now have been taken, they can be buried."""
        return [generation for generation in self.astir if generation.phase is Phase.DEAD and generation.consumed]

    def bury(self, consumed: Sequence[Generation], writer: Writer) -> None:
        """Account for the jobs of the dead, when the acks are in that came before they were consumed."""
        for generation in consumed:
            if self._desk.backlog:
                # Its file goes with the burial, and is the only other witness of what it had started: first there must be room for that.
                break
            passing("supervisor.before_bury")
            lane = self._posts[generation.lane].lane
            estate = judge(generation)
            if generation.host_id == self.host_id:
                lane.take_back(estate.back)
                self._desk.push(estate.outcomes, of=generation.number)
                self.tallies.note(lane.name, zip(map(task_of, estate.over), estate.outcomes, strict=True))
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
        number = next(number for number in self._numbers if number not in self.by_number)
        unborn = self.births.conceive(post.lane, post.index, number=number, host_id=self.host_id, is_spare=post.is_spare)
        generation = unborn.generation
        self._outputs[generation.name] = unborn.output
        self._watch_output(unborn.output)
        self.by_number[number] = generation
        self._roster.add(generation)
        self.tallies.add(generation)
        post.fill(generation)
        if not post.is_spare:
            post.lane.add(generation)
        self._attach(generation, writer)
        try:
            self.births.order(unborn, zygote)
        except OSError as error:
            self._note_death(generation, 0, why=f"no process can be ordered ({error.strerror})")

    def _attach(self, generation: Generation, writer: Writer) -> None:
        writer.attach(
            name=generation.name,
            number=generation.number,
            path=str(generation.file.path),
            of_subworker=True,
            wake_fd=generation.wake_fd,
            lane=generation.lane,
        )

    def _begin(self, generation: Generation) -> None:
        """Let a subworker serve that is set up and has a post."""
        self._admit(generation)
        generation.stir()
        generation.phase = Phase.SERVING
        generation.footprint_bytes = held_bytes(generation.pid) if generation.pid else 0
        posts = self._posts[generation.lane]
        if generation.group is not None:
            self._groups.bound(generation.group, generation.pid, bounds_of(generation, posts.lane).group_bytes)
        if posts.complete:
            posts.shortage.note_full()

    def _note_death(self, generation: Generation, status: int, why: str = "") -> None:
        self._posts[generation.lane].settled = False
        post = self._posts[generation.lane].post_of(generation)
        served = generation.ready and generation.post != SPARE
        was_doomed, idle = generation.phase is Phase.DOOMED, not generation.running()
        worked = generation.started > 0 or time.monotonic() - generation.born_at > QUICK_S
        generation.die(status)
        if generation.doom is None:
            generation.doom = exhausted(generation)
            if generation.doom is not None and generation.doom.seq == NONE_OF_THEM:
                self._posts[generation.lane].lane.loners.know(slot.job_id for slot in generation.running())
        if not self.closing and (reason := reason_of(generation, served=served, told_to_end=was_doomed)) is not None:
            self.restarts.note(generation.lane, reason)
        if post is not None:
            post.generation = None
            post.emptied_why = (
                generation.doom.message if generation.doom is not None else generation.missed_why or why or how_it_ended(status)
            )
            if served and worked:
                post.pause_s = PAUSE_S_MIN
        if was_doomed and not generation.missed_why:
            return
        if served:
            if idle:
                # Of one that ran something its burial tells.
                why = how_it_ended(status)
                ended = event(Event.SUBWORKER_ENDED, subworker=generation.post, lane=generation.lane, jobs=0, why=why)
                log.warning("%s (%s), while it ran nothing: %s", generation.post, generation.lane, why, extra=ended)
            if post is not None and not worked:
                post.pause(time.monotonic())
        elif post is not None:
            post.setup_failures += generation.setup_failed or generation.missed_why != ""
            self._note_missing(post, generation.missed_why or generation.failure or why or how_it_ended(status))

    def _note_missing(self, post: Post, why: str) -> None:
        """Try again later, and say so; a spare is missed only if its lane comes to need it."""
        posts, now = self._posts[post.lane.name], time.monotonic()
        if post.is_spare:
            posts.shortage.note_no_spare(why, now)
        else:
            posts.shortage.note(posts.present, why, now)
        post.pause(now)

    def _forget(self, generation: Generation, lane: Lane, writer: Writer) -> None:
        lane.remove(generation)
        generation.phase = Phase.BURIED
        del self.by_number[generation.number]
        self._roster.remove(generation)
        self.tallies.bury(generation)
        output = self._outputs.pop(generation.name)
        self._unwatch_output(output)
        output.add(generation.crash)
        output.close()
        writer.detach(generation.name)
        self._spill.remove_of_owner(owner_of(generation.file.path))
        self._groups.forget(generation.group)
        generation.close()
        self._drop_if_empty(lane.name)

    def _drop_if_empty(self, lane_name: str) -> None:
        """Forget a lane that is to go, when its last subworker is buried. What it still holds goes back: nobody looks at it any more."""
        if self._posts[lane_name].closed and not any(other.lane == lane_name for other in self.by_number.values()):
            jobs = self._posts[lane_name].lane.take_all()
            self._desk.push(released(jobs))
            self.drop_arguments(jobs)
            self._posts = {name: posts for name, posts in self._posts.items() if name != lane_name}
            self.restarts.forget(lane_name)
            self.tallies.forget(lane_name)
