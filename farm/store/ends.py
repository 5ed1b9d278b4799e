"""How jobs ended, for those who wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from farm.store.session import Session, bigint_array

SUCCEEDED, FAILED, CANCELLED = 1, 2, 3
"""What `status` of a result says."""


class End(NamedTuple):
    """A job that exists; status is None as long as it has not ended."""

    job_id: int
    status: int | None
    attempts: int
    value: str
    """JSON text: what it returned."""
    error: str
    """JSON text {"type", "message", "traceback"}: why it did not succeed."""


class EndStore:
    """The statements of one who waits; registering is for the session that listens, by which it is told."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self, job_ids: Sequence[int]) -> list[End]:
        """Return the jobs that exist, in no order."""
        params = {"job_ids": bigint_array(job_ids), "lowest_id": min(job_ids), "highest_id": max(job_ids)}
        return [
            End(job_id, status, attempts or 0, value or "null", error or "{}")
            for job_id, status, attempts, value, error in self._session.fetch("read_ends", params)
        ]

    def register(self, job_ids: Sequence[int], *, first: bool) -> None:
        """Ask to be told of the ends of these jobs; first: the writers may not know that somebody waits."""
        self._session.fetch("register_waiters", {"job_ids": bigint_array(job_ids), "first": first})

    def forget(self, job_ids: Sequence[int]) -> None:
        """Ask no longer."""
        self._session.fetch("forget_waiters", {"job_ids": bigint_array(job_ids)})
