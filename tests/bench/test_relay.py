"""The relay that counts round trips: it must count what a client waits for, whatever the messages are."""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bench.relay import Relay


def test_a_round_trip_is_what_a_client_waits_for(dsn: str, tmp_path: Path) -> None:
    with Relay(dsn, tmp_path) as relay:
        _work(make_conninfo(relay.dsn, application_name="one"), selects=5)
        _work(make_conninfo(relay.dsn, application_name="other"), selects=7)

    # Connecting, each SELECT, many statements in one message, and a COPY: the asking and the sending.
    assert relay.round_trips == {"one": 1 + 5 + 1 + 2, "other": 1 + 7 + 1 + 2}


def test_what_is_longer_than_a_buffer_passes_whole_and_counts_once(dsn: str, tmp_path: Path) -> None:
    text = "x" * 3_000_000
    with Relay(dsn, tmp_path) as relay, psycopg.connect(make_conninfo(relay.dsn, application_name="one"), autocommit=True) as connection:
        back = connection.execute("SELECT %s::text", [text]).fetchone()

    assert back == (text,)
    assert relay.round_trips == {"one": 2}


def _work(dsn: str, *, selects: int) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for number in range(selects):
            connection.execute("SELECT %s::int", [number])
        connection.execute("BEGIN; CREATE TEMPORARY TABLE numbers (n int); COMMIT")
        with connection.cursor().copy("COPY numbers (n) FROM STDIN") as copy:
            for number in range(1000):
                copy.write_row([number])
