"""The database of a command: which one, started if it is the embedded one, and said in words that never hold a password."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from farm.config.database import DSN_VARIABLE, choose_database
from farm.config.model import Database
from farm.dsn import describe_dsn

if TYPE_CHECKING:
    from farm.store.session import Session

CALL_S = 30.0
"""How long a reading command waits for an answer: long enough for a busy database, short enough for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDatabase:
    """A database that answers at `dsn`; label names it for people."""

    dsn: str = field(repr=False)
    pooled: bool
    label: str
    embedded: bool


def add_database_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --dsn and --config, which say where the jobs are."""
    group = parser.add_argument_group("which database")
    group.add_argument("--dsn", metavar="DSN", help="a PostgreSQL DSN, such as postgresql://user@host/farm, or `embedded`")
    group.add_argument("--config", metavar="FILE", help="use the database of this configuration")


@contextmanager
def open_database(args: argparse.Namespace) -> Iterator[OpenDatabase]:
    """Open the database that the command line, FARM_DSN or nobody names (then the embedded one). Raises FarmError."""
    with open_chosen(chosen_database(args)) as opened:
        yield opened


def chosen_database(args: argparse.Namespace) -> Database:
    """Return the database of a command: --dsn, --config, FARM_DSN, embedded, in this order. Raises ConfigError."""
    if args.dsn is None and getattr(args, "config", None) is not None:
        from farm.config import load

        return load(args.config, to_run=False).database
    return choose_database(args.dsn, None, os.environ)


@contextmanager
def open_chosen(database: Database) -> Iterator[OpenDatabase]:
    """Open a database that has been chosen; the embedded one is started and runs at least until this ends. Raises FarmError."""
    if database.dsn is not None:
        yield OpenDatabase(dsn=database.dsn, pooled=database.pooled, label=describe_dsn(database.dsn), embedded=False)
        return
    from farm.embedded import open_server
    from farm.home import farm_home

    home = farm_home()
    with open_server(home, log=_to_stderr) as server:
        label = f"embedded PostgreSQL {server.version} in {home}"
        yield OpenDatabase(dsn=server.dsn, pooled=False, label=label, embedded=True)


@contextmanager
def open_session(database: OpenDatabase, *, prepared: bool = True) -> Iterator[Session]:
    """Open a session and, if `prepared`, see that its schema is this farm's: the embedded one is migrated, any other is checked."""
    from farm.errors import SchemaMismatch
    from farm.store import schema
    from farm.store.session import Session

    session = Session(database.dsn, application_name="farm command", deadline_s=CALL_S, pooled=database.pooled)
    try:
        try:
            if prepared:
                schema.require(session)
        except SchemaMismatch:
            if not database.embedded:
                raise
            schema.migrate(session)
        yield session
    finally:
        session.close()


def announce(database: OpenDatabase) -> None:
    """Say on a terminal which database is used: a job in the wrong one looks like a job that is never run."""
    if sys.stderr.isatty():
        print(f"database: {database.label}", file=sys.stderr)


def differs_from_environment(database: Database) -> bool:
    """Say whether FARM_DSN names another database than the one chosen."""
    named = os.environ.get(DSN_VARIABLE)
    return bool(named) and named != (database.dsn or "embedded")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
