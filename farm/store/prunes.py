"""Removes old finished jobs, a partition at a time: what is to stay is copied into a new one, which then takes its place."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import NamedTuple

from farm.model import Retention, TableUser
from farm.store.session import Params, Session

GOING_SHARE = 0.8
"""A partition of which less than this may go stays as it is: to copy the rest would cost more than it gains."""
GOING_SHARE_SMALL = 0.5
"""The same for a small one, of some ten thousand jobs, which is copied in a second."""
MERGED_JOBS_MAX = 1_000_000
"""What an older partition was left with is copied along up to so many jobs, so that small ones do not pile up."""
COUNT_DEADLINE_S = 600.0


class Partition(NamedTuple):
    """A range of job ids, one table each of job, result and failure."""

    number: int
    lower_id: int
    upper_id: int
    """The first id that is not in it."""
    closed: bool
    """No new job gets an id of it."""
    kept_jobs: int | None
    """How many jobs it was left with; None: it is as it was filled."""


class Sample(NamedTuple):
    """What some jobs of a partition were found to be."""

    looked: int
    going: int
    small: bool

    @property
    def due(self) -> bool:
        """True if it is worth while to put the partition together anew."""
        return self.going > 0 and self.going >= self.looked * (GOING_SHARE_SMALL if self.small else GOING_SHARE)


class Count(NamedTuple):
    """A whole partition, and what of it may go."""

    jobs: int
    unfinished: int
    succeeded: int
    failed: int
    cancelled: int
    bytes: int

    @property
    def going(self) -> int:
        """All that may go."""
        return self.succeeded + self.failed + self.cancelled


class UnderWay(NamedTuple):
    """What is left to do of what was begun."""

    pruning: bool
    leaving: bool
    """Tables are to be dropped."""


class Step(NamedTuple):
    """How far a partition is."""

    state: str
    """`copying`; `copied`: it can take its place; `none`: nothing is under way; `busy`: somebody else is at it."""
    wait_s: float
    jobs: int
    """Looked at so far."""
    kept: int
    done: float
    """From 0 to 1."""


class PruneStore:
    """The statements of retention. Each is a short transaction; what one host has begun, any may go on with."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def partitions(self) -> list[Partition]:
        """Return the partitions that jobs are in, the oldest first."""
        return [Partition(*row) for row in self._session.fetch("list_ranges")]

    def sample(self, partition: Partition, retention: Retention) -> Sample:
        """Look at 200 jobs of a partition."""
        return Sample(*self._session.fetch("sample_partition", {"number": partition.number, **_ages(retention)})[0])

    def count(self, partition: Partition, retention: Retention) -> Count:
        """Count a partition; takes about a second for a million jobs."""
        params = {"number": partition.number, **_ages(retention)}
        return Count(*self._session.fetch("count_partition", params, deadline_s=COUNT_DEADLINE_S)[0])

    def begin_next(self, older_than_s: float) -> bool:
        """Have new jobs go into the next partition, if the oldest job of this one is as old as that; False: not now."""
        return bool(self._session.fetch("begin_next_partition", {"older_than_s": older_than_s})[0][0])

    def take_look(self, every_s: float) -> bool:
        """Take the turn to look for what is due; False: some host has, in the last every_s."""
        return bool(self._session.fetch("take_look", {"every_s": every_s}))

    def due(self, retention: Retention, *, looking_s: float = inf) -> tuple[Partition, Partition] | None:
        """Return the oldest partition of which enough may go, behind the first of those that go along with it; None: there is none.

        looking_s: after so long no further partition is looked at. What was read from a slow disk is read from memory the next time.
        """
        before: Partition | None = None
        until = monotonic() + looking_s
        for partition in self.partitions():
            if monotonic() > until:
                break
            if partition.closed and self.sample(partition, retention).due:
                return mergeable(before) or partition, partition
            before = partition
        return None

    def begin_due(self, retention: Retention, *, looking_s: float = inf) -> bool:
        """Begin with what is due(); False: nothing is, or somebody is in the way."""
        neighbours = self.due(retention, looking_s=looking_s)
        return neighbours is not None and self.begin(*neighbours, retention)

    def begin(self, first: Partition, last: Partition, retention: Retention) -> bool:
        """Begin to make one new partition of these neighbours, without what may go by now; False: not now."""
        return bool(self._session.fetch("begin_pruning", {"first": first.number, "last": last.number, **_ages(retention)})[0][0])

    def under_way(self) -> UnderWay:
        """Tell what was begun, by whomever."""
        return UnderWay(*self._session.fetch("find_pruning")[0])

    def go_on(self, jobs_max: int, share: float) -> Step:
        """Look at the next jobs_max jobs, then rest so long that this is a share of the time, of all hosts together."""
        state, wait_s, jobs, kept, done = self._session.fetch("go_on_pruning", {"jobs_max": jobs_max, "share": share})[0]
        return Step(state, wait_s, jobs or 0, kept or 0, done or 0.0)

    def spare(self, retention: Retention) -> str:
        """Give up what is under way if it was begun with shorter times than these: `spared`, `none`, or `busy` (to be asked again)."""
        return str(self._session.fetch("spare_range", _ages(retention))[0][0])

    def finish(self, lock_ms: int) -> str:
        """Have a copied partition take its place: `pruned`, `locked` (try again), or `none`.

        Statements on job, result and failure wait meanwhile: up to lock_ms for those who are at work there, then some milliseconds.
        """
        return str(self._session.fetch("finish_pruning", {"lock_ms": lock_ms})[0][0])

    def in_the_way(self) -> TableUser | None:
        """Return the oldest transaction that is at work on the tables just now."""
        rows = self._session.fetch("find_table_user")
        return TableUser(*rows[0]) if rows else None

    def drop(self) -> bool:
        """Drop a table of an old partition; False: there is none, or somebody reads it."""
        return bool(self._session.fetch("drop_pruned")[0][0])


def mergeable(partition: Partition | None) -> Partition | None:
    """Return the partition if it is a small rest, which is copied along with its newer neighbour."""
    small = partition is not None and partition.kept_jobs is not None and partition.kept_jobs <= MERGED_JOBS_MAX
    return partition if small else None


def _ages(retention: Retention) -> Params:
    return {"succeeded_s": retention.succeeded_s, "failed_s": retention.failed_s, "cancelled_s": retention.cancelled_s}
