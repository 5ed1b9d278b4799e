"""How jobs ended, for those who wait for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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
        return _ends(self._session.fetch("read_ends", _params(job_ids)))

    def register(self, job_ids: Sequence[int], *, first: bool) -> list[End]:
        """Return the jobs that exist, and ask to be told of those that have not ended.

        first: the writers may not know that somebody waits. A job whose end is being committed may be neither here nor told of.
        """
        return _ends(self._session.fetch("register_waiters", {**_params(job_ids), "first": first}))

    def forget(self, job_ids: Sequence[int]) -> None:
        """Ask no longer."""
        self._session.fetch("forget_waiters", {"job_ids": bigint_array(job_ids)})


def _params(job_ids: Sequence[int]) -> dict[str, Any]:
    return {"job_ids": bigint_array(job_ids), "lowest_id": min(job_ids), "highest_id": max(job_ids)}


def _ends(rows: Iterable[Sequence[Any]]) -> list[End]:
    return [End(job_id, status, attempts or 0, value or "null", error or "{}") for job_id, status, attempts, value, error, *_ in rows]
