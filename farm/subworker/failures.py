"""What a job has come to that raised something: nearly always a failure, else what it wished for."""

from __future__ import annotations

from typing import Any

import orjson

from farm.model import OutcomeKind
from farm.subworker.results import ResultError, encode_error, error_payload
from farm.wishes import Cancel, Retry, Snooze, checked_after_s

FAILED, MEMORY = int(OutcomeKind.FAILED), int(OutcomeKind.MEMORY)
CANCELLED, SNOOZED = int(OutcomeKind.CANCELLED), int(OutcomeKind.SNOOZED)


def failure_of(error: BaseException, *, skip_frames: int) -> tuple[int, Any]:
    """Return (kind, JSON text), or (MEMORY, the error), which is put into words by who knows the limit.

    skip_frames: how many of the outermost frames of its traceback are the farm's own.
    """
    if isinstance(error, ResultError):
        return FAILED, error_payload("ResultError", str(error))
    if isinstance(error, MemoryError):
        error.__traceback__ = None  # its frames hold what the job had allocated
        return MEMORY, error
    if isinstance(error, Retry | Snooze | Cancel):
        try:
            return _wish_of(error, skip_frames)
        except Exception as wrong:
            # A class of the job's own may hold anything. What is wrong with it is what the job has come to.
            return FAILED, encode_error(wrong.with_traceback(None))
    return FAILED, encode_error(error, skip_frames=skip_frames)


def _wish_of(error: Retry | Snooze | Cancel, skip_frames: int) -> tuple[int, bytes]:
    if isinstance(error, Cancel):
        return CANCELLED, error_payload("Cancelled", str(error))
    if isinstance(error, Snooze):
        return SNOOZED, orjson.dumps({"after_s": checked_after_s(error.after_s)})
    more = {} if error.after_s is None else {"after_s": checked_after_s(error.after_s)}
    return FAILED, encode_error(error, skip_frames=skip_frames, name="Retry", **more)
