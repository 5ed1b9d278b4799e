"""The way out: nothing new is claimed, unstarted jobs are given back, running ones may end until the deadline, all is committed."""

from __future__ import annotations

import logging

from farm.model import OutcomeKind
from farm.shm.frames import HeldJob
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk, released
from farm.supervisor.processes.generation import ALL_THAT_RUN, Doom, Generation, Phase

LOOK_S = 0.02
COMMIT_S_MAX = 10.0
"""After the deadline, what has finished may still be committed for this long; then it stays in the rings for the next start."""
HURRIED_COMMIT_S_MAX = 2.0

log = logging.getLogger("farm")


class Drain:
    """Steps until `done`. Hurried: the deadline is now. Idempotent: it may be told to hurry at any time, any number of times."""

    def __init__(self, *, crew: Crew, desk: Desk, deadline: float) -> None:
        self._crew = crew
        self._desk = desk
        self._deadline = deadline
        self._commit_s_max = COMMIT_S_MAX
        self.released = 0
        self.stopped = 0
        crew.closing = True

    def hurry(self, now: float) -> None:
        """End running jobs now."""
        self._deadline = min(self._deadline, now)
        self._commit_s_max = HURRIED_COMMIT_S_MAX

    def step(self, now: float) -> float:
        """Move on; returns the seconds until the next look."""
        for generation in self._crew.generations:
            self._move_on(generation, now)
        for lane in self._crew.lanes:
            self._release(lane.take_all())
        return LOOK_S

    @property
    def done(self) -> bool:
        """True when no subworker is left and everything is committed."""
        return not self._crew.by_number and self._desk.drained

    def left_s(self, now: float) -> float:
        """Return the seconds for which running jobs may still run."""
        return max(0.0, self._deadline - now)

    def given_up(self, now: float) -> bool:
        """True when the time for commits has passed too: the database is away."""
        return now > self._deadline + self._commit_s_max

    def uncommitted(self) -> int:
        """Return how many jobs have no committed outcome; those given back count as well until that is committed."""
        return self._crew.in_flight() + self._desk.uncommitted

    def _move_on(self, generation: Generation, now: float) -> None:
        if generation.phase is Phase.BORN:
            generation.kill(None)
        if generation.phase is not Phase.SERVING:
            return
        generation.recall()
        frames = generation.recalled()
        self._release(frames if frames is not None else generation.recall_now() if now >= self._deadline else [])
        running = generation.running()
        if frames is not None and not running:
            # It stands back and holds nothing: what it had published is in its ring, and the writer's.
            generation.kill(None)
        elif now >= self._deadline:
            # What it runs, or nothing: stopped by somebody between two jobs, it does not answer. It can start nothing more.
            self.stopped += len(running)
            generation.end(Doom(OutcomeKind.STOPPED, "still running when the farm was stopped", ALL_THAT_RUN), now)

    def _release(self, frames: list[HeldJob]) -> None:
        if frames:
            self.released += len(frames)
            self._desk.push(released(frames))
            self._crew.drop_arguments(frames)
