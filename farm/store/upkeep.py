"""What every host does for all: find dead hosts, take back what they held, promote what is due, keep partitions ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from farm.model import Beat, HorizonHolder
from farm.retry import NO_POLICIES, Policies
from farm.store.session import DEADLINE_S_DEFAULT, Session, bigint_array

PARTITION_DEADLINE_S = 30.0
"""Attaching a partition may have to wait for a manual ANALYZE or the like on its parents."""

STUCK_S = 2 * DEADLINE_S_DEFAULT
"""A writer gives up a commit in half of that."""


class Beats(NamedTuple):
    """The living hosts, and how long the server has been up: a reaper gives hosts time to come back after a restart."""

    hosts: list[Beat]
    server_age_s: float


class Reaped(NamedTuple):
    """What one reap took back."""

    jobs: int
    started: int
    """Those of them that were known to have started: an attempt was used."""
    leases: int
    """Those that are ended by it, also where nothing was open in them any more."""


class Promoted(NamedTuple):
    """What one promotion moved."""

    jobs: int
    """As many as were allowed: go on at once."""
    next_due_s: float | None
    """Seconds until the next one is due, None if nothing waits."""


class Expired(NamedTuple):
    """What one look at jobs that expire has come to."""

    jobs: int
    """Taken off the list; as many as were allowed: go on at once."""
    next_due_s: float | None
    """Seconds until the next one expires, None if none does."""


class Swept(NamedTuple):
    """What one look at requests to cancel jobs has come to."""

    looked: int
    """As many as were allowed: go on with those above the last one."""
    last_id: int | None
    cancelled: int


class UpkeepStore:
    """The statements of the upkeep thread. All may be done by every host at once: what one has locked, the others pass over."""

    def __init__(self, session: Session, policies: Policies = NO_POLICIES) -> None:
        """policies: how often jobs may be started, as far as they do not say so themselves."""
        self._session = session
        self.policies = policies

    def live_hosts(self) -> Beats:
        """Return the beat of every host that is not retired."""
        rows = self._session.fetch("list_beats")
        return Beats([Beat(host_id, beat) for host_id, beat, _ in rows if host_id is not None], rows[0][2])

    def retired_with_leases(self) -> list[int]:
        """Return the hosts that hold leases and do not live: retired, or without a row."""
        return [row[0] for row in self._session.transact("list_orphaned_hosts")]

    def reap(self, host_id: int, started: Sequence[int] | None) -> Reaped:
        """Take up to 20 leases from a host that does not live.

        started: the jobs that its own memory shows as started; None: believe its last heartbeat. A lease that somebody else has
        locked is passed over: repeat until leases_left says 0.
        """
        params: dict[str, Any] = {"host_id": host_id, "started": None if started is None else bigint_array(started)}
        # The running set of a host that does not live no longer changes.
        tasks = [row[0] for row in self._session.transact("list_started_tasks", params)] if self.policies.limits_attempts else []
        limits = {task: limit for task in tasks if (limit := self.policies.of(task).max_attempts) is not None}
        params |= {"tasks": list(limits), "limits": list(limits.values())}
        jobs, ran, leases, _ = self._session.transact("reap_leases", params)[0]
        return Reaped(jobs, ran, leases)

    def leases_left(self, host_id: int) -> int:
        """Count the leases of a host."""
        return cast(int, self._session.transact("count_leases", {"host_id": host_id})[0][0])

    def promote(self, jobs_max: int) -> Promoted:
        """Move up to jobs_max jobs that are due to where they can be claimed."""
        # Nothing is due most of the time, and to see that costs a quarter of what moving nothing would.
        due = self._session.fetch("find_due")
        if not due or due[0][0] > 0:
            return Promoted(0, due[0][0] if due else None)
        jobs, next_due_s, _ = self._session.transact("promote_jobs", {"jobs_max": jobs_max})[0]
        return Promoted(jobs, next_due_s)

    def expire(self, jobs_max: int) -> Expired:
        """End up to jobs_max jobs whose time has come and that have not started."""
        due = self._session.fetch("find_expiry")
        if not due or due[0][0] > 0:
            return Expired(0, due[0][0] if due else None)
        jobs = self._session.fetch("expire_jobs", {"jobs_max": jobs_max})[0][0]
        due = self._session.fetch("find_expiry")
        return Expired(jobs, due[0][0] if due else None)

    def any_cancels(self) -> bool:
        """Tell whether a request to cancel a job stands."""
        return cast(bool, self._session.fetch("find_cancels")[0][0])

    def sweep_cancels(self, above_id: int, jobs_max: int) -> Swept:
        """Settle up to jobs_max requests to cancel jobs, of jobs above this id: those whose jobs wait, or have ended."""
        return Swept(*self._session.fetch("sweep_cancels", {"above_id": above_id, "jobs_max": jobs_max})[0])

    def keep_partitions_ahead(self) -> int:
        """Make partitions so that two are ahead of the ids given out; returns how many were made."""
        return cast(int, self._session.fetch("keep_partitions_ahead", deadline_s=PARTITION_DEADLINE_S)[0][0])

    def prune_hosts(self) -> list[int]:
        """Forget the heartbeats of hosts that were retired more than an hour ago and hold nothing; returns their ids."""
        return [row[0] for row in self._session.fetch("prune_hosts")]

    def prune_waiters(self) -> None:
        """Forget those who waited for the end of a job and are gone."""
        self._session.fetch("prune_waiters")

    def prune_requests(self) -> None:
        """Forget what was asked of hosts an hour ago."""
        self._session.fetch("prune_requests")

    def end_stuck_commits(self) -> int:
        """End commits whose writer is gone without a word and which hold leases; returns how many."""
        return len(self._session.fetch("end_stuck_commits", {"older_than_s": STUCK_S}))

    def horizon(self) -> list[HorizonHolder]:
        """Return what keeps this database from cleaning up, at most five, what has done so for longest first."""
        return [HorizonHolder(*row) for row in self._session.fetch("list_horizon")]
