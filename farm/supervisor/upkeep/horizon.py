"""What keeps the database from cleaning up: a transaction that somebody leaves open, a replication slot that nobody reads.

As long as it is there, nothing that was claimed or committed since can be cleaned up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from farm.model import HorizonHolder
from farm.supervisor.log.events import Event, event
from farm.units import format_duration

OPEN_S = 600.0
"""A dump of a large database takes as long; much more is as a rule a session that somebody forgot."""
SAY_AGAIN_S = 3600.0

Key = tuple[str, int | None, str]

log = logging.getLogger("farm")


class Since:
    """Knows since when those hold whose age the database does not know: for as long as they stand still before our eyes."""

    def __init__(self) -> None:
        self._seen: dict[Key, tuple[int, float]] = {}
        """The transactions that had begun since, and when that was first so (monotonic, in seconds)."""

    def note(self, holders: Sequence[HorizonHolder], now: float) -> list[HorizonHolder]:
        """Take in those of now; returns them with their ages, at least so long."""
        before, self._seen = self._seen, {}
        aged = []
        for holder in holders:
            if holder.age_s is None:
                key = _key(holder)
                transactions, since = before.get(key, (holder.transactions, now))
                # Fewer than before: it has moved on.
                since = since if holder.transactions >= transactions else now
                self._seen[key] = holder.transactions, since
                holder = holder._replace(age_s=now - since)
            aged.append(holder)
        return aged


class Horizon:
    """Says it in the log: once of each, and once more every hour."""

    def __init__(self) -> None:
        self._since = Since()
        self._said: Key | None = None
        self._quiet_until = float("-inf")

    def note(self, holders: Sequence[HorizonHolder], now: float) -> float:
        """Take in those that hold it, the oldest first; now is monotonic, in seconds. Returns the age of the oldest, 0 without any."""
        aged = self._since.note(holders, now)
        self._say(aged, now)
        return max((holder.age_s or 0.0 for holder in aged), default=0.0)

    def _say(self, aged: Sequence[HorizonHolder], now: float) -> None:
        oldest = next((holder for holder in aged if (holder.age_s or 0.0) >= OPEN_S), None)
        if oldest is None:
            self._said = None
            return
        key = _key(oldest)
        if key == self._said and now < self._quiet_until:
            return
        self._said, self._quiet_until = key, now + SAY_AGAIN_S
        held = event(Event.HORIZON_HELD, holder=str(oldest), age_s=oldest.age_s or 0.0)
        age = format_duration(oldest.age_s or 0.0)
        log.warning("%s keeps all that was done in the last %s from being cleaned up", oldest, age, extra=held)


def _key(holder: HorizonHolder) -> Key:
    return holder.kind, holder.pid, holder.who
