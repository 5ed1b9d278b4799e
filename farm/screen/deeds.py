"""What keys of a screen do to jobs, through the database: cancel, retry, and all that is known of one. Connects when it is first needed."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from farm.errors import FarmError
from farm.model import State

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
        """Return a job with all of its attempts, as ReadStore.job, and the log of the newest under `logs`: also of one that runs here."""
        from farm.store.reads import ReadStore

        reads = ReadStore(self.session)
        job = reads.job(job_id)
        if job is None:
            raise FarmError(f"there is no job {job_id} any more")
        attempts = job["attempts"]
        log = attempts[-1]["log"] if attempts else None
        if job["state"] == State.RUNNING:
            host_id = reads.host_that_runs(job_id)
            log = None if host_id is None else _printed_here(host_id, job_id)
        return {**job, "logs": log}

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


def _printed_here(host_id: int, job_id: int) -> str | None:
    """Return the end of what a job prints that runs on this machine; None if it does not, or has printed nothing."""
    from farm.home import farm_home
    from farm.shm.running import find_here

    running = find_here(farm_home(), host_id=host_id, job_id=job_id)
    if running is None:
        return None
    try:
        tail = running.read(0)
        return None if tail is None else tail.text.decode("utf-8", "replace")
    finally:
        running.close()


def _who() -> str | None:
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):
        return None
