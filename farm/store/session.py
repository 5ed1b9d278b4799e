"""One connection of one kind of caller: opened when needed, replaced when in doubt, with a deadline on every call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import ClientCursor, conninfo, pq

from farm.dsn import describe_parts, why_not_connected
from farm.errors import InvalidJob, SchemaMismatch, StoreError, StoreExhausted, StoreUnavailable
from farm.store.connection import DeadlineConnection
from farm.store.statements import compose, load

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Mapping[str, Any]

DEADLINE_S_DEFAULT = 5.0
CONNECT_S_DEFAULT = 3.0

IDLE_MS_MAX = 15_000
"""A client that is silent in a transaction for so long, or for longer than its own deadline, is gone: its locks are others'."""

PREPARE_NEVER = 1 << 30

AWAY_SQLSTATES = ("08", "53", "57", "58", "25P03", "25006", "40", "55P03", "0A000", "26000")
"""Classes of errors after which the same call may well succeed: connections, resources, an operator's doing, I/O, a standby, lost races,
and prepared statements that a pooler or a migration has taken away."""

EXHAUSTED_SQLSTATES = ("53000", "53100", "53200")
"""The server answers, and has run out of something; of these not the connections, which are told of where they are made."""

TOO_MUCH_SQLSTATE = "54"
"""Limits of PostgreSQL that a single value went over, such as the depth of its JSON: the value's fault, like bad data."""

NOT_ALLOWED_SQLSTATE = "42501"
NO_SCHEMA_SQLSTATES = ("3F000", "42P01", "42883", "42703")


