"""How much one subworker and all that it has started may hold of the machine's memory, and at how much of that it is ended."""

from __future__ import annotations

from dataclasses import dataclass

from farm.shm.generation import generation_bytes
from farm.subworker.limits import RESERVE_BYTES
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.footprint import held_bytes
from farm.supervisor.processes.generation import Generation

FACTOR = 1.25
"""A subworker is ended at this many times what its jobs may allocate: a MemoryError is to come first, where it can."""


@dataclass(slots=True)
class Bounds:
    """What one generation may hold."""

    lane: Lane
    baseline_bytes: int
    """What it held before its first job, and its rings, which come to be in its memory little by little."""
    limit_bytes: int
    exact_at: float = 0.0
    jobs_before: int = 0
    """Of those that it has started, how many had ended at the last look."""

    files_at: float = 0.0
    ran: frozenset[int] = frozenset()
    """The jobs that ran when files in shared memory were looked at, and from when on they may be looked at again."""

    @property
    def group_bytes(self) -> int:
        """What its control group may hold: a little more, so that what grows slowly is found by a look, which names it."""
        return self.limit_bytes + RESERVE_BYTES

    def may_be(self, generation: Generation, running: int) -> int:
        """Return how many jobs have run since the last look, some of which may have ended; running: those that run now."""
        since = generation.started - self.jobs_before
        self.jobs_before = generation.started - running
        return since


def limit_bytes(generation: Generation) -> int:
    """Return what one generation may hold before it is ended: beside what its jobs may take what it held before the first of them, and its
    rings and the ends of its logs, which come to be in its memory little by little."""
    rings = generation_bytes(generation.slots) + generation.tails_bytes
    return generation.footprint_bytes + rings + int(generation.memory_bytes * FACTOR)


def bounds_of(generation: Generation, lane: Lane) -> Bounds:
    """Return the bounds of one that is set up."""
    generation.footprint_bytes = generation.footprint_bytes or held_bytes(generation.pid)
    limit = limit_bytes(generation)
    baseline = limit - int(generation.memory_bytes * FACTOR)
    return Bounds(lane, baseline, limit, jobs_before=generation.started - generation.occupied)
