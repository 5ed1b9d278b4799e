"""Whose turn it is to be claimed for, and how many jobs at once: all lanes of a host share one thread and one connection. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from farm.supervisor.lanes.lane import ANY_QUEUE, Lane

CLAIM_S = 0.005
"""How long a claim and the reading of its jobs may take where other lanes may have to wait for it."""
FEW_JOBS = 100
"""Who wants no more has somebody waiting, and takes little time."""
CLAIM_JOBS_MIN = 500
"""So many are claimed at once however slow the machine is: most of what fewer take is their commit."""
NEWS_SHARE = 0.2
"""How much one claim counts for what the next one is expected to take."""


class Turn(NamedTuple):
    """A lane that wants jobs."""

    lane: Lane
    demand: int

    @property
    def is_large(self) -> bool:
        return self.demand > FEW_JOBS

    @property
    def takes_anything(self) -> bool:
        return ANY_QUEUE in self.lane.config.queues


class Turns:
    """Remembers who was served when, and what claims of many jobs have taken."""

    def __init__(self, *, claim_max: int) -> None:
        self.claim_max = claim_max
        """Jobs in one claim at the most; others may set it."""
        self._job_s = CLAIM_S / claim_max
        self._served: dict[str, int] = {}
        """For each lane the number of its last claim."""

    def order(self, lanes: Sequence[Lane], now: float) -> list[Turn]:
        """Return the lanes that want jobs: those that want few first, then the others, who was served longest ago first.

        Of those that want few, who takes anything comes last: it would claim ahead what a lane that is kept for it could start at once.
        All of them get their turn, so nobody starves.
        """
        turns = [Turn(lane, demand) for lane in lanes if (demand := lane.demand(now)) > 0]
        if len(turns) > 1:
            turns.sort(key=lambda turn: (turn.is_large, turn.takes_anything and not turn.is_large, self._served.get(turn.lane.name, 0)))
        return turns

    def jobs_max(self, lane: Lane, lanes: Sequence[Lane]) -> int:
        """Return how many jobs to claim at once for one of these lanes. Those that have many themselves do not have to wait for it."""
        if all(other is lane or other.held_by or other.jobs_ahead > FEW_JOBS for other in lanes):
            return self.claim_max
        return min(self.claim_max, max(CLAIM_JOBS_MIN, int(CLAIM_S / self._job_s)))

    def note(self, lane: Lane, claim: int, jobs: int, taken_s: float) -> None:
        """Take in what the claim with this number has brought and taken; that of a few jobs takes what a commit takes."""
        self._served[lane.name] = claim
        if jobs >= FEW_JOBS:
            self._job_s += NEWS_SHARE * (taken_s / jobs - self._job_s)
