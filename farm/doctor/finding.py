"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    ADVICE = "advice"
    """It works, and could work better or be safer."""
    WRONG = "wrong"
    """Something does not work, or may lose what was promised to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's result: what is so, in a line, and what to do about it."""

    check: str
    """Two words or so, such as `shared memory`."""
    level: Level
    text: str
    advice: str = ""
    """One line; "" where all is well."""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check=check, level=Level.OK, text=text)


def could_be_better(check: str, text: str, advice: str) -> Finding:
    """It works; this would be better."""
    return Finding(check=check, level=Level.ADVICE, text=text, advice=advice)


def wrong(check: str, text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check=check, level=Level.WRONG, text=text, advice=advice)
