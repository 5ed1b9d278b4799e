"""Judges what was measured of the database. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from farm.doctor.finding import Finding, could_be_better, ok, wrong
from farm.model import HorizonHolder
from farm.units import counted, format_duration, format_size

VERSION_MIN, VERSION_TESTED = 15, 18
CONNECTIONS_OF_HOST = 5
CONNECTIONS_SPARE = 5
"""For commands, clients and people."""
CLOCK_S_MAX = 1.0
SLOW_S = 0.02
"""A round trip that takes longer is felt: each claim and commit is one or more."""
BUFFERS_BYTES_MIN = 128 << 20
HOLD_S, HOLD_TRANSACTIONS = 600.0, 1_000_000
"""From then on what keeps PostgreSQL from cleaning up is advised on: a dump of a large database takes as long."""
HURTS_S = 3600.0
NAPTIME_S_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """How connections through this DSN behave."""

    is_pooled: bool
    """The server process that answers is not the one that the connection was promised: something stands in between."""
    changes: bool
    """Two transactions of one connection were answered by two server processes."""
    hears: bool | None
    """LISTEN brought what was announced; None: not tried."""


def judge_version(number: int, version: str, round_trip_s: float, *, is_standby: bool) -> Finding:
    """Say whether this PostgreSQL will do; number as server_version_num."""
    major = number // 10_000
    text = f"PostgreSQL {version}, a round trip takes {format_duration(round_trip_s)}"
    if is_standby:
        return wrong("server", f"{text}; it is a standby", "name the primary: nothing can be written here")
    if major < VERSION_MIN:
        return wrong("server", text, f"farm needs PostgreSQL {VERSION_MIN} or later")
    if round_trip_s > SLOW_S:
        return could_be_better(
            "server", text, "a database nearer by starts jobs sooner; throughput hardly depends on it, since all goes in batches"
        )
    if major > VERSION_TESTED:
        return could_be_better("server", text, f"farm has been tested with PostgreSQL {VERSION_MIN} to {VERSION_TESTED}")
    return ok("server", text)


def judge_pooling(pooling: Pooling, *, said_pooled: bool, has_listen: bool) -> Finding:
    """Say whether a pooler stands in between, and whether the configuration knows."""
    if pooling.changes and not said_pooled:
        advice = "say so: database: {dsn: ..., pooled: true, listen: DSN past the pooler}"
        return wrong("pooler", "a pooler stands in between, and gives each transaction another session", advice)
    if pooling.changes and not has_listen:
        return could_be_better(
            "pooler",
            "a transaction pooler, as the configuration says",
            "add `listen`, a DSN past it: without it new jobs are only found by polling",
        )
    if pooling.hears is False:
        return wrong("pooler", "LISTEN does not bring what is announced", "give a DSN past whatever stands in between as `listen`")
    if pooling.changes:
        return ok("pooler", "a transaction pooler, as the configuration says; LISTEN goes past it")
    if pooling.is_pooled:
        return could_be_better(
            "pooler",
            "a pooler stands in between that keeps sessions",
            "it gains nothing for a farm, which keeps its connections: name the server itself",
        )
    if said_pooled:
        return could_be_better(
            "pooler",
            "the configuration says `pooled`, and no transaction pooler was found",
            "leave `pooled` out: prepared statements save time",
        )
    return ok("pooler", "none in between; LISTEN works")


def judge_clock(offset_s: float, uncertain_s: float) -> Finding:
    """Say how far this host's clock is from the database's; offset_s above 0: ours is ahead."""
    away_s = abs(offset_s)
    if away_s <= max(CLOCK_S_MAX, uncertain_s):
        return ok("clock", f"within {format_duration(max(away_s, uncertain_s))} of the database's")
    text = f"{format_duration(away_s)} {'ahead of' if offset_s > 0 else 'behind'} the database's"
    return could_be_better(
        "clock", text, "run an NTP client here and there: farm goes by the database's clock, logs and your own times by this one"
    )


def judge_schema(found: int, known: int, *, embedded: bool) -> Finding:
    """Say whether the schema is this farm's; found 0: there is none. An embedded database is migrated by whoever opens it."""
    if found == known:
        return ok("schema", f"version {found}")
    if found < known and embedded:
        return ok("schema", f"version {found}; the next command that opens it makes that {known}")
    if found > known:
        return wrong("schema", f"version {found}, and this farm knows {known}", "upgrade farm here")
    return wrong("schema", f"version {found}, and this farm needs {known}" if found else "there is none", "run `farm migrate`")


