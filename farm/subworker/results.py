"""What a job returned or raised, as JSON text that PostgreSQL will take. One bad result must fail its own job, never a batch."""

from __future__ import annotations

import math
import traceback
from typing import Any

import orjson

from farm.model import JSON_DEPTH_MAX, RESULT_BYTES_MAX, OutcomeKind

MESSAGE_CHARS_MAX = 8_000
TRACEBACK_CHARS_MAX = 16_000
NULL = b"null"
NUL = b"\\u0000"


class ResultError(Exception):
    """A job returned something that cannot be kept."""


def encode_result(value: Any, *, bytes_max: int = RESULT_BYTES_MAX) -> bytes:
    """Return the value as JSON text in UTF-8. Raises ResultError that says what is wrong and where.

    Refused: what is not JSON, NaN and infinities, integers past 64 bits, NUL and lone surrogates, keys that are not
    strings, more than 200 levels, more than `bytes_max` bytes. A tuple becomes a list.
    """
    if value is None:
        return NULL
    if type(value) is str and len(value) > bytes_max:
        # Not encoded first: that takes many times its size, and orjson does not survive an allocation that fails.
        raise ResultError(f"the result is a string of {len(value):,} characters; at most {bytes_max:,} bytes are kept")
    try:
        text = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultError(f"the result is not JSON: {error}{_where_bad(value)}") from None
    if len(text) > bytes_max:
        raise ResultError(f"the result is {len(text):,} bytes long; at most {bytes_max:,} are kept")
    length = len(text)
    if length < len(NULL):
        return text
    # find() and not `in`, which tries bytes for a number first and throws away an exception.
    if text.find(NUL) >= 0 or text.find(NULL) >= 0 or (length > 2 * JSON_DEPTH_MAX and _brackets(text) > JSON_DEPTH_MAX):
        # Only then can there be a NUL, a number that orjson quietly turned into null, or too much depth: walking costs.
        problem = _problem(value, "result", 0)
        if problem:
            raise ResultError(problem)
    return text


def drop_result(value: Any) -> bytes:
    """Return the JSON text of nothing, whatever the value is: for lanes that keep no results."""
    return NULL


def encode_error(error: BaseException, *, skip_frames: int = 0, name: str = "", **more: float) -> bytes:
    """Return {"type", "message", "traceback"} of an exception as JSON text, whatever its __str__ does.

    skip_frames: how many of the outermost frames are the farm's own and only noise to the reader. name: the type, if it is not to be
    that of its class; more: what else is to stand there.
    """
    kind = type(error)
    # Whatever is asked of it may run code of the job's, which may raise anything: then that is not its second word, but none.
    try:
        qualname = str.__str__(kind.__qualname__)
        name = name or (qualname if kind.__module__ in ("builtins", "__main__") else str.__str__(f"{kind.__module__}.{qualname}"))
    except BaseException:
        qualname = "exception"
        name = name or qualname
    try:
        message = str.__str__(str(error))
    except BaseException:
        message = f"unprintable {qualname}"
    try:
        frames = error.__traceback__
        for _ in range(skip_frames):
            frames = frames.tb_next if frames is not None and frames.tb_next is not None else frames
        text = "".join(traceback.format_exception(kind, error, frames))
    except BaseException:
        text = ""
    return error_payload(name, message, text, **more)


def error_payload(kind: str, message: str, text: str = "", **more: float) -> bytes:
    """Return an error as JSON text: cut to its caps, without NUL and lone surrogates. more: what else is to stand there."""
    if len(text) > TRACEBACK_CHARS_MAX:
        half = TRACEBACK_CHARS_MAX // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters cut ...]\n{text[-half:]}"
    if len(message) > MESSAGE_CHARS_MAX:
        message = f"{message[:MESSAGE_CHARS_MAX]} [... {len(message) - MESSAGE_CHARS_MAX:,} characters cut]"
    return orjson.dumps({"type": _clean(kind), "message": _clean(message), "traceback": _clean(text), **more})


def error_type(kind: OutcomeKind) -> str:
    """Name what ended a job, where no exception did, as if it were one: `TimedOut`."""
    return "MemoryError" if kind is OutcomeKind.MEMORY else kind.name.title().replace("_", "")


def stopped_payload(kind: int, message: str, raised: bytes) -> bytes:
    """Return the error of a job that was asked to end, with the traceback of what it raised: it shows where it was."""
    return error_payload(error_type(OutcomeKind(kind)), message, orjson.loads(raised)["traceback"])


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")


def _brackets(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _where_bad(value: Any) -> str:
    try:
        problem = _problem(value, "result", 0)
    except Exception:
        return ""
    return f" ({problem})" if problem else ""


def _problem(value: Any, path: str, depth: int) -> str | None:
    """Walk the value and say what is wrong first, with its path."""
    if depth > JSON_DEPTH_MAX:
        return f"the result is nested more than {JSON_DEPTH_MAX} levels deep"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}, which JSON does not have"
    if isinstance(value, bool | int):
        return f"{path} is an integer past 64 bits" if not -(2**63) <= value < 2**64 else None
    if isinstance(value, str):
        return _problem_of_text(value, path)
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                return f"{path} has a key of type {type(key).__name__}; JSON's keys are strings"
            problem = _problem_of_text(key, f"a key of {path}") or _problem(entry, f"{path}.{key[:40]}", depth + 1)
            if problem:
                return problem
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            problem = _problem(entry, f"{path}[{index}]", depth + 1)
            if problem:
                return problem
    return None


def _problem_of_text(text: str, path: str) -> str | None:
    if "\x00" in text:
        return f"{path} has a NUL character, which PostgreSQL does not store"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return f"{path} has a lone surrogate, which UTF-8 does not have"
    return None