class Session:
    """The connection of one part of farm, used by one thread at a time.

    Calls either return, or raise StoreUnavailable (ask again: the next call opens a new connection; what this one did is unknown),
    or raise another StoreError. psycopg.DataError and psycopg.IntegrityError come through as they are: they speak of rows, not of
    the database. keeps_plans: for a part that sends the same few statements all day; planning them took longer than running them.
    deadline_s bounds every call; connecting takes at most connect_s (rounded up) more for each host of the DSN. pooled says that a
    transaction pooler stands between, so that no setting may outlive a transaction.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str,
        deadline_s: float = DEADLINE_S_DEFAULT,
        pooled: bool = False,
        keeps_plans: bool = False,
        connect_s: float = CONNECT_S_DEFAULT,
    ) -> None:
        self.deadline_s = deadline_s
        self._pooled = pooled
        self.keeps_plans = keeps_plans and not pooled
        self._connection: DeadlineConnection | None = None
        try:
            self._options: dict[str, Any] = {
                "connect_timeout": ceil(connect_s),
                "application_name": application_name,
                **conninfo.conninfo_to_dict(dsn),
                "client_encoding": "UTF8",
            }
        except psycopg.Error:
            # libpq's own message repeats parts of the string, and a password may be among them.
            raise StoreError("the DSN cannot be read: expected postgresql://... or `host=... dbname=...`") from None

    def run(self, unit: Callable[[DeadlineConnection], T], *, deadline_s: float | None = None) -> T:
        """Call unit with the connection; all its waits together end at the deadline. Transactions are the unit's own."""
        limit_s = self.deadline_s if deadline_s is None else deadline_s
        try:
            connection = self._connection or self._connect()
            connection.deadline = monotonic() + limit_s
            result = unit(connection)
            assert connection.pgconn.transaction_status == pq.TransactionStatus.IDLE, "a unit ends its transaction"
            return result
        except (psycopg.DataError, psycopg.IntegrityError, InvalidJob):
            self._roll_back()
            raise
        except psycopg.Error as error:
            if (error.sqlstate or "").startswith(TOO_MUCH_SQLSTATE):
                self._roll_back()
                raise psycopg.DataError(str(error)) from error
            self.close()
            raise self._translate(error) from error
        except BaseException:
            # A deadline, an interrupt, or a mistake of ours: nobody knows in which state the connection is.
            self.close()
            raise

    def fetch(self, name: str, params: Params | None = None, *, deadline_s: float | None = None, plan: str = "") -> list[Row]:
        """Run one statement of farm/sql in a transaction of its own and return its rows.

        deadline_s: another one than the session's; the server too is told of a longer one, and then runs the statement `plan` first.
        """

        def unit(connection: DeadlineConnection) -> list[Row]:
            if deadline_s is None or deadline_s <= self.deadline_s:
                return _fetch(connection, name, params, prepare=self.keeps_plans)
            with connection.transaction():
                _fetch(connection, "allow_time", {"statement_ms": _statement_ms(deadline_s)})
                if plan:
                    _fetch(connection, plan, None)
                return _fetch(connection, name, params)

        return self.run(unit, deadline_s=deadline_s)

    def transact(self, name: str, params: Params | None = None) -> list[Row]:
        """Run one statement as a transaction of its own, planned by indexes whatever the statistics say; returns its rows.

        One round trip: where the session keeps its plans as a prepared statement, else as one message with all its settings.
        """
        if self.keeps_plans:
            return self.run(lambda connection: connection.execute(load(name), params, prepare=True).fetchall())
        message = compose("begin", "plan_by_index", name, "commit")
        return self.run(lambda connection: send(connection, message, params)[0])

    def close(self) -> None:
        """Close the connection if there is one; the next call opens another. Never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> DeadlineConnection:
        # Unnamed statements are planned for their values every time, so partitions prune, and poolers can carry them. With a
        # threshold that is never reached, only those are prepared that ask for it.
        threshold = PREPARE_NEVER if self.keeps_plans else None
        try:
            connection = DeadlineConnection.connect(**self._options, autocommit=True, prepare_threshold=threshold)
        except psycopg.OperationalError as error:
            reason = self._without_password(why_not_connected(str(error)))
            raise StoreUnavailable(f"cannot connect to {describe_parts(self._options)}: {reason}") from error
        self._connection = connection
        connection.deadline = monotonic() + self.deadline_s
        if not self._pooled:
            # The server ends what we have given up on, so that a lock is not held by nobody.
            statement_ms = _statement_ms(self.deadline_s)
            send(connection, load("set_session"), {"statement_ms": statement_ms, "idle_ms": min(statement_ms, IDLE_MS_MAX)})
        if self.keeps_plans:
            # What a message of its own sets for one transaction, this session sets for good.
            send(connection, load("plan_by_index").replace(b"SET LOCAL", b"SET") + b";\n" + load("plan_once"))
        return connection

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except (psycopg.Error, StoreUnavailable):
            self.close()

    def _translate(self, error: psycopg.Error) -> StoreError:
        text = self._one_line(error)
        state = error.sqlstate
        if state in EXHAUSTED_SQLSTATES:
            return StoreExhausted(text)
        if state is None or state.startswith(AWAY_SQLSTATES):
            return StoreUnavailable(text)
        if state in NO_SCHEMA_SQLSTATES:
            return SchemaMismatch(f"{text}: run `farm migrate` on this database")
        if state == NOT_ALLOWED_SQLSTATE:
            return StoreError(f"{text}: connect as a user that may, such as the owner of the schema farm, or have this one granted it")
        return StoreError(text)

    def _one_line(self, error: psycopg.Error) -> str:
        return self._without_password(" ".join((error.diag.message_primary or str(error)).split()) or type(error).__name__)

    def _without_password(self, text: str) -> str:
        password = self._options.get("password")
        return text.replace(str(password), "***") if password else text


def _fetch(connection: DeadlineConnection, name: str, params: Params | None, *, prepare: bool = False) -> list[Row]:
    cursor = connection.execute(load(name), params, prepare=prepare or None)
    return cursor.fetchall() if cursor.description is not None else []


def _statement_ms(deadline_s: float) -> int:
    # A little more than ours, so that it is we who give up, and the server merely tidies up behind us.
    return round((deadline_s + 1) * 1000)


def send(connection: DeadlineConnection, message: bytes, params: Params | None = None) -> list[list[Row]]:
    """Send statements with their values written into them as one simple query; returns the rows of those that return rows."""
    rows = []
    with ClientCursor(connection) as cursor:
        cursor.execute(message, params)
        while True:
            # `description` would say the same, and makes an object for every column.
            if cursor.pgresult is not None and cursor.pgresult.nfields:
                rows.append(cursor.fetchall())
            if not cursor.nextset():
                return rows


def bigint_array(ids: Sequence[int]) -> str:
    """Return ids as the text of a PostgreSQL array: ten times cheaper than psycopg's dumper for lists."""
    return "{" + ",".join(map(str, ids)) + "}"
