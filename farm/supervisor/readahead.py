"""Rows of jobs that were announced, read while they are being claimed: on an idle farm that is a round trip less until they start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from farm.model import JobRow

ROWS_MAX = 64
ANNOUNCED_MAX = 8
"""More at once are no trickle: they are read in batches, behind their claim."""


class Reads(Protocol):
    """Where jobs are read."""

    def read_jobs(self, job_ids: Sequence[int]) -> Sequence[JobRow]: ...


class ReadAhead:
    """Filled by the thread that hears announcements, emptied by the one that claims. Jobs never change, so a row is never stale."""

    def __init__(self, store: Reads) -> None:
        self._store = store
        self._rows: dict[int, JobRow] = {}

    def fill(self, job_ids: Sequence[int]) -> None:
        """Read the rows of announced jobs. Those that somebody else claims are forgotten when newer ones come."""
        if not 0 < len(job_ids) <= ANNOUNCED_MAX:
            return
        if len(self._rows) > ROWS_MAX:
            self._rows.clear()
        for row in self._store.read_jobs(job_ids):
            self._rows[row.job_id] = row

    def take(self, job_ids: Sequence[int]) -> list[JobRow] | None:
        """Return the rows of these jobs if all of them are here."""
        if len(job_ids) > ANNOUNCED_MAX:
            return None
        rows = [self._rows.pop(job_id, None) for job_id in job_ids]
        found = [row for row in rows if row is not None]
        return found if len(found) == len(rows) else None
