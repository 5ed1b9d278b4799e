"""Ending jobs that nobody wants any more, and moving those that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg

from farm.errors import InvalidJob
from farm.store.session import Session, bigint_array


class Cancelled(NamedTuple):
    """What a cancel did to how many jobs."""

    cancelled: int
    """They waited, and are final."""
    asked: int
    """A host has them, or somebody just takes or moves them: they end soon."""
    ended: int
    """They had ended before: that stands."""
    unknown: int

    def __add__(self, other: tuple[int, ...]) -> Cancelled:  # type: ignore[override]
        return Cancelled(*map(sum, zip(self, other, strict=True)))


class Changed(NamedTuple):
    """What a change of queue entries did to how many jobs."""

    changed: int
    held: int
    """A host has them, or somebody just takes or moves them: they stay as they are."""
    ended: int
    unknown: int

    def __add__(self, other: tuple[int, ...]) -> Changed:  # type: ignore[override]
        return Changed(*map(sum, zip(self, other, strict=True)))


class CancelStore:
    """Each call is one transaction. What somebody else has locked is passed over, so none of them waits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def cancel(self, job_ids: Sequence[int], reason: str | None = None, *, waiting: bool = True, held: bool = True) -> Cancelled:
        """Make jobs final that wait, and ask the hosts of the others to end them. waiting, held: leave out the one or the other."""
        params = {"job_ids": bigint_array(job_ids), "reason": reason, "waiting": waiting, "held": held}
        return Cancelled(*self._session.fetch("cancel_jobs", params)[0])

    def change(
        self, job_ids: Sequence[int], *, queue: str | None = None, priority: int | None = None, run_at: datetime | None = None
    ) -> Changed:
        """Change the queue, the priority or the time of jobs that wait; what is None stays. Raises InvalidJob for what is no such thing."""
        params = {"job_ids": bigint_array(job_ids), "queue": queue, "priority": priority, "run_at": run_at}
        try:
            return Changed(*self._session.fetch("change_jobs", params)[0])
        except psycopg.DataError as error:
            raise InvalidJob(error.diag.message_primary or str(error)) from error
