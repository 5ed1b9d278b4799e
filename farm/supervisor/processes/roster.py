"""Which of some subworkers have anything to do, and which rest: whoever looks at them often looks at the former, however many there are.

The main thread writes, any thread reads `standing`.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, Protocol, TypeVar


class Member(Protocol):
    """As much of a subworker as a roster knows."""

    @property
    def at_rest(self) -> bool: ...

    @property
    def slots(self) -> int: ...

    @property
    def started(self) -> int:
        """Jobs that it has started, in all."""
        ...

    @property
    def rosters(self) -> list[Any]:
        """Those that it is in, and tells."""
        ...


M = TypeVar("M", bound=Member)


class Standing(NamedTuple, Generic[M]):
    """How they stand. Replaced as a whole, since other threads read it."""

    astir: tuple[M, ...]
    """Those that were handed something, are asked for something, come or go."""
    started: int
    """Jobs that those at rest have started, in all."""
    slots: int
    """Of those at rest, all of them free."""


class Roster(Generic[M]):
    """Of a lane, or of the whole crew. Who stirs says so itself (Generation.stir), before anything else comes of it."""

    def __init__(self) -> None:
        self._astir: dict[M, None] = {}
        self.resting: dict[M, int] = {}
        """With what each had started when it came to rest; who came to rest last is the last one."""
        self._started = self._slots = 0
        self.standing: Standing[M] = Standing((), 0, 0)

    def add(self, generation: M) -> None:
        """Take in one that is astir."""
        assert not generation.at_rest, "it would be counted among those that are astir"
        generation.rosters.append(self)
        self._astir[generation] = None
        self._tell()

    def remove(self, generation: M) -> None:
        """Strike off one that is dead, and astir therefore."""
        generation.rosters.remove(self)
        del self._astir[generation]
        self._tell()

    def stir(self, generation: M) -> None:
        """Take note that one does not rest any more."""
        self._started -= self.resting.pop(generation)
        self._slots -= generation.slots
        self._astir[generation] = None
        self._tell()

    def rest(self, generation: M) -> None:
        """Take note that one has come to rest."""
        del self._astir[generation]
        self.resting[generation] = started = generation.started
        self._started += started
        self._slots += generation.slots
        self._tell()

    def _tell(self) -> None:
        self.standing = Standing(tuple(self._astir), self._started, self._slots)
