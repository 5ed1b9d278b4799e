"""Where held jobs came from: for each lease the queues that it was claimed from, and what its jobs need of a lane. Main thread only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

KEPT_MIN = 1024
"""Leases that are remembered before it is looked which of them are gone: to look walks over all that is held, so it is done seldom."""


class Origin(NamedTuple):
    """What one claim was for. It may cover several queues, so which of them a job is of is known for small claims only."""

    queues: frozenset[str]
    memory_mb: int = 0
    """The memory class of its jobs, the same for all of a claim; 0: none."""


NOWHERE = Origin(frozenset())
"""Of a lease that is not known: nobody but its own lane may be given its jobs."""


class Origins:
    """One entry for each claim, none for each job. What is decided by it is decided for all jobs of a lease alike."""

    def __init__(self, *, in_use: Callable[[], Iterable[int]], kept_min: int = KEPT_MIN) -> None:
        """in_use: the leases of all jobs that this host holds; asked once in a while, so that the others can be forgotten."""
        self._in_use = in_use
        self._kept_min = self._kept_max = kept_min
        self._by_lease: dict[int, Origin] = {}

    def __len__(self) -> int:
        return len(self._by_lease)

    def note(self, lease_id: int, origin: Origin) -> None:
        """Take in where a lease was claimed from."""
        self._by_lease[lease_id] = origin
        if len(self._by_lease) > self._kept_max:
            in_use = {lease_id, *self._in_use()}
            self._by_lease = {lease: of for lease, of in self._by_lease.items() if lease in in_use}
            self._kept_max = max(self._kept_min, 2 * len(self._by_lease))

    def of(self, lease_id: int) -> Origin:
        """Return where a lease was claimed from; NOWHERE if that is not known."""
        return self._by_lease.get(lease_id, NOWHERE)

    def queues(self, lease_id: int) -> frozenset[str]:
        """Return the queues that a lease may hold jobs of."""
        return self.of(lease_id).queues
