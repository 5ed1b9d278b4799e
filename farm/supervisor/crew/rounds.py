"""The rounds of the supervisor: who is astir is looked at with every step, everybody else in turn, once a second. Main thread only."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from farm.model import OutcomeKind
from farm.supervisor.crew.crew import Crew
from farm.supervisor.processes.generation import ALL_THAT_RUN, Doom, Generation, Phase

ROUND_S = 1.0
"""A thread that a former job has left can write where it should not though its subworker has nothing to do: so late that is seen."""

log = logging.getLogger("farm")


class Rounds:
    """A part that asks for no look of its own: the main loop turns once a second anyhow."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._round_at = 0.0

    def step(self, now: float) -> None:
        """Kill those whose ring was found to be broken; once a second wake those a second time that should have moved."""
        if now < self._round_at:
            _kill_broken(self._crew.astir)
            return
        self._round_at = now + ROUND_S
        _kill_broken(self._crew.generations)
        for generation in self._crew.astir:
            generation.nudge()


def _kill_broken(generations: Iterable[Generation]) -> None:
    for generation in generations:
        if generation.phase is Phase.SERVING and generation.file.broken:
            log.error("%s has overwritten its result ring: killed", generation.name)
            generation.kill(Doom(OutcomeKind.CRASHED, "its subworker's result ring was overwritten, so it was killed", ALL_THAT_RUN))
