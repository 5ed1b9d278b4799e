"""What somebody has to do for the whole database, and every supervisor does: promote, expire, reap, sweep, prune, make partitions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.failpoints import passing
from farm.model import Beat, HorizonHolder
from farm.supervisor.counts.figures import UpkeepFigures
from farm.supervisor.log.events import Event, event
from farm.supervisor.upkeep.horizon import Horizon
from farm.units import counted

PROMOTE_MAX = 2_000
EXPIRE_MAX = 1_000
DUE_S_MIN = 0.005
SWEEP_MAX = 1_000
"""Requests to cancel jobs that one step looks at."""
PARTITIONS_EVERY_S = 5.0
PRUNE_EVERY_S = 60.0

log = logging.getLogger("farm")


class UpkeepStore(Protocol):
    """What upkeep asks of the store."""

    def live_hosts(self) -> tuple[list[Beat], float]: ...
    def retired_with_leases(self) -> Sequence[int]: ...
    def reap(self, host_id: int, started: Sequence[int] | None) -> tuple[int, int, int]: ...
    def end_stuck_commits(self) -> int: ...
    def promote(self, jobs_max: int) -> tuple[int, float | None]: ...
    def expire(self, jobs_max: int) -> tuple[int, float | None]: ...
    def any_cancels(self) -> bool: ...
    def sweep_cancels(self, above_id: int, jobs_max: int) -> tuple[int, int | None, int]: ...
    def keep_partitions_ahead(self) -> int: ...
    def prune_hosts(self) -> Sequence[int]: ...
    def prune_waiters(self) -> None: ...
    def prune_requests(self) -> None: ...
    def horizon(self) -> Sequence[HorizonHolder]: ...


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
    """A part. Sleeps until the earliest scheduled job is due or the next one expires, or until the next round."""

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
        self.promote_every_s = promote_every_s
        self._promoted = promoted
        self._reap_at = 0.0
        self._sweep_at = 0.0
        self._sweep_above = 0
        """Where the sweep of requests to cancel jobs goes on, 0: from the beginning, when its time has come."""
        self._partitions_at = 0.0
        self._prune_at = 0.0
        self._horizon = Horizon()
        self.figures = UpkeepFigures()

    def hear_of_cancel(self) -> None:
        """Sweep at the next step; from any thread."""
        self._sweep_at = 0.0

    def step(self, now: float) -> float:
        """Promote what is due and end what expires; reap, keep partitions ahead, sweep and prune when their time has come."""
        try:
            # What only upkeep does for the dead comes first: nothing that is in the way of the rest may keep it from being done.
            if now >= self._reap_at:
                self._reap_at = now + self._reap_every_s
                self._reap(now)
            if now >= self._partitions_at:
                self._partitions_at = now + PARTITIONS_EVERY_S
                self._store.keep_partitions_ahead()
            passing("upkeep.before_promote")
            moved, next_due_s = self._store.promote(PROMOTE_MAX)
            self.figures.jobs_promoted += moved
            if moved:
                passing("upkeep.after_promote")
                self._promoted()
            expired, next_expiry_s = self._store.expire(EXPIRE_MAX)
            self.figures.jobs_expired += expired
            if now >= self._sweep_at or self._sweep_above:
                self._sweep(now)
            if now >= self._prune_at:
                self._prune_at = now + PRUNE_EVERY_S
                self._store.prune_hosts()
                self._store.prune_waiters()
                self._store.prune_requests()
                self.figures.horizon_age_s = self._horizon.note(self._store.horizon(), now)
        except StoreUnavailable:
            self._watch.begin_anew()
            raise
        if moved >= PROMOTE_MAX or expired >= EXPIRE_MAX or self._sweep_above:
            return 0.0
        # A look at the hosts that comes late starts all watches anew: with a short lease, late every time means never.
        wait_s = min(self.promote_every_s, self._reap_at - now)
        for due_s in (next_due_s, next_expiry_s):
            # What is due and was not taken is locked by somebody: it is looked at again, but not at once for ever.
            wait_s = wait_s if due_s is None else min(wait_s, max(due_s, DUE_S_MIN))
        return max(0.0, wait_s)

    def _sweep(self, now: float) -> None:
        """Look at the next requests to cancel jobs; what is more than a step's worth is left for the next one."""
        self._sweep_at = now + self._reap_every_s
        if not self._sweep_above and not self._store.any_cancels():
            return
        looked, last_id, cancelled = self._store.sweep_cancels(self._sweep_above, SWEEP_MAX)
        self._sweep_above = last_id if last_id is not None and looked >= SWEEP_MAX else 0
        if cancelled:
            log.info("cancelled %s that had come back or were waiting", counted(cancelled, "job"))

    def _reap(self, now: float) -> None:
        beats, server_up_s = self._store.live_hosts()
        for beat in self._watch.look(beats, server_up_s, now):
            passing("upkeep.before_retire")
            if self._retire(beat.host_id, beat.beat):
                self.figures.hosts_retired += 1
                retired = event(Event.RETIRED, host_id=beat.host_id)
                log.warning("host %d has not beaten for a lease time: retired, its jobs are taken over", beat.host_id, extra=retired)
        for host_id in self._store.retired_with_leases():
            passing("upkeep.before_reap")
            jobs, started, leases = self._store.reap(host_id, None)
            passing("upkeep.after_reap")
            self.figures.jobs_reaped += jobs
            self.figures.leases_reaped += leases
            if jobs:
                reaped = event(Event.REAPED, host_id=host_id, jobs=jobs, started=started)
                text = "reaped %s of host %d, %s of them known to have started"
                log.warning(text, counted(jobs, "job"), host_id, f"{started:,}", extra=reaped)
                self._promoted()
            elif not leases and (ended := self._store.end_stuck_commits()):
                self.figures.commits_ended += ended
                # Its leases are locked. As a rule that is over in a moment, or somebody else is reaping.
                log.warning("ended %s whose writer is gone: they held leases of host %d", counted(ended, "commit"), host_id)
