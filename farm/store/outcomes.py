"""What becomes of outcomes: pure decisions, and the rows of result and failure as bytes for COPY in its binary format."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from struct import Struct
from typing import NamedTuple

import orjson

from farm.model import ATTEMPTS_MAX_DEFAULT, CRASHES_MAX_DEFAULT, Outcome, OutcomeKind

SUCCEEDED, FAILED, CANCELLED = 1, 2, 3
"""The column status of farm.result."""

CRASH_KINDS = (OutcomeKind.CRASHED, OutcomeKind.MEMORY)
CRASHED_TOO_OFTEN = b'{"type": "CrashedTooOften"}'
"""Stands for the error that is made of the last crash, see _crashed_too_often."""
NO_REASON = b'{"type": "Unknown", "message": "no reason was given", "traceback": ""}'

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL = b"\xff\xff"

_FAILURE_KINDS = {
    OutcomeKind.FAILED: b"failed",
    OutcomeKind.TIMED_OUT: b"timed_out",
    OutcomeKind.CRASHED: b"crashed",
    OutcomeKind.MEMORY: b"memory",
    OutcomeKind.CANCELLED: b"cancelled",
    OutcomeKind.STOPPED: b"stopped",
}

_RESULT_COLUMNS = 8
_FAILURE_COLUMNS = 7
_NULL = b"\xff\xff\xff\xff"
_JSONB_VERSION = b"\x01"
_EIGHT = b"\0\0\0\x08"
_int64 = Struct(">q").pack
_int16 = Struct(">h").pack


class Held(NamedTuple):
    """What a lease says of one of its positions: it, and not the frame, is believed."""

    outcome: Outcome
    attempt: int
    """Attempts used before this one."""
    lost: int


class Return(NamedTuple):
    """A job that goes back to be claimed again."""

    job_id: int
    attempt: int
    lost: int


class Clock(NamedTuple):
    """The database's clock beside ours, so that no host's wall clock is ever stored."""

    database_us: int
    """Microseconds since 2000, as PostgreSQL counts."""
    now_ns: int
    """CLOCK_MONOTONIC at the same moment, or shortly before."""

    def at(self, ns: int) -> int:
        """Return a moment of CLOCK_MONOTONIC as microseconds since 2000; one in the future, or before the boot, is now."""
        return self.database_us - (self.now_ns - (ns if 0 < ns <= self.now_ns else self.now_ns)) // 1000

    def span(self, started_ns: int, finished_ns: int) -> tuple[int, int]:
        """Return start and end as microseconds since 2000, the end never before the start."""
        started_us = self.at(started_ns)
        return started_us, max(started_us, self.at(finished_ns))


class Rows:
    """The rows of one commit, gathered outcome by outcome."""

    def __init__(self, clock: Clock, moments: bytes = b"") -> None:
        """moments: the cells of started and finished for outcomes that do not know their own."""
        self._clock = clock
        self._known_moments = moments
        self.results: list[bytes] = []
        self.failures: list[bytes] = []
        self.returned: list[Return] = []

    def add_successes(
        self, lease_id: int, heads: Sequence[bytes], values: Sequence[bytes], positions: Sequence[int], attempts: list[int] | None
    ) -> None:
        """Add successes of one lease. heads are the first cells of their rows, values JSON text; attempts is the lease's column."""
        cells = _Cells(lease_id)
        sizes = map(len, values)
        middles = (
            map(cells.__getitem__, sizes)
            if attempts is None
            else [cells.of(size, attempts[position] + 1) for size, position in zip(sizes, positions, strict=True)]
        )
        self.results.extend(chain.from_iterable(zip(heads, middles, values, strict=True)))

    def add_other(self, held: Held, attempts_max: int | None, crashes: int) -> None:
        """Add an outcome by itself. attempts_max: what the job asked for; crashes: how many it had before."""
        outcome, attempt, lost = held
        kind = OutcomeKind(outcome.kind)
        if kind is OutcomeKind.RELEASED:
            self.returned.append(Return(outcome.job_id, attempt, lost))
            return
        if kind is OutcomeKind.SUCCEEDED:
            self._add_result(outcome, attempt + 1, SUCCEEDED, b"")
            return
        used = uses_attempt(kind, outcome.started_ns)
        attempt += used
        if used:
            self._add_failure(outcome, attempt, _FAILURE_KINDS[kind])
        ended_by = ending(kind, attempt, attempts_max, crashes)
        if ended_by is None:
            self.returned.append(Return(outcome.job_id, attempt, lost))
        else:
            error = _crashed_too_often(outcome.payload) if ended_by is CRASHED_TOO_OFTEN else ended_by
            self._add_result(outcome, attempt, CANCELLED if kind is OutcomeKind.CANCELLED else FAILED, error)

    def _add_result(self, outcome: Outcome, attempt: int, status: int, error: bytes) -> None:
        self.results.append(
            _RESULT_COLUMNS.to_bytes(2, "big")
            + _cell(_int64(outcome.job_id))
            + self._moments(outcome)
            + _cell(_int64(outcome.lease_id))
            + _cell(_int16(status))
            + _cell(_int16(attempt))
            + (_NULL + _json_cell(outcome.payload) if status == SUCCEEDED else _json_cell(error or outcome.payload or NO_REASON) + _NULL)
        )

    def _add_failure(self, outcome: Outcome, attempt: int, kind: bytes) -> None:
        self.failures.append(
            _FAILURE_COLUMNS.to_bytes(2, "big")
            + _cell(_int64(outcome.job_id))
            + _cell(_int64(outcome.lease_id))
            + self._moments(outcome)
            + _cell(_int16(attempt))
            + _cell(kind)
            + _json_cell(outcome.payload or NO_REASON)
        )

    def _moments(self, outcome: Outcome) -> bytes:
        if self._known_moments:
            return self._known_moments
        if not outcome.started_ns:
            return _NULL + _cell(_int64(self._clock.at(outcome.finished_ns)))
        started_us, finished_us = self._clock.span(outcome.started_ns, outcome.finished_ns)
        return _cell(_int64(started_us)) + _cell(_int64(finished_us))


