"""The proxy of the tests loses what it is told to lose, and says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from tests.proxy import COMMIT, Fault, Hole, Proxy

CUT = (psycopg.OperationalError, psycopg.InterfaceError)


@pytest.fixture(params=[False, True], ids=["socket", "tcp"])
def proxy(request: pytest.FixtureRequest, empty_dsn: str) -> Iterator[Proxy]:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE note (n int)")
    # Servers of the tests have no TCP: the proxy's other side is always the socket.
    with Proxy(empty_dsn, tcp=request.param) as running:
        yield running


def note(connection: psycopg.Connection[tuple[object, ...]], number: int) -> None:
    """Insert a row in a transaction, in the words of farm: COMMIT stands in the last message."""
    psycopg.ClientCursor(connection).execute(b"BEGIN; INSERT INTO note VALUES (%s); COMMIT", (number,))


def notes(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM note ORDER BY n")]


def test_faults_at_a_commit(proxy: Proxy, empty_dsn: str) -> None:
    """Cut before, it has not happened; cut after, it has, and nobody heard of it. Other clients and statements are left alone."""
    before = proxy.rule(Fault.CUT_BEFORE, COMMIT, application="writer", left=0)
    after = proxy.rule(Fault.CUT_AFTER, COMMIT, application="writer", left=0)
    delay = proxy.rule(Fault.DELAY, b"INSERT", application="other")
    with psycopg.connect(proxy.dsn, application_name="other", autocommit=True) as other:
        for number, rule in ((1, before), (2, after)):
            rule.arm()
            with psycopg.connect(proxy.dsn, application_name="a writer", autocommit=True) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
                note(other, 10 * number)
                with pytest.raises(CUT):
                    note(connection, number)
            assert rule.fired == 1
    assert notes(empty_dsn) == [2, 10, 20]
    assert delay.fired == 2


def test_a_commit_that_fails_is_not_counted(proxy: Proxy, empty_dsn: str) -> None:
    after = proxy.rule(Fault.CUT_AFTER, COMMIT)
    with psycopg.connect(proxy.dsn, autocommit=True) as connection, pytest.raises(CUT):
        psycopg.ClientCursor(connection).execute(b"BEGIN; INSERT INTO note VALUES (1); SELECT 1/0; COMMIT")
    assert (after.fired, notes(empty_dsn)) == (0, [])


def test_a_prepared_statement_is_known_by_its_text(proxy: Proxy, empty_dsn: str) -> None:
    with psycopg.connect(proxy.dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO note VALUES (%s)", (1,), prepare=True)
        cut = proxy.rule(Fault.CUT_AFTER, b"INSERT INTO note", left=1)
        with pytest.raises(CUT):
            connection.execute("INSERT INTO note VALUES (%s)", (2,), prepare=True)
    assert (cut.fired, notes(empty_dsn)) == (1, [1, 2])


def test_a_hole_holds_up_and_a_reset_cuts(proxy: Proxy, empty_dsn: str) -> None:
    """What is sent into a hole comes out when it is over, though it was given up."""
    with psycopg.connect(proxy.dsn, application_name="writer", autocommit=True) as connection:
        note(connection, 1)
        for number, hole in ((2, Hole.BOTH), (3, Hole.ANSWERS)):
            proxy.lose(hole)
            sending = threading.Thread(target=note, args=(connection, number))
            sending.start()
            sending.join(0.1)
            assert sending.is_alive()
            proxy.lose(Hole.NONE)
            sending.join(10)
        assert proxy.reset("nobody") == 0
        assert proxy.reset("writer") == 1
        with pytest.raises(CUT):
            note(connection, 4)
    assert notes(empty_dsn) == [1, 2, 3]
