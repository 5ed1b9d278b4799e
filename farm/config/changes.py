"""What differs between two configurations, in words, and how each difference comes into force. No I/O, and no secret in any text."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from farm.config.keys import AUTO, OFF
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

    def _told(self) -> str:
        """Say what an entry that is new says."""
        said = {".".join(path[len(self.path) :]): value.shown for path, value in self.after.items() if value.shown}
        return ", ".join(f"{name} {shown}" for name, shown in said.items())


def changes(old: Settings, new: Settings) -> list[Change]:
    """Return what differs, in the order of the sections; both settings must have been made with the same key."""
    paths = list(dict.fromkeys((*old, *new)))
    entries = {path[:2] for path in paths if path[0] in GROUPS and len(path) > 1}
    whole = {entry for entry in entries if _has(old, entry) != _has(new, entry)}
    found: dict[Path, Change] = {}
    for path in paths:
        at = path[:2] if path[:2] in whole else path
        if old.get(path) != new.get(path) and at not in found:
            before, after = _part(old, at, whole), _part(new, at, whole)
            found[at] = Change(path=at, how=_how(at, removed=not after), before=before, after=after)
    return [found[path] for path in sorted(found, key=lambda path: (_rank(path[0]), path))]


def applied(old: Settings, made: Iterable[Change]) -> Settings:
    """Return the settings with these changes made."""
    result = dict(old)
    for change in made:
        for path in change.before:
            del result[path]
        result.update(change.after)
    return result


def settings(config: Config, *, key: bytes = b"") -> Settings:
    """Return all that a configuration says. What may hold a secret is a digest under this key, and comparable under no other."""
    seal = _Seal(key)
    found: Settings = {}
    _add_database(found, config.database, seal)
    host = config.host
    found["host", "name"] = _plain(host.name)
    found["host", "memory"] = _size(host.memory_bytes)
    found["host", "memory_floor"] = _size(host.memory_floor_bytes)
    found["host", "pressure"] = _plain(f"{host.pressure_percent:g} %" if host.pressure_percent else "off")
    found["host", "cgroup"] = _plain(AUTO if host.cgroup else OFF)
    for name, options in config.runners.items():
        found["runners", name] = _plain("")
        found |= {("runners", name, option): seal.hide(value) for option, value in options.items()}
    for lane in config.lanes:
        _add_lane(found, lane, seal)
    if config.tasks:
        found["tasks",] = _plain(", ".join(policy.pattern for policy in config.tasks))
    for policy in config.tasks:
        _add_policy(found, policy)
    found["writer", "batch_max"] = _plain(f"{config.writer.batch_max}")
    found["writer", "age_max"] = _duration(config.writer.age_max_s)
    found["spill", "max"] = _size(config.spill_bytes_max)
    for ending, age_s in config.retention._asdict().items():
        found["retention", ending.removesuffix("_s")] = _plain("never") if age_s is None else _duration(age_s)
    if config.metrics is not None:
        found["metrics", "host"] = _plain(config.metrics.host)
        found["metrics", "port"] = _plain(f"{config.metrics.port}")
    found["drain_timeout",] = _duration(config.drain_timeout_s)
    found["heartbeat",] = _duration(config.heartbeat_s)
    found["lease",] = _duration(config.lease_s)
    found["reap_every",] = _duration(config.reap_every_s)
    found["poll",] = _duration(config.poll_s)
    found["claim_max",] = _plain(f"{config.claim_max}")
    return found


def as_data(all_settings: Settings) -> list[Any]:
    """Return settings as JSON data."""
    return [[list(path), value.exact, value.shown] for path, value in all_settings.items()]


def of_data(data: Sequence[Any]) -> Settings:
    """Make settings of what as_data() returned."""
    return {tuple(path): Value(exact, shown) for path, exact, shown in data}


class _Seal:
    """Makes digests of what is not to be shown, so that it can be compared all the same."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hide(self, value: Any) -> Value:
        return Value(hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), key=self._key, digest_size=16).hexdigest(), "")


def _add_database(found: Settings, database: Database, seal: _Seal) -> None:
    found["database",] = _plain(database.kind if database.dsn is None else _described(database.dsn))
    found["database", "dsn"] = seal.hide(database.dsn)
    found["database", "pooled"] = _flag(database.pooled)
    found["database", "listen"] = seal.hide(database.listen)


def _add_lane(found: Settings, lane: Lane, seal: _Seal) -> None:
    def put(name: str, value: Value) -> None:
        found["lanes", lane.name, name] = value

    put("queues", _plain(" > ".join(lane.queues)))
    put("subworkers", _plain(f"{lane.subworkers}"))
    put("concurrency", _plain(f"{lane.concurrency}"))
    put("memory", _size(lane.memory_bytes))
    put("timeout", _duration(lane.timeout_s) if lane.timeout_s else _plain(""))
    put("keep_result", _flag(lane.keep_result))
    put("logs", _plain(lane.logs))
    put("log_limit", _size(lane.log_limit_bytes))
    put("setup", _plain(", ".join(lane.setup)))
    put("cpus", _plain(", ".join(map(str, lane.cpus))))
    put("nice", _plain(f"{lane.nice}" if lane.nice else ""))
    put("recycle.max_jobs", _plain(f"{lane.recycle.max_jobs}" if lane.recycle.max_jobs else ""))
    put("recycle.rss_growth", _size(lane.recycle.rss_growth_bytes) if lane.recycle.rss_growth_bytes else _plain(""))
    put("recycle.max_age", _duration(lane.recycle.max_age_s) if lane.recycle.max_age_s else _plain(""))
    for variable, text in lane.env.items():
        found["lanes", lane.name, "env", variable] = seal.hide(text)


def _add_policy(found: Settings, policy: Policy) -> None:
    def put(name: str, value: Value) -> None:
        found["tasks", policy.pattern, name] = value

    retry, final_errors = policy.retry, policy.final_errors
    if retry is None:
        put("retry", _plain(""))
    else:
        cap_ms = None if retry.cap_s is None else round(retry.cap_s * 1000)
        put("retry", Value(repr(tuple(retry)), format_retry(round(retry.base_s * 1000), cap_ms)))
    put("max_attempts", _plain("" if policy.max_attempts is None else f"{policy.max_attempts}"))
    put("timeout", _plain("") if policy.timeout_s is None else _duration(policy.timeout_s))
    put("final_errors", _plain("") if final_errors is None else Value(repr(final_errors), ", ".join(final_errors) or "no errors"))


def _how(path: Path, *, removed: bool) -> How:
    match path:
        case ("database", *_) | ("host", "name" | "cgroup") | ("heartbeat",) | ("lease",) | ("reap_every",) | ("metrics", *_):
            return How.RESTART
        case ("runners", _):
            # A job that was claimed names its runner by position: those that were there at the start stay.
            return How.RESTART if removed else How.IN_SUCCESSORS
        case ("runners", *_) | ("spill", *_):
            return How.IN_SUCCESSORS
        case ("lanes", _, ("concurrency" | "memory" | "keep_result" | "logs" | "log_limit" | "setup" | "cpus" | "nice" | "env"), *_):
            return How.IN_SUCCESSORS
        case _:
            return How.AT_ONCE


def _has(where: Settings, entry: Path) -> bool:
    return any(path[:2] == entry for path in where)


def _part(where: Settings, at: Path, whole: Container[Path]) -> Settings:
    return {path: value for path, value in where.items() if (path[:2] if at in whole else path) == at}


def _rank(section: str) -> int:
    order = ("database", "host", "runners", "lanes", "tasks", "writer", "spill", "retention", "metrics")
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
