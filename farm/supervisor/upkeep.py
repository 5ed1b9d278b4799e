"""What somebody has to do for the whole database, and every supervisor does: promote, reap, keep partitions ahead, prune."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.model import Beat, OpenTransaction
from farm.supervisor.horizon import OPEN_S, Horizon
from farm.units import counted

PROMOTE_MAX = 2_000
PARTITIONS_EVERY_S = 5.0
PRUNE_EVERY_S = 60.0

log = logging.getLogger("farm")


class UpkeepStore(Protocol):
    """What upkeep asks of the store."""

    def live_hosts(self) -> tuple[list[Beat], float]: ...
    def retired_with_leases(self) -> Sequence[int]: ...
    def reap(self, host_id: int, started: Sequence[int] | None) -> tuple[int, int]: ...
    def end_stuck_commits(self) -> int: ...
    def promote(self, jobs_max: int) -> tuple[int, float | None]: ...
    def keep_partitions_ahead(self) -> int: ...
    def prune_hosts(self) -> Sequence[int]: ...
    def prune_waiters(self) -> None: ...
    def oldest_transaction(self, older_than_s: float) -> OpenTransaction | None: ...


class Watch:
    """Who has not beaten for a lease time, on our own clock. No wall clock is asked.

    A beat counts as unchanged only in an unbroken row of successful looks: after a failed or late one everybody has a whole
    lease time to beat again, so an outage of the database retires nobody.
    """

    LATE_LOOKS = 2
    """A look that comes later after the one before than this many should starts all watches anew."""

    def __init__(self, *, lease_s: float, look_every_s: float) -> None:
        # Else every look that is in time would be late, and nobody would ever be found dead.
        assert look_every_s * self.LATE_LOOKS <= lease_s
        self._lease_s = lease_s
        self._late_s = look_every_s * self.LATE_LOOKS
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked_at: float | None = None

    def begin_anew(self) -> None:
        """Forget everything: a look has failed."""
        self._seen.clear()
        self._looked_at = None

    def look(self, beats: Sequence[Beat], server_up_s: float, now: float) -> list[Beat]:
        """Take in the beats of all live hosts; returns those that have not moved for a lease time."""
        late = self._looked_at is not None and now - self._looked_at > self._late_s
        if late or server_up_s < self._lease_s:
            self._seen.clear()
        self._looked_at = now
        seen, self._seen = self._seen, {}
        for beat in beats:
            known = seen.get(beat.host_id)
            self._seen[beat.host_id] = known if known is not None and known[0] == beat.beat else (beat.beat, now)
        return [beat for beat in beats if now - self._seen[beat.host_id][1] >= self._lease_s]


class Retire(Protocol):
    """Retires a host if its beat is still the one that was watched."""

    def __call__(self, host_id: int, beat: int | None) -> bool: ...


class Upkeep:
    """A part. Sleeps until the earliest scheduled job is due, or until the next round."""

    def __init__(
        self,
        *,
        store: UpkeepStore,
        retire: Retire,
        lease_s: float,
        reap_every_s: float,
        promote_every_s: float,
        promoted: Callable[[], None],
    ) -> None:
        self._store = store
        self._retire = retire
        self._watch = Watch(lease_s=lease_s, look_every_s=reap_every_s)
        self._reap_every_s = reap_every_s
        self._promote_every_s = promote_every_s
        self._promoted = promoted
        self._reap_at = 0.0
        self._partitions_at = 0.0
        self._prune_at = 0.0
        self._horizon = Horizon()

    def step(self, now: float) -> float:
        """Promote what is due; reap, keep partitions ahead and prune when their time has come."""
        try:
            moved, next_due_s = self._store.promote(PROMOTE_MAX)
            if moved:
                self._promoted()
            if now >= self._reap_at:
                self._reap_at = now + self._reap_every_s
                self._reap(now)
            if now >= self._partitions_at:
                self._partitions_at = now + PARTITIONS_EVERY_S
                self._store.keep_partitions_ahead()
            if now >= self._prune_at:
                self._prune_at = now + PRUNE_EVERY_S
                self._store.prune_hosts()
                self._store.prune_waiters()
                self._horizon.note(self._store.oldest_transaction(OPEN_S), now)
        except StoreUnavailable:
            self._watch.begin_anew()
            raise
        if moved >= PROMOTE_MAX:
            return 0.0
        # A look at the hosts that comes late starts all watches anew: with a short lease, late every time means never.
        wait_s = min(self._promote_every_s, self._reap_at - now)
        return max(0.0, wait_s if next_due_s is None else min(wait_s, next_due_s))

    def _reap(self, now: float) -> None:
        beats, server_up_s = self._store.live_hosts()
        for beat in self._watch.look(beats, server_up_s, now):
            if self._retire(beat.host_id, beat.beat):
                log.warning("host %d has not beaten for a lease time: retired, its jobs are taken over", beat.host_id)
        for host_id in self._store.retired_with_leases():
            jobs, started = self._store.reap(host_id, None)
            if jobs:
                log.warning("reaped %s of host %d, %s of them known to have started", counted(jobs, "job"), host_id, f"{started:,}")
                self._promoted()
            elif ended := self._store.end_stuck_commits():
                # Its leases are locked. As a rule that is over in a moment, or somebody else is reaping.
                log.warning("ended %s whose writer is gone: they held leases of host %d", counted(ended, "commit"), host_id)
