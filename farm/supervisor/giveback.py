"""Gives back to the database what is not to start here: jobs of lanes that stand back, and of queues that are paused. Main thread only."""

from __future__ import annotations

from collections.abc import Collection

from farm.shm.frames import LEASE_ID, HeldJob
from farm.supervisor.crew import Crew
from farm.supervisor.desk import Desk, released
from farm.supervisor.generation import Phase
from farm.supervisor.lane import Lane
from farm.supervisor.origins import Origin, Origins


class GiveBack:
    """Holds no jobs of its own: what it finds unstarted, in the hands of a lane or in a ring, is released, and no attempt is used.

    A queue's jobs are told by their leases. A lease of several queues is given back whole: the others are claimed again at once.
    """

    def __init__(self, *, crew: Crew, desk: Desk, origins: Origins) -> None:
        self._crew = crew
        self._desk = desk
        self._origins = origins
        self.queues: frozenset[str] = frozenset()
        """Those that are paused. Set it, then `sweep`."""
        self.released = 0
        """Jobs given back, in all."""

    def refuses(self, origin: Origin) -> bool:
        """Tell whether jobs that were claimed meanwhile are to go back as they come."""
        return not self.queues.isdisjoint(origin.queues)

    def release(self, jobs: Collection[HeldJob]) -> None:
        """Give these jobs back."""
        if jobs:
            self.released += len(jobs)
            self._desk.push(released(jobs))
            self._crew.drop_arguments(jobs)

    def step(self) -> None:
        """Take all from the lanes that stand back. What their subworkers have to answer for first, comes with the answers."""
        for lane in self._crew.lanes:
            if lane.stands_back:
                for generation in lane.generations:
                    if generation.phase is Phase.SERVING and not generation.recall_active and generation.unstarted:
                        generation.recall()
                        self.release(generation.recall_now())
                if lane.waiting:
                    self.release(lane.take_all())

    def sweep(self) -> None:
        """Take what is of paused queues from all lanes: after a queue was paused, and whenever jobs have come back from subworkers."""
        if self.queues:
            for lane in self._crew.lanes:
                self._sweep(lane)

    def _sweep(self, lane: Lane) -> None:
        for generation in lane.generations:
            if generation.phase is Phase.SERVING and not generation.recall_active and generation.unstarted:
                marked = generation.file.marked
                if any(seq > marked and self._is_paused(job) for seq, job in generation.handed.items()):
                    generation.recall()
                    lane.take_back(generation.recall_now())
        if lane.waiting:
            jobs = lane.take_all()
            self.release([job for job in jobs if self._is_paused(job)])
            lane.take_back(job for job in jobs if not self._is_paused(job))

    def _is_paused(self, job: HeldJob) -> bool:
        return not self.queues.isdisjoint(self._origins.queues(job[LEASE_ID]))
