"""What may become a job: every rule of an enqueue, checked before anything is sent."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple, Required, TypedDict

import orjson

from farm.errors import InvalidJob
from farm.model import ARGS_BYTES_MAX, JSON_DEPTH_MAX, NAME_PATTERN, PRIORITY_DEFAULT, PRIORITY_MAX, memory_class_mb
from farm.spelling import did_you_mean
from farm.units import RETRY_EXPECTED, parse_retry, parse_size

TASK_BYTES_MAX = 1024
ATTEMPTS_MAX = 10_000
TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.001, 2_000_000.0
"""The longest is what milliseconds in an int allow: 23 days."""
DELAY_S_MAX = 3_155_760_000.0
EXPIRES_S_MIN = 0.001
SHOWN_MAX = 80
TRACE_EXPECTED = "a trace and a span such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_TRACE = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NAME = re.compile(NAME_PATTERN)
_PYTHON_TASK = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Whatever steers a terminal, or the direction of text. farm.job_fault in the database refuses the same."""
ENCODING = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_MICROSECONDS = 1_000_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_DUE_US_END = int((datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * _MICROSECONDS
"""PostgreSQL stores times that Python cannot read, and nobody means them."""


class NewJob(TypedDict, total=False):
    """A job to be enqueued; what is left out is as in Client.enqueue."""

    task: Required[str]
    args: Mapping[str, Any] | list[Any] | tuple[Any, ...]
    queue: str
    runner: str | None
    priority: int | None
    delay_s: float | None
    run_at: datetime | None
    max_attempts: int | None
    timeout_s: float | None
    memory: str | int | None
    retry: str | float | None
    expires_s: float | None
    expires_at: datetime | None
    traceparent: str | None


class ValidJob(NamedTuple):
    """A job as it will be stored, but for its id."""

    task: bytes
    args: bytes
    """JSON text."""
    queue: str
    runner: str
    priority: int
    delay_us: int | None
    due_us: int | None
    """Microseconds since 2000; one of the two is None."""
    max_attempts: int | None
    timeout_ms: int | None
    memory_mb: int
    """The memory class; 0: none."""
    retry_ms: tuple[int, int | None] | None
    """The first delay before a retry, and the longest of one that grows; None: as the farm's configuration says."""
    lifetime_us: int | None
    expires_us: int | None
    """Until when it may be started: from the enqueue on, or in microseconds since 2000; at most one of the two is given."""
    traceparent: bytes | None
    """The span that it was enqueued in, as W3C Trace Context writes it."""

    def times(self, now_us: int) -> tuple[int | None, int | None]:
        """Return when the job is due, and when it expires, if it is filed now."""
        return (
            self.due_us if self.delay_us is None else now_us + self.delay_us,
            self.expires_us if self.lifetime_us is None else now_us + self.lifetime_us,
        )


OPTIONS = frozenset(NewJob.__annotations__)


def validate(job: Mapping[str, Any], where: str = "") -> ValidJob:
    """Check everything about a job. Raises InvalidJob: `<where><option>: expected ..., got ...`."""
    if not isinstance(job, Mapping):
        raise _unexpected(where.rstrip(".") or "job", "a dict with the arguments of enqueue", job)
    if not job.keys() <= OPTIONS:
        raise _unknown(min(job.keys() - OPTIONS, key=ascii), where)
    task = job.get("task")
    if not isinstance(task, str) or not task or len(encoded := _utf8(task, f"{where}task")) > TASK_BYTES_MAX or _CONTROL.search(task):
        raise _unexpected(f"{where}task", f"1 to {TASK_BYTES_MAX} bytes without control characters", task)
    delay_s, run_at = job.get("delay_s"), job.get("run_at")
    if delay_s is not None and run_at is not None:
        raise _unexpected(f"{where}run_at", "nothing, since delay_s is given", run_at)
    expires_s, expires_at = job.get("expires_s"), job.get("expires_at")
    if expires_s is not None and expires_at is not None:
        raise _unexpected(f"{where}expires_at", "nothing, since expires_s is given", expires_at)
    priority = _whole(job.get("priority"), 0, PRIORITY_MAX, f"{where}priority")
    delay = _seconds(delay_s, 0, DELAY_S_MAX, f"{where}delay_s")
    timeout = _seconds(job.get("timeout_s"), TIMEOUT_S_MIN, TIMEOUT_S_MAX, f"{where}timeout_s")
    lifetime = _seconds(expires_s, EXPIRES_S_MIN, DELAY_S_MAX, f"{where}expires_s")
    valid = ValidJob(
        encoded,
        _json(job.get("args"), f"{where}args"),
        _name(job.get("queue", "default"), f"{where}queue"),
        _runner(job.get("runner"), task, f"{where}runner"),
        PRIORITY_DEFAULT if priority is None else priority,
        None if delay is None else round(delay * _MICROSECONDS),
        None if run_at is None else _moment(run_at, f"{where}run_at"),
        _whole(job.get("max_attempts"), 1, ATTEMPTS_MAX, f"{where}max_attempts"),
        None if timeout is None else math.ceil(timeout * 1000),
        _memory(job.get("memory"), f"{where}memory"),
        _retry(job.get("retry"), f"{where}retry"),
        None if lifetime is None else round(lifetime * _MICROSECONDS),
        None if expires_at is None else _moment(expires_at, f"{where}expires_at"),
        _trace(job.get("traceparent"), f"{where}traceparent"),
    )
    if (delay_s is None) == (lifetime is None):
        # Both count from the enqueue, or neither does; the others can be compared when that time is known.
        refuse_expired(job, valid, 0, where)
    return valid


def refuse_expired(job: Mapping[str, Any], valid: ValidJob, now_us: int, where: str) -> None:
    """Raise InvalidJob for a job that expires before it is due."""
    due_us, expires_us = valid.times(now_us)
    if due_us is not None and expires_us is not None and expires_us <= due_us:
        option = "expires_at" if valid.lifetime_us is None else "expires_s"
        raise _unexpected(f"{where}{option}", "a time after the one when the job is due", job[option])


def _unknown(option: object, where: str) -> InvalidJob:
    hint = did_you_mean(option, OPTIONS) if isinstance(option, str) else ""
    shown = ascii(option)[1:-1] if isinstance(option, str) else ascii(option)
    return InvalidJob(f"{where}{shown[:SHOWN_MAX]}: no such option{hint or ', expected ' + ', '.join(sorted(OPTIONS))}")


def _unexpected(path: str, expected: str, got: object) -> InvalidJob:
    try:
        shown = ascii(got)
    except Exception:
        # Whatever was given may not even have a working repr.
        shown = type(got).__name__
    return InvalidJob(f"{path}: expected {expected}, got {shown if len(shown) <= SHOWN_MAX else shown[: SHOWN_MAX - 3] + '...'}")


def _utf8(text: str, path: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise _unexpected(path, "text without lone surrogates", text) from None


def _name(name: object, path: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _unexpected(path, f"a name like {NAME_PATTERN}", name)
    return name


def _runner(runner: object, task: str, path: str) -> str:
    if runner is not None:
        return _name(runner, path)
    if not _PYTHON_TASK.fullmatch(task):
        raise _unexpected(path, "a name, since the task does not look like module:function", None)
    return "python"


def _whole(number: object, lowest: int, highest: int, path: str) -> int | None:
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= highest:
        raise _unexpected(path, f"{lowest} to {highest}", number)
    return int(number)


def _seconds(seconds: object, lowest: float, highest: float, path: str) -> float | None:
    if seconds is None:
        return None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not lowest <= seconds <= highest:
        raise _unexpected(path, f"{lowest:g} to {highest:.0f} seconds", seconds)
    return float(seconds)


def _memory(memory: object, path: str) -> int:
    if memory is None:
        return 0
    try:
        return memory_class_mb(parse_size(memory))
    except ValueError:
        raise _unexpected(path, "a size such as 512MB or 2GB, at most 1TiB", memory) from None


def _retry(retry: object, path: str) -> tuple[int, int | None] | None:
    if retry is None:
        return None
    try:
        base_s, cap_s = parse_retry(retry)
    except ValueError:
        raise _unexpected(path, RETRY_EXPECTED, retry) from None
    return _milliseconds(base_s), None if cap_s is None else _milliseconds(cap_s)


def _trace(traceparent: object, path: str) -> bytes | None:
    if traceparent is None:
        return None
    if not isinstance(traceparent, str) or not _TRACE.fullmatch(traceparent):
        raise _unexpected(path, TRACE_EXPECTED, traceparent)
    return traceparent.encode()


def _milliseconds(seconds: float) -> int:
    """Round to milliseconds, but not to nothing what is more than that."""
    return max(1, round(seconds * 1000)) if seconds else 0


def _moment(moment: object, path: str) -> int:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise _unexpected(path, "a datetime with a time zone", moment)
    since = moment - _EPOCH
    due_us = (since.days * 86400 + since.seconds) * _MICROSECONDS + since.microseconds
    if not 0 <= due_us < _DUE_US_END:
        raise _unexpected(path, "a time in the years 2000 to 2199", moment)
    return due_us


def _json(args: object, path: str) -> bytes:
    if args is None:
        return b"[]"
    if not isinstance(args, dict | list | tuple):
        raise _unexpected(path, "an object or an array (dict, list or tuple)", args)
    try:
        text = orjson.dumps(args, option=ENCODING)
    except (TypeError, RecursionError) as error:
        _refuse_json(args, path)
        raise _unexpected(path, f"JSON ({error})", args) from error
    if len(text) > ARGS_BYTES_MAX:
        raise _unexpected(path, f"at most {ARGS_BYTES_MAX} bytes of JSON", len(text))
    # orjson turns NaN and infinities into null and lets NUL pass, and neither can be told from the text alone; most texts have neither.
    if b"null" in text or b"\\u0000" in text or text.count(b"[") + text.count(b"{") > JSON_DEPTH_MAX:
        _refuse_json(args, path)
    return text


def _refuse_json(value: object, path: str, depth: int = 1) -> None:
    """Find what cannot be a job's argument. Raises InvalidJob with the path to it, or returns."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, dict | list | tuple):
        if depth > JSON_DEPTH_MAX:
            raise InvalidJob(f"{path[:SHOWN_MAX]}...: expected at most {JSON_DEPTH_MAX} levels of nesting, got more")
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(value, dict):
                _refuse_json(inner, f"{path}[{key}]", depth + 1)
                continue
            if not isinstance(key, str):
                raise _unexpected(path, "text as the key of an object", key)
            _refuse_text(key, f"{path}: a key")
            _refuse_json(inner, f"{path}.{_shown_key(key)}", depth + 1)
    elif isinstance(value, str):
        _refuse_text(value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _unexpected(path, "a finite number", value)
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise _unexpected(path, "an integer of at most 64 bits", value)
    elif value is not None:
        try:
            orjson.dumps(value, option=ENCODING)
        except TypeError:
            raise _unexpected(path, "a JSON value", value) from None


def _shown_key(key: str) -> str:
    return key if key.isprintable() and len(key) <= SHOWN_MAX else ascii(key[:SHOWN_MAX])


def _refuse_text(text: str, path: str) -> None:
    _utf8(text, path)
    if "\0" in text:
        raise _unexpected(path, "text without NUL", text)
