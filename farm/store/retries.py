"""Jobs that are tried again by hand after their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from fnmatch import translate
from re import compile as compile_pattern

from farm.store.session import Session, bigint_array

RETRY_JOBS_MAX = 1000
"""In one transaction: it holds nobody up for long."""
LIST_JOBS_MAX = 10_000


class RetryStore:
    """The statements of a retry by hand."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def failed(self, *, queue: str | None = None, task: str | None = None, since: datetime | None = None) -> Iterator[int]:
        """Give the jobs that have failed, in the order of their ids: of a queue, of tasks that match a pattern, since a time."""
        matches = compile_pattern(translate("*" if task is None else task)).match
        params = {"queue": queue, "since": since, "limit": LIST_JOBS_MAX}
        above_id = 0
        while rows := self._session.transact("list_failed", {**params, "above_id": above_id}):
            yield from (job_id for job_id, name in rows if name is not None and matches(name))
            above_id = rows[-1][0]

    def retry(self, job_ids: Sequence[int], *, by: str | None) -> list[int]:
        """Make those ready again that have failed or were cancelled, up to RETRY_JOBS_MAX; returns them, in the order of their ids.

        by: who wants it, for the job's history; None: the user of the database.
        """
        assert len(job_ids) <= RETRY_JOBS_MAX
        return [row[0] for row in self._session.fetch("retry_jobs", {"job_ids": bigint_array(job_ids), "by": by})]

    def now(self) -> datetime:
        """Return the database's time."""
        moment: datetime = self._session.fetch("read_clock")[0][0]
        return moment
