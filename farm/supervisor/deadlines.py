"""Ends jobs that run past their time. The kill is exact: first a recall, then a look whether the job is still there."""

from __future__ import annotations

import time

from farm.shm.slots import Slot
from farm.supervisor.crew import Crew
from farm.supervisor.generation import Doom, Generation, Phase, timed_out

LOOK_S = 0.025
"""A job is ended at most this long after its deadline, and a stir of the machine."""


class Deadlines:
    """Looks at the slots of busy subworkers; nothing is sent for it, and an idle farm is not woken by it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def step(self) -> float:
        """End what is over its deadline. Returns the seconds until the next look, infinite while nothing is handed out."""
        busy = [generation for generation in self._crew.generations if generation.handed and generation.phase is Phase.SERVING]
        now_ns = time.monotonic_ns()
        for generation in busy:
            for slot in generation.file.slots.overdue(now_ns):
                end_job(generation, slot, timed_out(slot, now_ns))
        return LOOK_S if busy else float("inf")


def end_job(generation: Generation, slot: Slot, doom: Doom) -> None:
    """Kill the subworker if it still runs this job. The recall comes first, so that the kill cannot hit the next one."""
    generation.recall()
    if any(row.seq == slot.seq for row in generation.running()):
        generation.kill(doom)
