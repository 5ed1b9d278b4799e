"""Replaces subworkers that are due, or that somebody wants replaced: the successor first, between two jobs. Main thread only.

Nothing is ended for it and no attempt is used. One that runs one job at a time is recalled; when its job has ended it stands back, and
in that moment the spare of its lane takes its post: so never more jobs run than the lane has subworkers. One that has many jobs in flight
gives its post to the spare at once, starts nothing more, and goes when the last of them has ended. In each lane one at a time. While no
spare can be had, everybody stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from farm.config.model import Recycle
from farm.supervisor.counts.figures import Reason
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.crew.recycle import Growth, age_limit_s, why_due
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.footprint import private_bytes
from farm.supervisor.processes.generation import Generation, Phase

LOOK_S = 0.025
"""Between two looks at what busy subworkers have started: as for deadlines, for which the supervisor is awake then."""
GROWTH_LOOK_S = 0.25
LEAVING_LOOK_S = 0.1
"""Between two looks whether the last job of one that is leaving has ended. One that runs one at a time says so."""
TELL_S = 10.0
"""Between two lines of the log about replacements in the same lane."""

log = logging.getLogger("farm")


class Recycling:
    """A part: steps every lane."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._turns: dict[str, Turn] = {}

    def step(self, now: float) -> float:
        """Move on in every lane; returns the seconds until the next look, infinite while nobody can come to be due."""
        before, self._turns = self._turns, {}
        wait_s = float("inf")
        for posts in self._crew.posts:
            turn = before.get(posts.lane.name)
            if turn is None or turn.posts is not posts:
                turn = Turn(self._crew, posts)
            self._turns[posts.lane.name] = turn
            wait_s = min(wait_s, turn.step(now))
        return wait_s


