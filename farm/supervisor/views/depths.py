"""How deep the queues are, for screens and scrapes: asked of the database only as long as somebody looks, and within 1 % of its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from farm.model import Depths, QueueDepth

WANTED_S = 30.0
"""Who looked so long ago looks no more; scrapes come every 15 s as a rule."""
READ_S = 1.0
"""Between two looks at what was counted, by whomever."""
PAUSE_FACTOR, PAUSE_S_MIN = 99.0, 1.0
"""After a count nobody counts for so many times as long as it took: all hosts together take a hundredth of the database's time."""
COUNT_S_MAX = 0.25
"""A count that takes longer is broken off: what upkeep does for the dead waits meanwhile."""
KNOWN_S = 90.0
"""What was counted so long ago is not told any more."""


class DepthStore(Protocol):
    """What is asked of the store."""

    def read(self) -> Depths: ...
    def take_turn(self) -> bool: ...
    def count(self, limit_s: float) -> list[QueueDepth] | None: ...
    def store(self, queues: list[QueueDepth], pause_s: float) -> None: ...


class DepthWatch:
    """A part. Modes: asleep (nobody has looked for WANTED_S); watching (somebody has: it reads every second, and counts in its turn).

    `look` may be called from any thread: what is told is replaced as a whole.
    """

    def __init__(self, *, store: DepthStore, wake: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        """wake: has this part step soon; called by the first who looks."""
        self._store = store
        self._wake = wake
        self._clock = clock
        self._wanted_until = float("-inf")
        self._read_at = float("-inf")
        self._told: tuple[Depths, float] | None = None

    def look(self) -> Depths | None:
        """Return the depths as last counted, with their age by now, and have them looked after for a while. None: not known (yet)."""
        now = self._clock()
        asleep = now > self._wanted_until
        self._wanted_until = now + WANTED_S
        if asleep:
            self._wake()
        if self._told is None:
            return None
        depths, read_at = self._told
        if depths.age_s is None or (age_s := depths.age_s + now - read_at) > KNOWN_S:
            return None
        return depths._replace(age_s=age_s)

    def step(self, now: float) -> float:
        """Read what was counted, or count, if somebody looks; returns the seconds until there is more to do."""
        if now > self._wanted_until:
            return float("inf")
        if now < self._read_at:
            return self._read_at - now
        depths = self._store.read()
        if depths.due_s <= 0.0 and self._store.take_turn():
            begun = self._clock()
            queues = self._store.count(COUNT_S_MAX)
            if queues is not None:
                pause_s = max(PAUSE_S_MIN, PAUSE_FACTOR * (self._clock() - begun))
                self._store.store(queues, pause_s)
                depths = Depths(tuple(queues), 0.0, pause_s)
        self._told = depths, self._clock()
        self._read_at = now + READ_S
        return READ_S
