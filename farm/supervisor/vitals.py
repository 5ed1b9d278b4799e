"""The facts by which it is judged whether this farm makes progress: gathered from memory alone, in whichever thread asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from farm.metrics.health import Facts, LaneFacts
from farm.shm.counters import Commits
from farm.supervisor.counts.figures import Figures
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Phase
from farm.supervisor.supervisor import Supervisor


class Vitals:
    """Reads what other threads write, without a lock: a fact may be a moment old."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        crew: Crew,
        desk: Desk,
        figures: Figures,
        mainstays: Mainstays,
        steps: Callable[[], Mapping[str, float]],
        knows_work: Callable[[Lane], bool],
        claims_fail: Callable[[], bool],
    ) -> None:
        """steps: for how long each thread has been at its present one. knows_work: whether there is some that a lane could claim.
        claims_fail: whether the thread that claims has failed at its last step."""
        self._supervisor = supervisor
        self._crew = crew
        self._desk = desk
        self._figures = figures
        self._mainstays = mainstays
        self._commits = mainstays.commits()
        self._steps = steps
        self._knows_work = knows_work
        self._claims_fail = claims_fail

    def facts(self) -> Facts:
        """Return how the farm stands."""
        commits = self.commits()
        failing_ns = commits.standing.failing_since_ns
        return Facts(
            turned_at=self._supervisor.turned_at,
            now=time.monotonic(),
            steps=dict(self._steps()),
            served=self._supervisor.served,
            draining=self._supervisor.draining,
            away_since=self._figures.beats.away_since,
            failing_since=failing_ns / 1e9 if failing_ns else None,
            failures=commits.counts.failures,
            claims_fail=self._claims_fail(),
            backlog=self._desk.uncommitted + sum(generation.unsettled for generation in self._crew.astir),
            settled=self._supervisor.settled + self._desk.settled,
            lanes=[self._lane(lane) for lane in self._crew.lanes],
        )

    def commits(self) -> Commits:
        """Return what commits came to; while the writer is being replaced, as last read."""
        try:
            self._commits = self._mainstays.commits()
        except ValueError:
            pass
        return self._commits

    def _lane(self, lane: Lane) -> LaneFacts:
        # Who is at rest serves and has all its slots free: no need to look at each.
        astir, free = lane.astir, lane.slots_at_rest
        return LaneFacts(
            name=lane.name,
            held=bool(lane.held_by),
            serving=max(0, len(lane.generations) - len(astir))
            + sum(generation.phase is Phase.SERVING and not generation.leaving for generation in astir),
            free=free + sum(generation.still for generation in astir),
            idle=free + sum(generation.still for generation in astir if not generation.occupied),
            buffered=max(0, lane.buffered),
            alone=len(lane.loners),
            started=lane.started,
            turns=lane.turns,
            knows_work=self._knows_work(lane),
        )
