"""Durations, sizes and times as people write them, and back. All parsers raise ValueError with one line that says what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

DURATION_S_MAX = 100 * 366 * 86400.0
"""A hundred years: anything longer is a mistake, and PostgreSQL's interval arithmetic would overflow far above it."""
SIZE_BYTES_MAX = 1 << 60
RETRY_S_MAX = 20 * 86400.0
"""The longest delay before a retry: milliseconds in an int allow little more."""
RETRY_TEXT_MAX = 140
RETRY_EXPECTED = "a delay such as 10s, or one that grows such as 1s to 10m, at most 20d"
"""farm.refusal in the database says the same."""

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_NUMBER = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_QUANTITY = re.compile(_NUMBER + r"\s*([A-Za-z]*)", re.ASCII)
DURATION_PATTERN = rf"{_NUMBER}\s*({'|'.join(_SECONDS)})?"
SIZE_PATTERN = rf"{_NUMBER}\s*({'|'.join(_BYTES)})?"
RETRY_PATTERN = rf"{DURATION_PATTERN}(\s+to\s+{DURATION_PATTERN})?"
"""What the parsers below take, as regular expressions for other programs."""
_TO = re.compile(r"\s+to\s+", re.ASCII)
_DATE = re.compile(r"\d{4}-", re.ASCII)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)


def parse_duration(value: object) -> float:
    """Read a duration such as `250ms`, `10s`, `5m`, `1h`, `2d`, or a plain number of seconds.

    Returns seconds, from 0 to DURATION_S_MAX. Raises ValueError.
    """
    seconds = _quantity(value, _SECONDS, "s", "a duration such as 250ms, 10s, 5m, 1h or a number of seconds")
    if seconds > DURATION_S_MAX:
        raise ValueError(f"expected a duration of at most 100 years, got {_shown(value)}")
    return seconds


def parse_size(value: object) -> int:
    """Read a size such as `512MB` (millions of bytes), `512MiB` (2^20 bytes), or a plain number of bytes.

    Returns bytes, from 0 to SIZE_BYTES_MAX. Raises ValueError.
    """
    size = _quantity(value, _BYTES, "B", "a size such as 512MB or 512MiB")
    if size > SIZE_BYTES_MAX:
        raise ValueError(f"expected a size of at most 1024 PiB, got {_shown(value)}")
    return round(size)


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time with an offset, such as `2026-05-01T09:00:00+02:00` or `2026-05-01 07:00Z`.

    A time without an offset is refused: it would mean another moment on another machine. Raises ValueError.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a time such as 2026-05-01T09:00:00+02:00, got {_shown(text)}")
    if match.group(3) is None:
        raise ValueError(f"expected a time with an offset, such as {text.strip()}+00:00 or {text.strip()}Z, got {_shown(text)}")
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"no such time: {_shown(text)} ({error})") from None


def parse_retry(value: object) -> tuple[float, float | None]:
    """Read how long to wait before a retry: `10s` (always), `1s to 10m` (longer each time, up to that), or a number of seconds.

    Returns the first and the longest delay in seconds, up to RETRY_S_MAX; None for the longest of a delay that does not grow. Raises
    ValueError.
    """
    parts = _TO.split(value.strip()) if isinstance(value, str) and len(value) <= RETRY_TEXT_MAX else [value]
    try:
        base_s, *caps_s = map(parse_duration, parts)
    except ValueError:
        raise _unexpected(RETRY_EXPECTED, value) from None
    cap_s = caps_s[0] if caps_s else None
    if len(caps_s) > 1 or base_s > RETRY_S_MAX or (cap_s is not None and not 0 < base_s <= cap_s <= RETRY_S_MAX):
        raise _unexpected(RETRY_EXPECTED, value)
    return base_s, cap_s


def parse_expires(value: object) -> float | datetime:
    """Read until when something is good: a duration from now on, as parse_duration, or a time, as parse_time. Raises ValueError."""
    if isinstance(value, str) and _DATE.match(value.strip()):
        return parse_time(value)
    try:
        return parse_duration(value)
    except ValueError:
        raise _unexpected("a duration such as 5m or a time such as 2026-05-01T09:00:00+02:00", value) from None


def format_duration(seconds: float) -> str:
    """Show a duration in the unit that suits it, with two or three digits that matter: `1.25s`, `3m 20s`, `2d 4h`."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f}us" if seconds else "0s"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g}ms"
    if seconds < 59.95:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    for unit, size, below, below_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            count, rest = divmod(whole, size)
            return f"{count}{unit} {rest // below_size}{below}" if rest >= below_size else f"{count}{unit}"
    raise AssertionError(f"no unit for {seconds} seconds")


def format_retry(base_ms: int, cap_ms: int | None) -> str:
    """Show how long to wait before a retry so that parse_retry reads it: `10s`, `1s to 10m`. In milliseconds, as they are stored."""
    base = _exact_duration(base_ms)
    return base if cap_ms is None else f"{base} to {_exact_duration(cap_ms)}"


def format_size(size_bytes: float) -> str:
    """Show a size in powers of 1000, as `512MB` is read: `1.5 GB`, `512 MB`, `17 B`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 999.5 else f"{size:,.0f} TB"


def written_size(size_bytes: int) -> str:
    """Show a size exactly, as parse_size() reads it, in the unit that takes the smallest number: `16MiB`, `512MB`."""
    whole = [(size_bytes // unit, name) for name, unit in _BYTES.items() if size_bytes % unit == 0]
    number, name = min(whole, key=lambda one: one[0])
    return f"{number}{name}"


def format_memory_class(size_bytes: int | None) -> str | None:
    """Show what a job has declared in the units that it is counted in: `512 MB`, `2 GiB`; None for nothing."""
    if size_bytes is None or size_bytes % (1 << 20):
        return None if size_bytes is None else format_size(size_bytes)
    exponent = 10 * ((size_bytes.bit_length() - 1) // 10)
    return f"{size_bytes / (1 << exponent):g} {'MiB' if exponent == 20 else 'GiB' if exponent == 30 else 'TiB'}"


def counted(number: int, noun: str) -> str:
    """Show how many there are of something: `1 job`, `20,000 jobs`. noun: the singular, its plural ends with an s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_time(moment: datetime) -> str:
    """Show an aware time in UTC to the second: `2026-05-01 07:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _exact_duration(duration_ms: int) -> str:
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if duration_ms % unit_ms == 0 and (duration_ms or unit == "s"):
            return f"{duration_ms // unit_ms}{unit}"
    return f"{duration_ms}ms"


def _quantity(value: object, units: Mapping[str, float], plain: str, expected: str) -> float:
    if isinstance(value, str) and len(value) <= 64:
        match = _QUANTITY.fullmatch(value.strip())
        if match is None:
            raise _unexpected(expected, value)
        unit = match.group(2) or plain
        if unit not in units:
            raise _unexpected(expected, value, f" (units are {', '.join(units)})")
        return float(match.group(1)) * units[unit]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unexpected(expected, value)
    if isinstance(value, int) and value.bit_length() > 128:
        raise ValueError(f"expected {expected}, got a number of {value.bit_length()} bits")
    if not math.isfinite(value) or value < 0:
        raise _unexpected(expected, value)
    return float(value)


def _unexpected(expected: str, value: object, hint: str = "") -> ValueError:
    return ValueError(f"expected {expected}, got {_shown(value)}{hint}")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
