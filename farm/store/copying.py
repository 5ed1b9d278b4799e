"""Copies everything that a farm keeps from one database to another, in one moment of the old one and one transaction of the new one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from farm.errors import StoreError
from farm.store import schema
from farm.store.connection import DeadlineConnection
from farm.store.session import Session, send
from farm.store.statements import load

COPY_S_MAX = 7 * 86400.0
"""The deadline of the sessions that a copy is made with."""
LOCK_S = 10.0
"""How long a copy waits for enqueues that are just being committed."""
ALIVE_S = 60.0
"""A host that was heard of within this time is still at work, or may be."""
SCHEMA = "farm"

Progress = Callable[[int, int], None]
"""Called with (bytes copied, bytes in all, as far as that is known beforehand)."""


class Table(NamedTuple):
    """A table as it is to be copied."""

    name: str
    columns: Sequence[str]
    size_bytes: int


class Copied(NamedTuple):
    """What was copied."""

    rows: dict[str, int]
    """By table, partitions added up under the name of what they are partitions of; without those that are empty."""
    copied_bytes: int


def copy_database(source: Session, target: Session, *, progress: Progress) -> Copied:
    """Copy all rows and sequences; what is in the new database stands there in whole, or not at all.

    The sessions are used by nobody else and have a deadline of COPY_S_MAX. While it lasts nothing can be written to the old database,
    and reading goes on. Raises StoreError if hosts are at work there, if the new one is not empty or does not take a row, or if both are
    the same.
    """
    schema.require(source)
    schema.migrate(target)
    copied = source.run(lambda old: target.run(lambda new: _copy(old, new, progress)))
    if copied.rows:
        # It is all there. What the planner has to know comes by itself, too, only later.
        with suppress(StoreError):
            target.run(lambda new: _analyze(new, copied.rows))
    return copied


def _copy(old: DeadlineConnection, new: DeadlineConnection, progress: Progress) -> Copied:
    try:
        tables = _lock(old)
        _begin(new)
        if not (_one(old, "lock_copy") and _one(new, "lock_copy")):
            raise StoreError("the two are one and the same database, or somebody else copies one of them just now")
        if at_work := old.execute(load("list_farms_at_work"), {"within_s": ALIVE_S}).fetchall():
            names = ", ".join(f"{instance} on {name}" for name, instance in at_work)
            raise StoreError(f"farms are at work on it: {names}; stop them first (`farm stop`), then copy")
        if _one(new, "find_any_job"):
            raise StoreError("the new database has been in use by a farm: a copy goes into an empty one")
        _make_room(old, new)
        copied = _copy_rows(old, new, tables, progress)
        for (name,) in old.execute(load("list_sequences")).fetchall():
            _copy_sequence(old, new, name)
        # In this order: if the old one cannot say that all was read in one moment, nothing stands in the new one.
        old.execute("COMMIT")
        new.execute("COMMIT")
    except BaseException:
        for connection in (new, old):
            if not connection.broken and not connection.closed:
                connection.rollback()
        raise
    return copied


def _analyze(new: DeadlineConnection, tables: Iterable[str]) -> None:
    filled = [sql.Identifier(SCHEMA, table) for table in tables]
    new.execute(sql.SQL("ANALYZE {}").format(sql.SQL(", ").join(filled)))


def _begin(connection: DeadlineConnection) -> None:
    send(connection, load("begin_copy"), {"lock_ms": round(LOCK_S * 1000)})


def _one(connection: DeadlineConnection, name: str) -> Any:
    row = connection.execute(load(name)).fetchone()
    assert row is not None
    return row[0]


def _lock(old: DeadlineConnection) -> list[Table]:
    """Begin, and keep everybody from writing before the first statement that sees a moment; returns the tables."""
    names = [row[0] for row in old.execute(load("list_tables")).fetchall()]
    _begin(old)
    locks = sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in names)
    try:
        old.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(locks))
    except psycopg.errors.LockNotAvailable:
        raise StoreError(f"others write to the old database and did not come to an end within {LOCK_S:g} s: try again") from None
    tables = [Table(*row) for row in old.execute(load("list_tables")).fetchall()]
    if [table.name for table in tables] != names:
        raise StoreError("partitions have just come or gone in the old database: try again")
    return tables


def _make_room(old: DeadlineConnection, new: DeadlineConnection) -> None:
    """Give the new database the partitions of the old one, and empty what migrations have put there."""
    for table, _parent, _lower, _upper in new.execute(load("list_partitions")).fetchall():
        new.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, table)))
    for table, parent, lower, upper in old.execute(load("list_partitions")).fetchall():
        name, of = sql.Identifier(SCHEMA, table), sql.Identifier(SCHEMA, parent)
        including = sql.SQL("INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE")
        new.execute(sql.SQL("CREATE TABLE {} (LIKE {} {})").format(name, of, including))
        bounds = sql.SQL("FOR VALUES FROM ({}) TO ({})").format(sql.Literal(lower), sql.Literal(upper))
        new.execute(sql.SQL("ALTER TABLE {} ATTACH PARTITION {} {}").format(of, name, bounds))
    present = sql.SQL(", ").join(sql.Identifier(SCHEMA, row[0]) for row in new.execute(load("list_tables")).fetchall())
    new.execute(sql.SQL("TRUNCATE {}").format(present))


def _copy_rows(old: DeadlineConnection, new: DeadlineConnection, tables: list[Table], progress: Progress) -> Copied:
    parents = {table: parent for table, parent, _lower, _upper in old.execute(load("list_partitions")).fetchall()}
    total = sum(table.size_bytes for table in tables)
    rows: dict[str, int] = {}
    before = copied = 0
    for table in tables:
        begun = copied
        what = sql.SQL("{} ({})").format(
            sql.Identifier(SCHEMA, table.name), sql.SQL(", ").join(sql.Identifier(column) for column in table.columns)
        )
        with old.cursor() as reading, new.cursor() as writing, _told_where(table):
            with (
                reading.copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(what)) as source,
                writing.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(what)) as sink,
            ):
                for block in source:
                    sink.write(block)
                    copied += len(block)
                    progress(before + min(copied - begun, table.size_bytes), total)
            if reading.rowcount != writing.rowcount:
                raise StoreError(f"of farm.{table.name} {reading.rowcount} rows were read and {writing.rowcount} written")
            if reading.rowcount:
                name = parents.get(table.name, table.name)
                rows[name] = rows.get(name, 0) + reading.rowcount
        before += table.size_bytes
        progress(before, total)
    return Copied(rows, copied)


@contextmanager
def _told_where(table: Table) -> Iterator[None]:
    """Say of which table a row is refused, such as by a database in another encoding, which has no character for some."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        reason = error.diag.message_primary or str(error)
        raise StoreError(f"the new database does not take a row of farm.{table.name}: {reason}") from error


def _copy_sequence(old: DeadlineConnection, new: DeadlineConnection, name: str) -> None:
    """Have ids go on where they were: none is given out twice."""
    row = old.execute(sql.SQL("SELECT s.last_value, s.is_called FROM {} AS s").format(sql.Identifier(SCHEMA, name))).fetchone()
    assert row is not None
    new.execute(load("set_sequence"), {"name": name, "last_value": row[0], "is_called": row[1]})
