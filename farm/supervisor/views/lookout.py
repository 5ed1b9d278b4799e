"""What a screen shows of the database and of the other hosts: asked for only as long as somebody looks. On the upkeep thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from farm.model import HorizonHolder
from farm.ports import Part
from farm.supervisor.upkeep.horizon import Since

WANTED_S = 10.0
"""A screen asks every second."""
LOOK_S = 2.0


class Seen(NamedTuple):
    """What was seen at the last look. Replaced as a whole."""

    at: float
    """CLOCK_MONOTONIC, in seconds."""
    hosts: Sequence[dict[str, Any]]
    """As ReadStore.hosts has them."""
    holders: Sequence[HorizonHolder]
    """What keeps the database from cleaning up, the oldest first, with ages."""


class LookoutStore(Protocol):
    """What is asked of the store: small tables, and views of the server's memory."""

    def hosts(self) -> list[dict[str, Any]]: ...
    def horizon(self) -> list[HorizonHolder]: ...


class Lookout:
    """A part. Modes: asleep (nobody has looked for WANTED_S); watching. `look` is the main thread's."""

    def __init__(self, *, store: LookoutStore, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        """wake: has this part step soon; called by the first who looks."""
        self._store = store
        self._wake = wake
        self._clock = clock
        self._since = Since()
        self._wanted_until = float("-inf")
        self._look_at = float("-inf")
        self._seen: Seen | None = None

    def look(self) -> Seen | None:
        """Return what was seen last, and go on looking for a while. None: nothing yet, or nothing within the last seconds."""
        now = self._clock()
        asleep = now > self._wanted_until
        self._wanted_until = now + WANTED_S
        if asleep:
            self._wake()
        return self._seen if self._seen is not None and now - self._seen.at <= WANTED_S else None

    def step(self, now: float) -> float:
        """Look, if somebody wants to see; returns the seconds until the next time."""
        if now > self._wanted_until:
            return float("inf")
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._seen = Seen(self._clock(), self._store.hosts(), self._since.note(self._store.horizon(), now))
        return self._look_at - now


class InTurn:
    """Parts that share a thread, and a connection: one after the other, the most urgent first."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    def step(self, now: float) -> float:
        """Step each; returns the seconds until the first of them wants to run again."""
        return min(part.step(now) for part in self._parts)
