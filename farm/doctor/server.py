"""Measures the database: a function for each check of `database`. Nothing is changed there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from farm.doctor import database
from farm.doctor.database import Pooling
from farm.doctor.finding import Finding
from farm.model import HorizonHolder
from farm.store import schema
from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import load, migrations
from farm.store.upkeep import UpkeepStore
from farm.store.wakeups import Wakeups

DEADLINE_S = 10.0
CLOCK_LOOKS = 5
POOLER_LOOKS = 5
"""With several servers' processes at hand a pooler may give us the one that we had."""
LISTEN_S = 1.0
POSTGRES_EPOCH_S = 946_684_800
APPLICATION = "farm doctor"
SETTINGS = [
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "autovacuum",
    "track_counts",
    "autovacuum_naptime",
    "shared_buffers",
    "max_wal_size",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
]


class Clock(NamedTuple):
    """This host's clock beside the database's."""

    offset_s: float
    """Above 0: ours is ahead."""
    round_trip_s: float
    """Of the quickest look, which is the one that counts."""


def examine_database(dsn: str, *, pooled: bool = False, listen: str | None = None, embedded: bool = False) -> Iterator[Finding]:
    """Yield the findings about a database. Raises StoreError where it cannot be reached."""
    with closing(_session(dsn)) as session, closing(_session(dsn)) as other, closing(_session(listen or dsn)) as past:
        clock = look_at_clock(session)
        number, version, is_standby, limit, reserved, used = session.fetch("read_server")[0]
        yield database.judge_version(number, version, clock.round_trip_s, is_standby=is_standby)
        pooling = look_for_pooler(session, other, None if pooled and listen is None else past, past_pooler=listen is not None)
        yield database.judge_pooling(pooling, said_pooled=pooled, has_listen=listen is not None)
        yield database.judge_clock(clock.offset_s, clock.round_trip_s / 2)
        yield database.judge_schema(schema.found_version(session), migrations()[-1].version, embedded=embedded)
        # Of ours there was one by then, and it is gone in a moment.
        yield database.judge_connections(limit, reserved, used - 1)
        yield from database.judge_settings(dict(session.fetch("list_settings", {"names": SETTINGS})), embedded=embedded)
        yield database.judge_horizon(horizon(session))


def look_at_clock(session: Session) -> Clock:
    """Compare the clocks: of some looks the quickest tells best."""
    looks = []
    for _ in range(CLOCK_LOOKS + 1):
        before, began = time.time(), time.monotonic()
        database_us = session.fetch("read_clock_us")[0][0]
        round_trip_s = time.monotonic() - began
        looks.append(Clock(before + round_trip_s / 2 - database_us / 1e6 - POSTGRES_EPOCH_S, round_trip_s))
    # The first one has connected too.
    return min(looks[1:], key=lambda look: look.round_trip_s)


def look_for_pooler(session: Session, other: Session, listener: Session | None, *, past_pooler: bool = False) -> Pooling:
    """Find a pooler by what it does; listener: a session that is to hear what another announces, None where none is wanted.

    past_pooler: that one has a DSN of its own, so it can hear whatever stands between here.

    The server names its process when it lets us in; a pooler makes a number up. One that pools transactions hands the server's process
    that we had to whoever asks next.
    """
    promised = session.run(lambda connection: connection.pgconn.backend_pid)
    seen, taken = {_backend(session)}, set()

    def hold_one(connection: DeadlineConnection) -> None:
        with connection.transaction():
            taken.add(_ask(connection))
            seen.add(_backend(session))

    is_pooled = promised not in seen
    for _ in range(POOLER_LOOKS if is_pooled else 1):
        other.run(hold_one)
    changes = len(seen) > 1 or bool(seen & taken)
    hears = None if listener is None or (changes and not past_pooler) else hears_itself(listener, session)
    return Pooling(is_pooled=is_pooled, changes=changes, hears=hears)


def hears_itself(listener: Session, speaker: Session) -> bool:
    """Tell whether what one session announces comes to another that listens."""
    wakeups, payload = Wakeups(listener, "listen_for_doctor"), str(time.monotonic_ns())
    try:
        wakeups.wait(0.0)
        speaker.fetch("announce_to_doctor", {"payload": payload})
        deadline = time.monotonic() + LISTEN_S
        while (left_s := deadline - time.monotonic()) > 0:
            # Another doctor's may come first.
            if payload in (wakeups.wait(left_s) or ()):
                return True
        return False
    finally:
        wakeups.close()


def horizon(session: Session) -> list[HorizonHolder]:
    """Return what keeps the database from cleaning up, which does not need farm's schema."""
    return UpkeepStore(session).horizon()


def _session(dsn: str) -> Session:
    # As for a pooler, whether there is one or not: nothing is set for longer than a transaction.
    return Session(dsn, application_name=APPLICATION, deadline_s=DEADLINE_S, pooled=True)


def _backend(session: Session) -> int:
    return session.run(_ask)


def _ask(connection: DeadlineConnection) -> int:
    """Ask which process of the server answers."""
    row = connection.execute(load("read_backend")).fetchone()
    assert row is not None
    return int(row[0])
