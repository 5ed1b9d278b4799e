"""What is kept of a job's log: the rules of its limit, of the line that says what was left out, and of text that can be stored. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

LOG_BYTES_DEFAULT: Final = 64 << 10
LOG_BYTES_MIN: Final = 1 << 10
LOG_BYTES_MAX: Final = 16 << 20
"""Bounds of `log_limit`."""
MARKER_BYTES_MAX: Final = 128
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_CONTINUES, _CONTINUATION = 0xC0, 0x80
_CHARACTER_BYTES_MAX: Final = 4


class Logs(StrEnum):
    """Of which of its jobs a lane keeps what they print. `true` and `false` in a configuration are the first two."""

    ON = "on"
    OFF = "off"
    FAILURES = "failures"
    """Of attempts that came to something else than a success."""


def beginning(log: bytes, written_bytes: int, limit_bytes: int) -> bytes:
    """Return a log cut to its limit, and behind it a line that says how much is gone. log: its first limit_bytes at least."""
    if written_bytes <= limit_bytes:
        return log
    kept = log[: _cut_before(log, limit_bytes)]
    end = b"" if kept.endswith(b"\n") else b"\n"
    return kept + end + _marker(written_bytes - len(kept), "here")


def ending(log: bytes, written_bytes: int, limit_bytes: int) -> bytes:
    """Return the last limit_bytes of a log, and before them a line that says how much is gone. log: as much of its end as is known."""
    if written_bytes <= len(log) <= limit_bytes:
        return log
    kept = log[-limit_bytes:]
    # Half a character at the front is none.
    while kept and kept[0] & _CONTINUES == _CONTINUATION:
        kept = kept[1:]
    return _marker(written_bytes - len(kept), "before this") + kept


def storable(log: bytes) -> bytes:
    """Return a log as UTF-8 that PostgreSQL takes: without NUL, and with a replacement character for what is no text."""
    if log.isascii() and log.find(0) < 0:
        return log
    return log.decode("utf-8", "replace").replace("\0", _REPLACED).encode()


def in_ascii(log: bytes) -> bytes:
    """Return a log that a database of any encoding takes: what is not ASCII as `\\u2713` and the like."""
    return storable(log).decode().encode("ascii", "backslashreplace")


def _marker(bytes_left_out: int, where: str) -> bytes:
    return f"[... {bytes_left_out:,} bytes left out {where}]\n".encode()


def _cut_before(log: bytes, at: int) -> int:
    """Return where to cut so that no character is cut in two; what is no UTF-8 is cut anywhere."""
    for cut in range(at, max(at - _CHARACTER_BYTES_MAX, -1), -1):
        if cut >= len(log) or log[cut] & _CONTINUES != _CONTINUATION:
            return cut
    return at