def judge_connections(limit: int, reserved: int, used: int) -> Finding:
    """Say whether there is room for one more host's connections."""
    room = max(0, limit - reserved - used)
    text = f"{used:,} of {counted(limit, 'connection')} in use, {reserved:,} kept for superusers"
    if room < CONNECTIONS_OF_HOST:
        return wrong("connections", text, f"raise max_connections: a host takes {CONNECTIONS_OF_HOST}, and {room} are left")
    if room < CONNECTIONS_OF_HOST + CONNECTIONS_SPARE:
        return could_be_better("connections", text, f"raise max_connections: a host takes {CONNECTIONS_OF_HOST}, and {room} are left")
    return ok("connections", text)


def judge_settings(settings: Mapping[str, str], *, embedded: bool) -> Iterator[Finding]:
    """Judge the settings that matter to a farm, each that is not as it should be; in PostgreSQL's base units, as pg_settings has them.

    Those that are for others who use the same server do not matter to an embedded one.
    """
    judges = (_safety, _cleaning) if embedded else (_safety, _cleaning, _size, _timeouts)
    found = [finding for judge in judges for finding in judge(settings)]
    yield from found or [ok("settings", "those that matter to a farm are as they should be")]


def judge_horizon(holders: Sequence[HorizonHolder]) -> Finding:
    """Name what keeps the database from cleaning up, the worst of it."""
    old = [holder for holder in holders if (holder.age_s or 0.0) >= HOLD_S or holder.transactions >= HOLD_TRANSACTIONS]
    if not old:
        return ok("cleaning up", "no session, slot or prepared transaction is in its way")
    worst = max(old, key=lambda holder: (holder.age_s or 0.0, holder.transactions))
    since = f"for {format_duration(worst.age_s)}" if worst.age_s is not None else f"for {worst.transactions:,} transactions"
    others = f"; and {counted(len(old) - 1, 'other')}" if len(old) > 1 else ""
    text = f"{worst} has been in its way {since}{others}: what farm deletes stays on disk meanwhile"
    make = wrong if (worst.age_s or 0.0) >= HURTS_S or worst.age_s is None else could_be_better
    return make("cleaning up", text, _ended_by(worst))


def _ended_by(holder: HorizonHolder) -> str:
    if holder.kind == "session":
        return f"end it where it was begun, or with SELECT pg_terminate_backend({holder.pid})"
    if holder.kind == "prepared":
        return f"COMMIT PREPARED or ROLLBACK PREPARED it: {holder.who}"
    return f"have its reader catch up, or drop it: SELECT pg_drop_replication_slot('{holder.who}')"


def _safety(settings: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("fsync", "full_page_writes"):
        if settings.get(name) == "off":
            yield wrong(name, "off: a crash of the server's machine can destroy the database", f"set {name} = on")
    if settings.get("synchronous_commit") == "off":
        text = "off: what was enqueued or committed a moment before a crash is lost, though it was said to be durable"
        yield wrong("synchronous_commit", text, "set synchronous_commit = on: farm commits in batches, so it costs little")


def _cleaning(settings: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("autovacuum", "track_counts"):
        if settings.get(name) == "off":
            yield wrong(name, "off: tables and indexes grow without an end, and claims get slower", f"set {name} = on")
    naptime_s = _number(settings, "autovacuum_naptime")
    if naptime_s > NAPTIME_S_MAX:
        text = f"{format_duration(naptime_s)}: tables that change all the time are looked at too seldom"
        yield could_be_better("autovacuum_naptime", text, "set autovacuum_naptime = 1min or less")


def _size(settings: Mapping[str, str]) -> Iterator[Finding]:
    buffers_bytes = _number(settings, "shared_buffers") * 8192
    if 0 < buffers_bytes < BUFFERS_BYTES_MIN:
        yield could_be_better("shared_buffers", format_size(buffers_bytes), "set a quarter of the server's memory, at least 128MB")
    wal_bytes = _number(settings, "max_wal_size") * (1 << 20)
    if 0 < wal_bytes < 1 << 30:
        yield could_be_better(
            "max_wal_size", f"{format_size(wal_bytes)}: checkpoints come one after another under load", "set max_wal_size = 4GB"
        )


def _timeouts(settings: Mapping[str, str]) -> Iterator[Finding]:
    if "idle_in_transaction_session_timeout" in settings and not _number(settings, "idle_in_transaction_session_timeout"):
        text = "none: a session that is forgotten in a transaction keeps the database from cleaning up for as long as it lives"
        advice = "set idle_in_transaction_session_timeout = 10min; farm sets its own"
        yield could_be_better("idle_in_transaction_session_timeout", text, advice)
    transaction_ms = _number(settings, "transaction_timeout")
    if 0 < transaction_ms < 60_000:
        yield could_be_better(
            "transaction_timeout",
            format_duration(transaction_ms / 1000),
            "set at least 1min for farm's user: migrations and large enqueues take their time",
        )


def _number(settings: Mapping[str, str], name: str) -> int:
    text = settings.get(name, "")
    return int(text) if text.isdecimal() else 0