class Turn:
    """Whose turn it is in one lane. It follows who is leaving, and if nobody is, looks who is due."""

    def __init__(self, crew: Crew, posts: LanePosts) -> None:
        self.posts = posts
        self._crew = crew
        self._growths: dict[int, Growth] = {}
        """Of those that have a post, by number."""
        self._watched: dict[int, Generation] = {}
        """Those that were astir since the last look, were due at it or may come to be, by number: they are looked at though they rest."""
        self._age_at = float("inf")
        """When the first of all comes to its age."""
        self._recycle: Recycle | None = None
        self._of: list[Generation] = []
        """The rule, and the lane's subworkers, by which that is known."""
        self._why = ""
        """Why the one that stands back, or is about to, is to be replaced; "" if its heap is to be measured first."""
        self._look_at = self._growth_look_at = 0.0
        self._told_at = float("-inf")
        self._untold = 0

    def step(self, now: float) -> float:
        """Move on; returns the seconds until the next look."""
        astir = [generation for generation in self.posts.lane.astir if generation.phase is Phase.SERVING]
        if not astir and not self._watched and now < self._age_at and self._recycle is self.posts.lane.config.recycle:
            # Nobody has done anything. Most of the lanes that are asked leave here.
            return self._age_at - now
        leaving = [generation for generation in astir if generation.leaving]
        if leaving:
            standing = [generation for generation in leaving if generation.stands_back]
            for generation in standing:
                self._let_go(generation, now)
            return 0.0 if standing else LEAVING_LOOK_S
        # Whoever came to rest since the last look is to be looked at once more.
        self._watched.update((generation.number, generation) for generation in astir)
        if now >= min(self._look_at, self._age_at) or any(generation.number not in self._growths for generation in astir):
            self._look_at = now + LOOK_S
            watched = self._to_look_at(now)
            self._measure(watched, now)
            self._watched = {one.number: one for one in watched if self._expects(one) or self._why_at_once(one, now)}
            if self.posts.ready_spare is not None and self.posts.has_room:
                due = next(((one, why) for one in in_turn(watched) if (why := self._why_due(one, now)) is not None), None)
                if due is not None:
                    self._begin(*due, now)
                    return 0.0
        return self._wait_s(astir, now)

    def _to_look_at(self, now: float) -> list[Generation]:
        """Return those that have a post and may be due: who was to be watched; all when one has come to its age, or the rule is new."""
        recycle, generations = self.posts.lane.config.recycle, self.posts.lane.generations
        if generations is not self._of:
            self._of = generations
            self._growths = {one.number: growth for one in generations if (growth := self._growths.get(one.number)) is not None}
        if recycle is not self._recycle or now >= self._age_at:
            self._recycle = recycle
            everybody = [post.generation for post in self.posts.posts if post.generation is not None and post.serving]
            self._watched.update((generation.number, generation) for generation in everybody)
            ages_at = [generation.born_at + age_limit_s(recycle, generation.number) for generation in everybody]
            self._age_at = min((age_at for age_at in ages_at if age_at > now), default=float("inf"))
        return [generation for generation in self._watched.values() if generation.phase is Phase.SERVING]

    def _why_due(self, generation: Generation, now: float) -> str | None:
        """Say why one is to be replaced, "" if that depends on what it holds between two jobs; None if it may stay."""
        if why := self._why_at_once(generation, now):
            return why
        recycle = self.posts.lane.config.recycle
        growth = self._growths[generation.number]
        if not growth.suspect(now, single=generation.single):
            return None
        if generation.single:
            growth.asked_at = now
            return ""
        return None if growth.forgive(recycle, self.posts.lane.config.memory_bytes) else growth.why

    def _why_at_once(self, generation: Generation, now: float) -> str:
        """Say why one is to be replaced whatever it holds, "" if it is not."""
        recycle, age_s = self.posts.lane.config.recycle, now - generation.born_at
        return generation.replace_why or why_due(recycle, number=generation.number, started=generation.started, age_s=age_s)

    def _begin(self, generation: Generation, why: str, now: float) -> None:
        """Have one start nothing more. Where many jobs are in flight the spare takes its post now, else when its job has ended."""
        self._why = why
        post = self.posts.post_of(generation)
        if post is not None and not generation.single:
            post.emptied_why = why
            self._crew.seat_spare(self.posts, post, now)
            self._tell(generation, why, now)
        self.posts.lane.take_back(generation.leave())
        self.posts.lane.dispatch(now)

    def _let_go(self, generation: Generation, now: float) -> None:
        """Part with one that stands back; or have it go on, if it may stay, or its successor has died meanwhile."""
        lane, post = self.posts.lane, self.posts.post_of(generation)
        lane.take_back(generation.recalled() or [])
        if post is None:
            generation.kill(None)
        elif (why := self._why or self._why_grown(generation, now)) and self._crew.seat_spare(self.posts, post, now):
            post.emptied_why = why
            # Work first: what the old one leaves behind is cleared away while the new one is at it.
            lane.dispatch(now)
            generation.kill(None)
            self._tell(generation, why, now)
        else:
            generation.stay()
            generation.lift_recall()
        lane.dispatch(now)

    def _why_grown(self, generation: Generation, now: float) -> str:
        """Measure one between two jobs; "" if it has not grown too much, or is forgiven."""
        lane = self.posts.lane.config
        growth = self._growths[generation.number]
        grown = growth.note(lane.recycle, private_bytes(generation.pid), now) and not growth.forgive(lane.recycle, lane.memory_bytes)
        return growth.why if grown else ""

    def _measure(self, generations: list[Generation], now: float) -> None:
        """Look at the heaps of those that have started something since the last look. A new one's is its floor."""
        looks = now >= self._growth_look_at
        if looks:
            self._growth_look_at = now + GROWTH_LOOK_S
        for generation in generations:
            growth = self._growths.get(generation.number)
            if growth is None:
                self._growths[generation.number] = Growth(private_bytes(generation.pid))
                self._age_at = min(self._age_at, generation.born_at + age_limit_s(self.posts.lane.config.recycle, generation.number))
            elif looks and (generation.handed or growth.started != generation.started):
                growth.started = generation.started
                growth.note(self.posts.lane.config.recycle, private_bytes(generation.pid), now)

    def _expects(self, generation: Generation) -> bool:
        """Tell whether the next look may find that one has grown, though it is handed nothing more."""
        growth = self._growths.get(generation.number)
        return growth is None or growth.started != generation.started or growth.since < float("inf")

    def _wait_s(self, astir: Sequence[Generation], now: float) -> float:
        """Say when somebody may come to be due: while they are busy at the next look, else only by age."""
        if any(generation.handed for generation in astir):
            return max(0.0, self._look_at - now)
        # Who is due and still here has no spare yet. When one is ready, it says so.
        return GROWTH_LOOK_S if any(map(self._expects, self._watched.values())) else max(0.0, self._age_at - now)

    def _tell(self, generation: Generation, why: str, now: float) -> None:
        self._crew.restarts.note(generation.lane, Reason.RELOAD if generation.replace_why else Reason.RECYCLED)
        if now < self._told_at + TELL_S:
            self._untold += 1
            return
        more = f", and {self._untold:,} more since this was last told" if self._untold else ""
        replaced = event(Event.SUBWORKER_REPLACED, subworker=generation.post, lane=generation.lane, why=why)
        log.info("%s (%s) has a successor: %s%s", generation.post, generation.lane, why, more, extra=replaced)
        self._told_at, self._untold = now, 0


def in_turn(held: list[Generation]) -> list[Generation]:
    """Return them in the order in which they are to be replaced. Where somebody wants them all replaced, those that run nothing come
    first, and last whoever runs a job for the longest time: while one is waited for, nobody else of its lane is replaced."""
    wanted = [one for one in held if one.replace_why]
    if len(wanted) < 2:
        return held
    return sorted(held, key=lambda one: _since_ns(one) if one.replace_why else 0, reverse=True)


def _since_ns(generation: Generation) -> float:
    """Return since when the oldest of its jobs has run, infinite if it runs none."""
    return min((slot.started_ns for slot in generation.running()), default=float("inf"))
