"""Every error that farm raises on purpose. Exceptions are for the world's mistakes; assertions are for ours."""

from __future__ import annotations

from collections.abc import Sequence


class FarmError(Exception):
    """Something a user can act on: its text is one line that says what and what to do. Commands end with exit code 2."""


class ConfigError(FarmError):
    """A configuration that cannot be used: every problem found, each as `file:line:column: path: message`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class InvalidJob(FarmError):
    """Arguments of an enqueue that cannot become a job; nothing was enqueued."""


class StoreError(FarmError):
    """The database refused or cannot be used as asked."""


class StoreUnavailable(StoreError):
    """The database is away, or a call passed its deadline: its outcome is unknown, ask again on a new connection."""


class StoreExhausted(StoreUnavailable):
    """The database answers, but its disk is full, or it has run out of something else."""


class SchemaMismatch(StoreError):
    """The schema in the database is missing, older, or newer than this farm."""


class JobFailed(FarmError):
    """A job that was waited for has failed for good; its text is one line, `traceback` that of its last attempt (may be empty)."""

    ENDED = "failed"

    def __init__(self, job_id: int, *, kind: str, message: str, traceback: str, attempts: int) -> None:
        self.job_id = job_id
        self.type = kind
        """The name of the exception's class, or why it ended: Crashed, TimedOut, MemoryError and so on."""
        self.message = message
        self.traceback = traceback
        self.attempts = attempts
        """How many were used, the last one included."""
        super().__init__(f"job {job_id} {self.ENDED} after {attempts} {'attempt' if attempts == 1 else 'attempts'}: {kind}: {message}")


class JobCancelled(JobFailed):
    """A job that was waited for was cancelled."""

    ENDED = "was cancelled"


class NoSuchJob(FarmError):
    """There is no job with this id: it never was, or the transaction in which it is filed has not been committed yet."""


class WaitTimeout(FarmError, TimeoutError):
    """A job has not ended within the time that was given; it goes on."""


class EmbeddedError(FarmError):
    """The embedded PostgreSQL cannot be found, started or adopted."""


class StateDirBusy(FarmError):
    """Another farm holds this state directory."""


class RunnerError(FarmError):
    """A runner cannot be set up as configured; option names the key of its section that is wrong ("" for the section)."""

    def __init__(self, option: str, message: str) -> None:
        self.option = option
        super().__init__(message)


class RingBroken(Exception):
    """The bytes of a ring make no sense: the process on its other side has scribbled over it."""
