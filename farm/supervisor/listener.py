"""Hears when work is enqueued while a lane is idle, and wakes whoever it concerns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from farm.errors import StoreUnavailable
from farm.model import PRIORITY_MAX

LATER, WAITERS = "later", "waiters"
"""Payloads of wake-ups for a job that is due later, and for a program that begins to wait for the end of one; any other is
`class:priority`, or `class:priority:job`, of one that is ready now."""
Pair = tuple[int, int]
"""(class id, priority)."""
LISTEN_S = 30.0
GIVE_WAY_S = 0.0002
ID_DIGITS_MAX = 18
"""Any such number is a bigint."""


class Wakeups(Protocol):
    """A connection that listens."""

    def wait(self, timeout_s: float) -> list[str] | None: ...
    def interrupt(self) -> None: ...


class Listener:
    """A part. Its steps block for long: close() before its thread is stopped."""

    def __init__(
        self,
        *,
        wakeups: Wakeups,
        work: Callable[[list[Pair]], None],
        announced: Callable[[list[int]], None],
        later: Callable[[], None],
        waiters: Callable[[], None],
        hearing: Callable[[bool], None],
    ) -> None:
        self._wakeups = wakeups
        self._waiters = waiters
        self._hearing = hearing
        self._hears = False
        self._announced = announced
        self._work = work
        self._later = later

    def close(self) -> None:
        """End the step that is under way, from another thread."""
        self._wakeups.interrupt()

    def step(self, now: float) -> float:
        """Wait for wake-ups and pass them on; tell when they are no longer heard, and when they are again."""
        try:
            payloads = self._wakeups.wait(LISTEN_S)
        except StoreUnavailable:
            self._note_hearing(False)
            raise
        if payloads is None:
            self._note_hearing(True)
            return 0.0
        news = [_read(payload) for payload in payloads if payload not in (LATER, WAITERS)]
        pairs = {one.pair for one in news if one.pair is not None}
        if pairs:
            self._work(list(pairs))
        if any(one.pair is None for one in news):
            self._work([])
        if LATER in payloads:
            self._later()
        if WAITERS in payloads:
            self._waiters()
        job_ids = [one.job_id for one in news if one.job_id is not None]
        if job_ids:
            # First the claim must be on its way: the interpreter runs one thread at a time.
            time.sleep(GIVE_WAY_S)
            self._announced(job_ids)
        return 0.0

    def _note_hearing(self, hears: bool) -> None:
        if hears or self._hears:
            self._hears = hears
            self._hearing(hears)


class _News(NamedTuple):
    """What one payload says."""

    pair: Pair | None
    job_id: int | None


def _read(payload: str) -> _News:
    """Read a payload; nothing of what is none of ours: anybody may notify a channel."""
    fields = payload.split(":")
    if not 2 <= len(fields) <= 3 or not all(field.isdecimal() and len(field) <= ID_DIGITS_MAX for field in fields):
        return _News(None, None)
    numbers = [int(field) for field in fields]
    if numbers[1] > PRIORITY_MAX:
        # A claim of it would fail, be asked again, and nothing else would be claimed any more.
        return _News(None, None)
    return _News((numbers[0], numbers[1]), numbers[2] if len(numbers) == 3 else None)
