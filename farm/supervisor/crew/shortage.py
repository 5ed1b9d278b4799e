"""Says in the log when a lane has fewer subworkers than it should, and when it has them all again: once, and now and then."""

from __future__ import annotations

import logging

from farm.supervisor.log.events import Event, event

AGAIN_S = 60.0
"""The same is said again after this time; something else at once."""

log = logging.getLogger("farm")


class Shortage:
    """What a lane is short of, and what was said of it."""

    def __init__(self, lane: str, full: int) -> None:
        self.full = full
        """How many subworkers it should have."""
        self._lane = lane
        self._why = ""
        self._why_no_spare = ""
        self._said = ""
        self._said_at = float("-inf")

    @property
    def why(self) -> str:
        """Why a subworker is missing, or, if none is, why there is no spare one; "" if all are there."""
        return self._why or (f"no spare subworker: {self._why_no_spare}" if self._why_no_spare else "")

    def note(self, present: int, why: str, now: float) -> None:
        """Take in that a subworker is missing."""
        self._why = why
        if self._is_news(f"lane {self._lane} has {present} of {self.full} subworkers: {why}", now):
            short = event(Event.LANE_SHORT, lane=self._lane, why=why)
            log.error("%s; it is tried again and again, up to every 5 s", self._said, extra=short)

    def note_full(self) -> None:
        """Take in that none is missing."""
        if self._why:
            self._why = self._said = ""
            log.warning("lane %s has all its subworkers again", self._lane, extra=event(Event.LANE_FULL, lane=self._lane))

    def note_no_spare(self, why: str, now: float) -> None:
        """Take in that there is no spare one: it is missed only if the lane comes to need it, or somebody is due to be replaced."""
        self._why_no_spare = why
        if not self._why and self._is_news(f"lane {self._lane} has no spare subworker: {why}", now):
            short = event(Event.LANE_SHORT, lane=self._lane, why=why)
            log.warning("%s; it is tried again and again, up to every 5 s", self._said, extra=short)

    def note_spare(self) -> None:
        """Take in that there is one."""
        self._why_no_spare = ""

    def _is_news(self, said: str, now: float) -> bool:
        if said == self._said and now < self._said_at + AGAIN_S:
            return False
        self._said, self._said_at = said, now
        return True
