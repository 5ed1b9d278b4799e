"""What running jobs have said of their progress, as their hosts have passed it on."""

from __future__ import annotations

from collections.abc import Sequence

from farm.headway import Progress
from farm.store.session import Session, bigint_array


class ProgressStore:
    """The statement that reads it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self, job_ids: Sequence[int]) -> dict[int, Progress]:
        """Return what those of these jobs have said that run and have said anything."""
        rows = self._session.fetch("list_progress", {"job_ids": bigint_array(job_ids)})
        return {job_id: Progress(fraction, text) for job_id, fraction, text in rows}
