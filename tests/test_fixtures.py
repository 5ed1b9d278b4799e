"""The fixtures themselves: what every other test stands on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.servers import Server


def test_a_database_of_its_own(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE only_here (id int)")


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_a_server_can_be_stopped_and_started(server: Server, empty_dsn: str, mode: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    server.stop(mode)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(empty_dsn)
    server.start()
    with psycopg.connect(empty_dsn) as connection:
        # Nothing is lost: the machine did not go down.
        assert connection.execute("SELECT to_regclass('kept') IS NOT NULL").fetchone() == (True,)


@pytest.mark.store
def test_tests_of_the_store_run_on_every_postgresql(server: Server, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        assert connection.info.server_version // 10000 == server.major


def test_a_home_of_its_own(farm_home: Path) -> None:
    assert not list(farm_home.iterdir())
