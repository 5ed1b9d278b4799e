"""What becomes of outcomes: pure decisions, and the rows of result and failure as bytes for COPY in its binary format."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat
from random import random
from struct import Struct
from typing import Any, NamedTuple

import orjson

from farm.joblog import storable
from farm.model import ATTEMPTS_MAX_DEFAULT, CRASHES_MAX_DEFAULT, FailedAttempt, Outcome, OutcomeKind
from farm.retry import AT_ONCE, BACKOFF_DEFAULT, NO_POLICY, Backoff, Policy, clamped_s, delay_s, names_of

SUCCEEDED, FAILED, CANCELLED = 1, 2, 3
"""The column status of farm.result."""

CRASH_KINDS = (OutcomeKind.CRASHED, OutcomeKind.MEMORY)
LIMITED_KINDS = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT, OutcomeKind.STOPPED, *CRASH_KINDS})
"""After these it depends on the job whether it is tried again, and when."""
AT_ONCE_KINDS = (OutcomeKind.RELEASED, OutcomeKind.STOPPED)
"""After these nothing is waited for: it was the farm that gave the job up."""
NOTED_MAX = 16
"""Of the attempts of one commit that came to no good, so many of the last are shown to people."""
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

_RESULT_COLUMNS = 10
_FAILURE_COLUMNS = 9
_NULL = b"\xff\xff\xff\xff"
_NULLS = 2 * _NULL
"""Peak and error of a success."""
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


class Asked(NamedTuple):
    """What a job asked for itself when it was enqueued, as read_limits.sql returns it."""

    task: str
    max_attempts: int | None
    retry_base_ms: int | None
    retry_cap_ms: int | None

    @property
    def backoff(self) -> Backoff | None:
        if self.retry_base_ms is None:
            return None
        return Backoff(self.retry_base_ms / 1000, None if self.retry_cap_ms is None else self.retry_cap_ms / 1000)


NOTHING_ASKED = Asked("", None, None, None)


class Return(NamedTuple):
    """A job that goes back to be claimed again."""

    job_id: int
    attempt: int
    lost: int
    delay_s: float
    """0: at once."""


class Verdict(NamedTuple):
    """What becomes of a job after an outcome that is no success."""

    used: bool
    """It uses an attempt."""
    ended_by: bytes | None
    """None: it goes back; else its error (b"": the outcome's own)."""
    delay_s: float = 0.0


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

    def __init__(self, clock: Clock, moments: bytes = b"", *, draw: Callable[[], float] = random) -> None:
        """moments: the cells of started and finished for outcomes that do not know their own. draw: gives numbers from 0 up to 1."""
        self._clock = clock
        self._draw = draw
        self._known_moments = moments
        self.results: list[bytes] = []
        self.failures: list[bytes] = []
        self.returned: list[Return] = []
        self.failed: deque[FailedAttempt] = deque(maxlen=NOTED_MAX)
        """The last attempts that came to no good: what was given back or snoozed is none of them."""

    def add_successes(
        self,
        lease_id: int,
        heads: Sequence[bytes],
        values: Sequence[bytes],
        positions: Sequence[int],
        attempts: list[int] | None,
        logs: Sequence[bytes] = (),
    ) -> None:
        """Add successes of one lease. heads are the first cells of their rows, values JSON text; attempts is the lease's column.

        logs: what each has printed; none at all if none has printed anything.
        """
        cells = _Cells(lease_id)
        sizes = map(len, values)
        if attempts is None:
            # Nearly all are alike, and most have printed nothing: those share their cells.
            middles: Iterable[bytes] = (
                [cells.of(size, 1, log) if log else cells[size] for size, log in zip(sizes, logs, strict=True)]
                if logs
                else map(cells.__getitem__, sizes)
            )
        else:
            used = [attempts[position] + 1 for position in positions]
            middles = map(cells.of, sizes, used, logs or repeat(b""))
        self.results.extend(chain.from_iterable(zip(heads, middles, values, strict=True)))

    def add_other(self, held: Held, asked: Asked = NOTHING_ASKED, policy: Policy = NO_POLICY, crashes: int = 0) -> None:
        """Add an outcome by itself. asked: what the job says; policy: what the farm says of its task; crashes: how many it had before."""
        outcome, attempt, lost = held
        kind = OutcomeKind(outcome.kind)
        if kind is OutcomeKind.SUCCEEDED:
            self._add_result(outcome, attempt + 1, SUCCEEDED, b"")
            return
        verdict = judge(outcome, attempt, asked, policy, crashes, self._draw)
        attempt += verdict.used
        if verdict.used:
            self._add_failure(outcome, attempt, _FAILURE_KINDS[kind])
        if verdict.used or verdict.ended_by is not None:
            delay_s = verdict.delay_s if verdict.ended_by is None else None
            self.failed.append(FailedAttempt(outcome, self._clock.at(outcome.finished_ns), asked.task, attempt, delay_s))
        if verdict.ended_by is None:
            self.returned.append(Return(outcome.job_id, attempt, lost, verdict.delay_s))
        else:
            self._add_result(outcome, attempt, CANCELLED if kind is OutcomeKind.CANCELLED else FAILED, verdict.ended_by)

    def _add_result(self, outcome: Outcome, attempt: int, status: int, error: bytes) -> None:
        self.results.append(
            _RESULT_COLUMNS.to_bytes(2, "big")
            + _cell(_int64(outcome.job_id))
            + self._moments(outcome)
            + _cell(_int64(outcome.lease_id))
            + _cell(_int16(status))
            + _cell(_int16(attempt))
            + _peak_cell(outcome)
            + (
                _NULL + _log_cell(outcome.log) + _json_cell(outcome.payload)
                if status == SUCCEEDED
                # The log of an attempt that did not succeed stands in its row of failure.
                else _json_cell(error or outcome.payload or NO_REASON) + _NULLS
            )
        )

    def _add_failure(self, outcome: Outcome, attempt: int, kind: bytes) -> None:
        self.failures.append(
            _FAILURE_COLUMNS.to_bytes(2, "big")
            + _cell(_int64(outcome.job_id))
            + _cell(_int64(outcome.lease_id))
            + self._moments(outcome)
            + _cell(_int16(attempt))
            + _peak_cell(outcome)
            + _cell(kind)
            + _json_cell(outcome.payload or NO_REASON)
            + _log_cell(outcome.log)
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

    def of(self, size: int, attempt: int, log: bytes = b"") -> bytes:
        """Make the cells of lease, status, attempt, (null) peak and error, log, and the beginning of that of a value of this length."""
        return self._lease + _cell(_int16(attempt)) + _NULLS + _log_cell(log) + (size + 1).to_bytes(4, "big") + _JSONB_VERSION


def judge(outcome: Outcome, attempt: int, asked: Asked, policy: Policy, crashes: int, draw: Callable[[], float]) -> Verdict:
    """Decide what becomes of a job after an outcome that is no success: what it asked for itself wins, then its task's policy.

    attempt: attempts used before it. crashes: those before it. Raises ValueError for an outcome that makes no sense.
    """
    kind = OutcomeKind(outcome.kind)
    if kind is OutcomeKind.SNOOZED:
        return Verdict(False, None, _asked_after_s(_loaded(outcome.payload)))
    used = uses_attempt(kind, outcome.started_ns)
    if kind not in LIMITED_KINDS:
        return Verdict(used, None if kind is OutcomeKind.RELEASED else b"")
    error = _loaded(outcome.payload)
    attempts_max = policy.max_attempts if asked.max_attempts is None else asked.max_attempts
    ended_by = ending(kind, attempt + used, attempts_max, crashes)
    if ended_by is None and kind is OutcomeKind.FAILED and policy.is_final(names_of(error.get("type"))):
        return Verdict(used, _not_retried(error))
    if ended_by is None:
        return Verdict(used, None, _pause_s(kind, attempt + used, asked.backoff or policy.retry or BACKOFF_DEFAULT, crashes, error, draw))
    return Verdict(used, _crashed_too_often(error) if ended_by is CRASHED_TOO_OFTEN else ended_by)


def uses_attempt(kind: OutcomeKind, started_ns: int) -> bool:
    """Say whether an outcome uses an attempt: not if it was refused, given back, snoozed, or cancelled before it started."""
    if kind is OutcomeKind.CANCELLED:
        return started_ns > 0
    return kind not in (OutcomeKind.REJECTED, OutcomeKind.RELEASED, OutcomeKind.SNOOZED)


def ending(kind: OutcomeKind, attempt: int, attempts_max: int | None, crashes: int) -> bytes | None:
    """Decide whether the number of attempts ends a job: None to run it again, else the error (b"": its own).

    attempt: attempts used, this one included. attempts_max: what it was given, if it was. crashes: those before this one.
    """
    if kind in CRASH_KINDS:
        if attempts_max is not None and attempt >= attempts_max:
            return b""
        if attempts_max is None and crashes + 1 >= CRASHES_MAX_DEFAULT:
            return CRASHED_TOO_OFTEN
        return None
    return b"" if attempt >= (attempts_max or ATTEMPTS_MAX_DEFAULT) else None


def _pause_s(kind: OutcomeKind, attempts: int, backoff: Backoff, crashes: int, error: dict[str, Any], draw: Callable[[], float]) -> float:
    """Return the pause before the next attempt, after so many used ones."""
    if kind is OutcomeKind.FAILED and "after_s" in error:
        return _asked_after_s(error)
    if kind in AT_ONCE_KINDS or (kind is OutcomeKind.CRASHED and not crashes):
        # Of a first crash nobody knows whose fault it was: its subworker may have been killed from outside.
        backoff = AT_ONCE
    return delay_s(backoff, attempts, draw())


def _asked_after_s(error: dict[str, Any]) -> float:
    """Return the pause that a job asked for by itself. Raises ValueError: it comes from a process that runs foreign code."""
    after_s = error.get("after_s")
    if isinstance(after_s, bool) or not isinstance(after_s, int | float):
        raise ValueError(f"after_s is no number but {type(after_s).__name__}")
    return clamped_s(float(after_s))


def _loaded(payload: bytes) -> dict[str, Any]:
    """Return an error as data. Raises ValueError."""
    error = orjson.loads(payload or NO_REASON)
    return error if isinstance(error, dict) else {}


def _text(error: dict[str, Any], name: str) -> str:
    """Return a text of an error; whatever else stands there is none, and may be of any depth."""
    text = error.get(name)
    return text if isinstance(text, str) else ""


def _not_retried(last: dict[str, Any]) -> bytes:
    """Return the error of a job that is given up though attempts are left: its own, and why."""
    error = {name: _text(last, name) for name in ("type", "message", "traceback")}
    return orjson.dumps(error | {"not_retried": f"another attempt would not mend a {error['type'].rpartition('.')[2]}"})


def _crashed_too_often(last: dict[str, Any]) -> bytes:
    """Return the error of a job that is given up after its crashes: how many, and what the last one was."""
    text = f"crashed {CRASHES_MAX_DEFAULT} times; the last time: {_text(last, 'message')}"
    return orjson.dumps({"type": "CrashedTooOften", "message": text, "traceback": ""})


def _cell(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _peak_cell(outcome: Outcome) -> bytes:
    return _cell(_int64(outcome.peak_bytes)) if outcome.peak_bytes else _NULL


def _log_cell(log: bytes) -> bytes:
    return _cell(storable(log)) if log else _NULL


def _json_cell(text: bytes) -> bytes:
    return _cell(_JSONB_VERSION + text)
