"""What keys of a screen do to jobs, through the database: cancel, retry, and all that is known of one. Connects when it is first needed."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from farm.errors import FarmError

if TYPE_CHECKING:
    from farm.store.session import Session

OpenSession = Callable[[], AbstractContextManager["Session"]]


class Deeds:
    """Every method raises FarmError with one line that can be shown."""

    def __init__(self, open_session: OpenSession) -> None:
        self._open_session = open_session
        self._stack = ExitStack()
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The connection, made now if there is none yet. Raises FarmError."""
        if self._session is None:
            self._session = self._stack.enter_context(self._open_session())
        return self._session

    def job(self, job_id: int) -> dict[str, Any]:
        """Return a job with all of its attempts, as ReadStore.job."""
        from farm.store.reads import ReadStore

        job = ReadStore(self.session).job(job_id)
        if job is None:
            raise FarmError(f"there is no job {job_id} any more")
        return job

    def cancel(self, job_id: int) -> str:
        """Cancel one job; returns in words what that did."""
        from farm.store.cancels import CancelStore

        done = CancelStore(self.session).cancel([job_id])
        if done.cancelled:
            return f"job {job_id} is cancelled"
        if done.asked:
            return f"job {job_id} is asked to end"
        if done.ended:
            return f"job {job_id} had ended before"
        raise FarmError(f"there is no job {job_id}")

    def retry(self, job_id: int) -> str:
        """Make a job ready again that has failed or was cancelled; returns in words that it is."""
        from farm.store.retries import RetryStore

        if not RetryStore(self.session).retry([job_id], by=_who()):
            raise FarmError(f"job {job_id} has not failed, nor was it cancelled")
        return f"job {job_id} is ready again"

    def close(self) -> None:
        """Close the connection; may be called again."""
        self._session = None
        self._stack.close()


def _who() -> str | None:
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):
        return None
