"""`farm migrate`: brings a database's schema to what this farm knows. Safe to run again, and by several at once."""

from __future__ import annotations

import argparse

from farm.cli.plain import as_json

EPILOG = """\
The embedded PostgreSQL is migrated by itself; any other database is changed by this command only.

examples:
  farm migrate --dsn postgresql://farm@db.example/farm
  farm migrate /etc/farm.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm migrate`."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="migrate the database of this configuration")
    parser.add_argument("--dsn", metavar="DSN", help="migrate this database")
    parser.add_argument("--json", action="store_true", help="print a JSON object with `database` and what was `applied`")


def run(args: argparse.Namespace) -> int:
    """Apply the migrations that are missing."""
    from farm.cli.opening import open_database, open_session
    from farm.store import schema

    with open_database(args) as database, open_session(database, prepared=False) as session:
        applied = schema.migrate(session)
    if args.json:
        print(as_json({"database": database.label, "applied": applied}))
    else:
        print(f"{database.label}: {('applied ' + ', '.join(applied)) if applied else 'up to date'}")
    return 0
