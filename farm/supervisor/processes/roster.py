"""Which of some subworkers have anything to do, and which rest: whoever looks at them often looks at the former, however many there are.

The main thread writes, any thread reads `standing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from farm.supervisor.processes.generation import Generation


class Standing(NamedTuple):
    """How they stand. Replaced as a whole, since other threads read it."""

    astir: tuple[Generation, ...]
    """Those that were handed something, are asked for something, come or go."""
    started: int
    """Jobs that those at rest have started, in all."""
    slots: int
    """Of those at rest, all of them free."""


class Roster:
    """Of a lane, or of the whole crew. Who stirs says so itself (Generation.stir), before anything else comes of it."""

    def __init__(self) -> None:
        self._astir: dict[Generation, None] = {}
        self.resting: dict[Generation, int] = {}
        """With what each had started when it came to rest; who came to rest last is the last one."""
        self._started = self._slots = 0
        self.standing = Standing((), 0, 0)

    def add(self, generation: Generation) -> None:
        """Take in one that is astir."""
        assert not generation.at_rest, "it would be counted among those that are astir"
        generation.rosters.append(self)
        self._astir[generation] = None
        self._tell()

    def remove(self, generation: Generation) -> None:
        """Strike off one that is dead, and astir therefore."""
        generation.rosters.remove(self)
        del self._astir[generation]
        self._tell()

    def stir(self, generation: Generation) -> None:
        """Take note that one does not rest any more."""
        self._started -= self.resting.pop(generation)
        self._slots -= generation.slots
        self._astir[generation] = None
        self._tell()

    def rest(self, generation: Generation) -> None:
        """Take note that one has come to rest."""
        del self._astir[generation]
        self.resting[generation] = started = generation.started
        self._started += started
        self._slots += generation.slots
        self._tell()

    def _tell(self) -> None:
        self.standing = Standing(tuple(self._astir), self._started, self._slots)