class _Cells(dict[int, bytes]):
    """The cells between times and value of successes of one lease at their first attempt, made once for every length of a value."""

    def __init__(self, lease_id: int) -> None:
        super().__init__()
        self._lease = _cell(_int64(lease_id)) + _cell(_int16(SUCCEEDED))

    def __missing__(self, size: int) -> bytes:
        self[size] = made = self.of(size, 1)
        return made

    def of(self, size: int, attempt: int) -> bytes:
        """Make the cells of lease, status, attempt and (null) error, and the beginning of that of a value of this length."""
        return self._lease + _cell(_int16(attempt)) + _NULL + (size + 1).to_bytes(4, "big") + _JSONB_VERSION


def uses_attempt(kind: OutcomeKind, started_ns: int) -> bool:
    """Say whether an outcome uses an attempt: not if it was refused, given back, or cancelled before it started."""
    if kind is OutcomeKind.CANCELLED:
        return started_ns > 0
    return kind not in (OutcomeKind.REJECTED, OutcomeKind.RELEASED)


def ending(kind: OutcomeKind, attempt: int, attempts_max: int | None, crashes: int) -> bytes | None:
    """Decide whether an outcome that is no success ends its job: None to run it again, else the error (b"": its own).

    attempt: attempts used, this one included. attempts_max: what the job asked for, if it did. crashes: those before this one.
    """
    if kind in (OutcomeKind.REJECTED, OutcomeKind.CANCELLED):
        return b""
    if kind in CRASH_KINDS:
        if attempts_max is not None and attempt >= attempts_max:
            return b""
        if attempts_max is None and crashes + 1 >= CRASHES_MAX_DEFAULT:
            return CRASHED_TOO_OFTEN
        return None
    return b"" if attempt >= (attempts_max or ATTEMPTS_MAX_DEFAULT) else None


def _crashed_too_often(last: bytes) -> bytes:
    """Return the error of a job that is given up after its crashes: how many, and what the last one was."""
    message = orjson.loads(last).get("message", "")
    text = f"crashed {CRASHES_MAX_DEFAULT} times; the last time: {message}"
    return orjson.dumps({"type": "CrashedTooOften", "message": text, "traceback": ""})


def _cell(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _json_cell(text: bytes) -> bytes:
    return _cell(_JSONB_VERSION + text)
