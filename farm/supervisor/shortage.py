"""Says in the log when a lane has fewer subworkers than it should, and when it has them all again: once, and now and then."""

from __future__ import annotations

import logging

AGAIN_S = 60.0
"""The same is said again after this time; something else at once."""

log = logging.getLogger("farm")


class Shortage:
    """What was said of one lane."""

    def __init__(self, lane: str, full: int) -> None:
        self._lane = lane
        self._full = full
        self._said = ""
        self._said_at = float("-inf")
        self.why = ""
        """Why a subworker is missing, "" if none is."""

    def note(self, present: int, why: str, now: float) -> None:
        """Take in that a subworker is missing."""
        self.why = why
        said = f"lane {self._lane} has {present} of {self._full} subworkers: {why}"
        if said != self._said or now >= self._said_at + AGAIN_S:
            self._said, self._said_at = said, now
            log.error("%s; it is tried again and again, up to every 5 s", said)

    def note_full(self) -> None:
        """Take in that none is missing."""
        self.why = ""
        if self._said:
            self._said = ""
            log.warning("lane %s has all its subworkers again", self._lane)
