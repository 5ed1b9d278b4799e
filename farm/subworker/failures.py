"""What a job has come to that raised something: nearly always a failure, else what it wished for."""

from __future__ import annotations

from typing import Any, TypeGuard, TypeVar

import orjson

from farm.model import OutcomeKind
from farm.subworker.limits import MemoryLimit
from farm.subworker.results import ResultError, encode_error, error_payload
from farm.wishes import Cancel, Retry, Snooze, checked_after_s

E = TypeVar("E", bound=BaseException)
SUCCEEDED, FAILED, MEMORY = int(OutcomeKind.SUCCEEDED), int(OutcomeKind.FAILED), int(OutcomeKind.MEMORY)
CANCELLED, SNOOZED = int(OutcomeKind.CANCELLED), int(OutcomeKind.SNOOZED)


def failure_of(error: BaseException, *, skip_frames: int) -> tuple[int, Any]:
    """Return (kind, JSON text), or (MEMORY, the error), which is put into words by who knows the limit.

    skip_frames: how many of the outermost frames of its traceback are the farm's own.
    """
    if _is_a(error, ResultError):
        return FAILED, error_payload("ResultError", str(error))
    if _is_a(error, MemoryError):
        error.__traceback__ = None  # its frames hold what the job had allocated
        return MEMORY, error
    if _is_a(error, Retry) or _is_a(error, Snooze) or _is_a(error, Cancel):
        try:
            return _wish_of(error, skip_frames)
        except BaseException as wrong:
            # A class of the job's own may hold anything. What is wrong with it is what the job has come to.
            return FAILED, encode_error(wrong.with_traceback(None))
    return FAILED, encode_error(error, skip_frames=skip_frames)


def memory_error(limit: MemoryLimit, error: BaseException) -> bytes:
    """Put into words that a job has asked for more memory than it may have: an error's payload."""
    error.__traceback__ = None  # its frames hold what the job had allocated
    with limit.reserve():
        limit_mb, peak_mb = limit.memory_bytes / 1e6, limit.peak_bytes() / 1e6
        detail = f": {error}" if str(error) else ""
        return error_payload("MemoryError", f"memory limit of {limit_mb:.0f} MB reached; peak {peak_mb:.0f} MB{detail}")


def _is_a(error: BaseException, kind: type[E]) -> TypeGuard[E]:
    """Do what isinstance() does, but do not ask the object itself: its attributes may be code of the job's."""
    return issubclass(type(error), kind)


def _wish_of(error: Any, skip_frames: int) -> tuple[int, bytes]:
    if _is_a(error, Cancel):
        return CANCELLED, error_payload("Cancelled", str(error))
    if _is_a(error, Snooze):
        return SNOOZED, orjson.dumps({"after_s": checked_after_s(error.after_s)})
    more = {} if error.after_s is None else {"after_s": checked_after_s(error.after_s)}
    return FAILED, encode_error(error, skip_frames=skip_frames, name="Retry", **more)
