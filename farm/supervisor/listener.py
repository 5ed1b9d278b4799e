"""Hears when work is enqueued while a lane is idle, and wakes whoever it concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from farm.errors import StoreUnavailable

LATER = "later"
"""Payload of a wake-up for a job that is due later; any other is `class:priority` of one that is ready now."""
Pair = tuple[int, int]
"""(class id, priority)."""
LISTEN_S = 30.0


class Wakeups(Protocol):
    """A connection that listens."""

    def wait(self, timeout_s: float) -> list[str]: ...
    def interrupt(self) -> None: ...


class Listener:
    """A part. Its steps block for long: close() before its thread is stopped."""

    def __init__(self, *, wakeups: Wakeups, work: Callable[[list[Pair]], None], later: Callable[[], None]) -> None:
        self._wakeups = wakeups
        self._work = work
        self._later = later

    def close(self) -> None:
        """End the step that is under way, from another thread."""
        self._wakeups.interrupt()

    def step(self, now: float) -> float:
        """Wait for wake-ups and pass them on. A lost connection is one too: something may have been missed."""
        try:
            payloads = self._wakeups.wait(LISTEN_S)
        except StoreUnavailable:
            self._work([])
            raise
        pairs = {_pair(payload) for payload in payloads if payload != LATER}
        if pairs:
            self._work([pair for pair in pairs if pair is not None])
        if LATER in payloads:
            self._later()
        return 0.0


def _pair(payload: str) -> Pair | None:
    """Read a payload; None for what is none of ours: anybody may notify a channel."""
    class_id, _, priority = payload.partition(":")
    if class_id.isdecimal() and priority.isdecimal():
        return int(class_id), int(priority)
    return None
