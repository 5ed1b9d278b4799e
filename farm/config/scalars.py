"""Reads plain YAML scalars by the core schema of YAML 1.2, and refuses those that other readers take for something else."""

from __future__ import annotations

import math
import re

Value = None | bool | int | float | str

DIGITS_MAX = 40

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_BOOLEANS = {word for base in ("yes", "no", "on", "off") for word in (base, base.capitalize(), base.upper())}
_DECIMAL = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEX = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)


def read_plain(raw: str) -> Value:
    """Return the value of an unquoted scalar. Raises ValueError with the reason why it is refused."""
    if raw in _NULLS:
        return None
    if raw in _BOOLEANS:
        return _BOOLEANS[raw]
    if raw in _OLD_BOOLEANS:
        raise ValueError(f"quote it ('{raw}') or write true or false: YAML readers do not agree on what {raw} is")
    if _DECIMAL.fullmatch(raw):
        return _decimal(raw)
    if _OCTAL.fullmatch(raw) or _HEX.fullmatch(raw):
        return int(_bounded(raw), 0)
    if _FLOAT.fullmatch(raw):
        number = float(_bounded(raw))
        if not math.isfinite(number):
            raise ValueError("the number is too large")
        return number
    if _NOT_FINITE.fullmatch(raw):
        raise ValueError("infinity and not-a-number are no values here")
    return raw


def _decimal(raw: str) -> int:
    digits = raw.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0":
        raise ValueError(
            "a number must not begin with 0: YAML readers do not agree on whether it is octal; write 0o17 for that, or quote it"
        )
    return int(_bounded(raw))


def _bounded(raw: str) -> str:
    if len(raw) > DIGITS_MAX:
        raise ValueError("the number is too long")
    return raw
