"""Replaces subworkers that are due, or that somebody wants replaced: the successor first, between two jobs. Main thread only.

Nothing is ended for it and no attempt is used. One that runs one job at a time is recalled; when its job has ended it stands back, and
in that moment the spare of its lane takes its post: so never more jobs run than the lane has subworkers. One that has many jobs in flight
gives its post to the spare at once, starts nothing more, and goes when the last of them has ended. In each lane one at a time. While no
spare can be had, everybody stays.
"""

from __future__ import annotations

import logging

from farm.supervisor.counts.figures import Reason
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.posts import LanePosts, Post
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
        self._why = ""
        """Why the one that stands back, or is about to, is to be replaced; "" if its heap is to be measured first."""
        self._look_at = self._growth_look_at = 0.0
        self._told_at = float("-inf")
        self._untold = 0

    def step(self, now: float) -> float:
        """Move on; returns the seconds until the next look."""
        lane = self.posts.lane
        leaving = [generation for generation in lane.generations if generation.leaving and generation.phase is Phase.SERVING]
        if leaving:
            standing = [generation for generation in leaving if generation.stands_back]
            for generation in standing:
                self._let_go(generation, now)
            return 0.0 if standing else LEAVING_LOOK_S
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            held = [(post, post.generation) for post in self.posts.posts if post.generation is not None and post.serving]
            self._measure([generation for _post, generation in held], now)
            if self.posts.ready_spare is not None and self.posts.has_room:
                due = next(((*one, why) for one in in_turn(held) if (why := self._why_due(one[1], now)) is not None), None)
                if due is not None:
                    self._begin(*due, now)
                    return 0.0
        return self._wait_s(now)

    def _why_due(self, generation: Generation, now: float) -> str | None:
        """Say why one is to be replaced, "" if that depends on what it holds between two jobs; None if it may stay."""
        recycle = self.posts.lane.config.recycle
        why = generation.replace_why or why_due(
            recycle, number=generation.number, started=generation.started, age_s=now - generation.born_at
        )
        if why:
            return why
        growth = self._growths[generation.number]
        if not growth.suspect(now, single=generation.single):
            return None
        if generation.single:
            growth.asked_at = now
            return ""
        return None if growth.forgive(recycle, self.posts.lane.config.memory_bytes) else growth.why

    def _begin(self, post: Post, generation: Generation, why: str, now: float) -> None:
        """Have one start nothing more. Where many jobs are in flight the spare takes its post now, else when its job has ended."""
        self._why = why
        if not generation.single:
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
        before, self._growths = self._growths, {}
        looks = now >= self._growth_look_at
        if looks:
            self._growth_look_at = now + GROWTH_LOOK_S
        for generation in generations:
            growth = before.get(generation.number)
            if growth is None:
                growth = Growth(private_bytes(generation.pid))
            elif looks and (generation.handed or growth.started != generation.started):
                growth.started = generation.started
                growth.note(self.posts.lane.config.recycle, private_bytes(generation.pid), now)
            self._growths[generation.number] = growth

    def _wait_s(self, now: float) -> float:
        """Say when somebody may come to be due: while they are busy at the next look, else only by age."""
        if any(generation.handed for generation in self.posts.lane.generations):
            return max(0.0, self._look_at - now)
        wait_s = float("inf")
        for post in self.posts.posts:
            generation = post.generation
            if generation is None or not post.serving:
                continue
            growth = self._growths.get(generation.number)
            if growth is None or growth.started != generation.started or growth.since < float("inf"):
                return GROWTH_LOOK_S
            left_s = age_limit_s(self.posts.lane.config.recycle, generation.number) - (now - generation.born_at)
            # Past it, and still here: there is no spare yet. When one is ready, it says so.
            wait_s = min(wait_s, left_s if left_s > 0 else float("inf"))
        return wait_s

    def _tell(self, generation: Generation, why: str, now: float) -> None:
        self._crew.restarts.note(generation.lane, Reason.RELOAD if generation.replace_why else Reason.RECYCLED)
        if now < self._told_at + TELL_S:
            self._untold += 1
            return
        more = f", and {self._untold:,} more since this was last told" if self._untold else ""
        replaced = event(Event.SUBWORKER_REPLACED, subworker=generation.post, lane=generation.lane, why=why)
        log.info("%s (%s) has a successor: %s%s", generation.post, generation.lane, why, more, extra=replaced)
        self._told_at, self._untold = now, 0


def in_turn(held: list[tuple[Post, Generation]]) -> list[tuple[Post, Generation]]:
    """Return them in the order in which they are to be replaced. Where somebody wants them all replaced, those that run nothing come
    first, and last whoever runs a job for the longest time: while one is waited for, nobody else of its lane is replaced."""
    wanted = [one for one in held if one[1].replace_why]
    if len(wanted) < 2:
        return held
    return sorted(held, key=lambda one: _since_ns(one[1]) if one[1].replace_why else 0, reverse=True)


def _since_ns(generation: Generation) -> float:
    """Return since when the oldest of its jobs has run, infinite if it runs none."""
    return min((slot.started_ns for slot in generation.running()), default=float("inf"))
