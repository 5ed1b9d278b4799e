"""Ends subworkers whose jobs take more memory than they may, with all that they have started: what no limit of one process catches.

A limit on one process (RLIMIT_DATA, farm/subworker/limits.py) stops nearly every job before that, and lets its subworker live. It
does not count what is shared, and each program that a job starts has one of its own. So the supervisor looks at the whole tree: often at
a figure that costs next to nothing and is never too small, and only if that is over the limit at exact ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from farm.model import OutcomeKind
from farm.shm.generation import generation_bytes
from farm.supervisor.crew import Crew
from farm.supervisor.footprint import children_of, exact_bytes, held_bytes, resident_bytes, tree_of
from farm.supervisor.generation import NONE_OF_THEM, Doom, Generation, Phase
from farm.supervisor.lane import Lane

LOOK_S = 0.25
EXACT_S = 1.0
"""Between two exact looks at one subworker that had turned out to hold less: its pages are walked for them."""
FACTOR = 1.25
"""A subworker is ended at this many times what its jobs may allocate: a MemoryError is to come first, where it can."""


@dataclass(slots=True)
class Bounds:
    """What one generation may hold."""

    baseline_bytes: int
    limit_bytes: int
    exact_at: float = 0.0


class MemoryWatch:
    """Looks at busy subworkers, four times a second; an idle farm is not woken by it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._bounds: dict[int, Bounds] = {}
        self._lanes: Mapping[str, Lane] = {}
        self._look_at = 0.0

    def step(self, now: float) -> float:
        """Look, if it is time; returns the seconds until the next look, infinite while nothing is handed out."""
        busy = [generation for generation in self._crew.generations if generation.phase is Phase.SERVING and generation.handed]
        if not busy:
            return float("inf")
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._lanes = {lane.name: lane for lane in self._crew.lanes}
            before, self._bounds = self._bounds, {}
            orphans = _orphans(self._crew.generations)
            for generation in busy:
                if generation.pid:
                    bounds = self._bounds[generation.number] = before.get(generation.number) or self._bounds_of(generation)
                    if generation.file.slots.any_running():
                        self._look(generation, bounds, orphans.get(generation.pid, ()), now)
            # A job may have thousands of programs: to look at them takes a twentieth of this thread's time at the most.
            self._look_at = max(self._look_at, now + 20 * (time.monotonic() - now))
        return self._look_at - now

    def _bounds_of(self, generation: Generation) -> Bounds:
        lane = self._lanes[generation.lane].config
        baseline = generation.footprint_bytes or held_bytes(generation.pid)
        # Its rings come to be in its memory little by little.
        rings = generation_bytes(lane.concurrency)
        return Bounds(baseline, baseline + rings + int(lane.memory_bytes * FACTOR))

    def _look(self, generation: Generation, bounds: Bounds, strays: Sequence[int], now: float) -> None:
        tree = tree_of(generation.pid, tuple(strays))
        if sum(map(resident_bytes, tree)) <= bounds.limit_bytes or sum(map(held_bytes, tree)) <= bounds.limit_bytes:
            return
        if now < bounds.exact_at:
            return
        bounds.exact_at = now + EXACT_S
        ran = {slot.seq for slot in generation.running()}
        taken = sum(map(exact_bytes, tree))
        if taken > bounds.limit_bytes:
            self._end(generation, ran, taken, len(tree) - 1)

    def _end(self, generation: Generation, ran: Container[int], taken: int, others: int) -> None:
        """Kill it at once: what has half a second more takes that much more. First a recall, so that this hits no later job than those
        that ran when it was measured; if none of them runs any more, the next look will tell."""
        lane = self._lanes[generation.lane]
        generation.recall()
        running = [slot for slot in generation.running() if slot.seq in ran]
        message = f"memory limit of {lane.config.memory_bytes / 1e6:.0f} MB reached; peak {taken / 1e6:.0f} MB"
        message += f", with {others} more of its processes" if others else ""
        if len(running) == 1:
            generation.kill(Doom(OutcomeKind.MEMORY, message, running[0].seq))
        elif running:
            lane.loners.know(slot.job_id for slot in running)
            message += f" by {len(running)} jobs beside each other: each is to run alone"
            generation.kill(Doom(OutcomeKind.MEMORY, message, NONE_OF_THEM))


def _orphans(generations: Sequence[Generation]) -> dict[int, list[int]]:
    """Return, by the group that they are in, children of ours that some job has left behind."""
    leaders = {generation.pid for generation in generations}
    orphans: dict[int, list[int]] = {}
    for child in children_of(os.getpid()):
        if child not in leaders:
            try:
                group = os.getpgid(child)
            except ProcessLookupError:
                continue
            if group in leaders:
                orphans.setdefault(group, []).append(child)
    return orphans
