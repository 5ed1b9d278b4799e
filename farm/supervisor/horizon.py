"""Warns of a transaction that somebody leaves open: as long as it is, nothing that was claimed or committed since can be cleaned up."""

from __future__ import annotations

import logging

from farm.model import OpenTransaction
from farm.units import format_duration

OPEN_S = 600.0
"""A dump of a large database takes as long; much more is as a rule a session that somebody forgot."""
SAY_AGAIN_S = 3600.0

log = logging.getLogger("farm")


class Horizon:
    """Says it once of each, and once more every hour."""

    def __init__(self) -> None:
        self._said: tuple[int | None, str] | None = None
        self._quiet_until = float("-inf")

    def note(self, oldest: OpenTransaction | None, now: float) -> None:
        """Take in the oldest one that has been open for longer than OPEN_S; now is monotonic, in seconds."""
        if oldest is None:
            self._said = None
            return
        who = (oldest.pid, oldest.who)
        if who == self._said and now < self._quiet_until:
            return
        self._said, self._quiet_until = who, now + SAY_AGAIN_S
        backend = "" if oldest.pid is None else f" (backend {oldest.pid})"
        log.warning(
            "a transaction of %s%s has been open for %s: what farm has done since cannot be cleaned up before it ends",
            oldest.who,
            backend,
            format_duration(oldest.age_s),
        )
