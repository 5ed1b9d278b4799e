"""What differs between two configurations, in words, and how each difference comes into force. No I/O, and no secret in any text."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from farm.config.model import Config, Database, Lane
from farm.retry import Policy
from farm.units import format_duration, format_retry, format_size

KEY_BYTES = 16
GROUPS = ("lanes", "runners", "tasks")
"""Sections whose entries come and go as a whole."""

Path = tuple[str, ...]
"""Where a setting stands: ("lanes", "fast", "memory"). Names may hold dots, so it is not one text."""


class How(StrEnum):
    """How a change comes into force."""

    AT_ONCE = "at once"
    IN_SUCCESSORS = "in new subworkers"
    RESTART = "needs a restart"


class Value(NamedTuple):
    """What a setting is: exact, to be compared, and as it is shown. Of what may be a secret exact is a digest, and nothing is shown."""

    exact: str
    shown: str


NOTHING = Value("", "")
Settings = dict[Path, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: a setting, or an entry of `lanes`, `runners` or `tasks` that is new or gone."""

    path: Path
    how: How
    before: Mapping[Path, Value] = field(default_factory=dict)
    after: Mapping[Path, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Where it stands, as a user writes it: `lanes.fast.memory`."""
        return ".".join(self.path)

    def __str__(self) -> str:
        return f"{self.name}: {self._what()}" + ("" if self.how is How.AT_ONCE else f" ({self.how})")

    def _what(self) -> str:
        before, after = self.before.get(self.path, NOTHING), self.after.get(self.path, NOTHING)
        if before.shown != after.shown:
            return f"{before.shown or 'none'} -> {after.shown or 'none'}"
        if not self.before or not self.after:
            return f"added: {self._told()}".removesuffix(": ") if self.after else "removed"
        return f"{before.exact} -> {after.exact}" if after.shown else "changed"

    def _has(where: Settings, entry: Path) -> bool:
    return any(path[:2] == entry for path in where)


def _part(where: Settings, at: Path, whole: Container[Path]) -> Settings:
    return {path: value for path, value in where.items() if (path[:2] if at in whole else path) == at}


def _rank(section: str) -> int:
    order = ("database", "host", "runners", "lanes", "tasks", "writer", "spill")
    return order.index(section) if section in order else len(order)


def _described(dsn: str) -> str:
    from farm.dsn import describe_dsn

    return describe_dsn(dsn)


def _plain(text: str) -> Value:
    return Value(text, text)


def _flag(value: bool) -> Value:
    return _plain("true" if value else "false")


def _size(size_bytes: int) -> Value:
    return Value(f"{size_bytes:,} bytes", format_size(size_bytes))


def _duration(seconds: float) -> Value:
    return Value(f"{seconds!r} s", format_duration(seconds))
