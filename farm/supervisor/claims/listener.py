"""How the claim thread sleeps: at the connection that hears announcements, so that a claim is sent by whoever hears of the work."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.model import PRIORITY_MAX

LATER, WAITERS, CANCEL, REQUEST = "later", "waiters", "cancel", "request"
"""Payloads of wake-ups for a job that is due later, for a program that begins to wait for the end of one, for a job that is to end, and for
hosts that are asked for something; any other is `class:priority`, or `class:priority:job`, of one that is ready now."""
Pair = tuple[int, int]
"""(class id, priority)."""
RETRY_S = 0.25
"""How long to leave a connection alone that could not be made: to try may take long, and claims would have to wait."""
ID_DIGITS_MAX = 18
"""Any such number is a bigint."""


class Wakeups(Protocol):
    """A connection that listens."""

    def wait(self, timeout_s: float) -> list[str] | None: ...
    def pause(self, timeout_s: float) -> None: ...
    def interrupt(self) -> None: ...


class Hearer(Protocol):
    """Whom announcements are passed on to."""

    def hear(self, pairs: list[Pair]) -> None: ...
    def hear_anew(self, heard: bool) -> None: ...


class Listener:
    """The sleep of one thread. Modes: hearing; deaf (the connection is lost, or was never made: sleeps without, and tries again)."""

    def __init__(
        self,
        *,
        wakeups: Wakeups,
        claimer: Hearer,
        later: Callable[[], None],
        waiters: Callable[[], None],
        cancel: Callable[[], None],
        request: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._wakeups = wakeups
        self._claimer = claimer
        self._later = later
        self._waiters = waiters
        self._cancel = cancel
        self._request = request
        self._clock = clock
        self._hears = False
        self._deaf_until = float("-inf")

    def wake(self) -> None:
        """End the sleep that is under way, else the next one; from any thread."""
        self._wakeups.interrupt()

    def sleep(self, wait_s: float) -> None:
        """Sleep for so long at the most, and pass on what wakes."""
        deaf_s = self._deaf_until - self._clock()
        if deaf_s > 0:
            self._wakeups.pause(min(wait_s, deaf_s))
            return
        try:
            payloads = self._wakeups.wait(wait_s)
        except StoreUnavailable:
            self._deaf_until = self._clock() + RETRY_S
            if self._hears:
                self._hears = False
                self._claimer.hear_anew(False)
            return
        if payloads is None:
            self._hears = True
            self._claimer.hear_anew(True)
        elif payloads:
            self._pass_on(payloads)

    def _pass_on(self, payloads: list[str]) -> None:
        pairs = {_read(payload) for payload in payloads if payload not in (LATER, WAITERS, CANCEL, REQUEST)}
        if None in pairs:
            self._claimer.hear([])
        if known := [pair for pair in pairs if pair is not None]:
            self._claimer.hear(known)
        if LATER in payloads:
            self._later()
        if WAITERS in payloads:
            self._waiters()
        if CANCEL in payloads:
            self._cancel()
        if REQUEST in payloads:
            self._request()


def _read(payload: str) -> Pair | None:
    """Read a payload; None for what is none of ours: anybody may notify a channel."""
    fields = payload.split(":")
    if not 2 <= len(fields) <= 3 or not all(field.isdecimal() and len(field) <= ID_DIGITS_MAX for field in fields):
        return None
    class_id, priority = int(fields[0]), int(fields[1])
    # A claim of one out of range would fail, be asked again, and nothing else would be claimed any more.
    return (class_id, priority) if priority <= PRIORITY_MAX else None
