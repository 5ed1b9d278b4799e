"""The schema's version: applied migrations against those that this farm knows."""

from __future__ import annotations

from typing import cast

import psycopg

from farm.errors import SchemaMismatch
from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import Migration, load, migrations

MIGRATE_DEADLINE_S = 600.0


def migrate(session: Session) -> list[str]:
    """Apply the migrations that are missing, each in a transaction of its own under a lock; returns their names.

    Safe to run again and by several at once. Raises SchemaMismatch when the database is newer than this farm.
    """
    applied: list[str] = []
    for migration in migrations():
        if session.run(lambda connection, m=migration: _apply(connection, m), deadline_s=MIGRATE_DEADLINE_S):  # type: ignore[misc]
            applied.append(f"{migration.version:04} {migration.name}")
    require(session)
    return applied


def require(session: Session) -> None:
    """Raise SchemaMismatch unless the database's schema is the one of this farm."""
    known = migrations()[-1].version
    found = found_version(session)
    if found > known:
        raise SchemaMismatch(f"database schema is version {found}, this farm knows {known}: upgrade farm")
    if found < known:
        state = f"database schema is version {found}, this farm needs {known}" if found else "the database has no farm schema"
        raise SchemaMismatch(f"{state}: run `farm migrate`")


def found_version(session: Session) -> int:
    """Return the version of the database's schema; 0: there is none."""
    return session.run(_version)


def _version(connection: DeadlineConnection) -> int:
    # to_regclass, because a statement that names a missing table is an error even where it would not be evaluated.
    row = connection.execute(load("find_migrations")).fetchone()
    if row is None or row[0] is None:
        return 0
    version = connection.execute(load("read_version")).fetchone()
    return cast(int, version[0]) if version is not None else 0


def _apply(connection: DeadlineConnection, migration: Migration) -> bool:
    with connection.transaction():
        connection.execute(load("lock_migrations"))
        connection.execute(load("create_migrations"))
        if _version(connection) >= migration.version:
            return False
        # Text without parameters may hold several statements.
        connection.execute(cast(psycopg.abc.Query, migration.text))
        connection.execute(load("record_migration"), {"version": migration.version, "name": migration.name})
        return True
