"""`farm database copy --to DSN`: from the embedded PostgreSQL, or any other database, to one of one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from farm.units import format_size

if TYPE_CHECKING:
    from farm.store.copying import Progress

EPILOG = """\
examples:
  farm database copy --to postgresql://farm@db-1/farm
"""
COPY_EPILOG = """\
Everything goes along: jobs, those that wait and those that have ended, results, attempts, leases, and the numbers from which ids
go on. What is in the new database afterwards stands there in whole or, if anything goes wrong, not at all; the old one is only
read. While it lasts nothing can be enqueued in the old one. No farm may be at work on it: stop those first. The new one has to
exist and to be empty; its schema is made. Afterwards everybody has to use the new one: `database:` in configurations, FARM_DSN.

examples:
  farm stop && farm database copy --to postgresql://farm@db-1/farm
  farm database copy --dsn postgresql://farm@old/farm --to postgresql://farm@new/farm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm database`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    copy = actions.add_parser(
        "copy",
        help="copy everything to another database",
        description="Copy everything to another database.",
        epilog=COPY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    copy.add_argument("--to", metavar="DSN", required=True, help="the new database, such as postgresql://user@host/farm")
    copy.add_argument("--json", action="store_true", help="print a JSON object with `rows` (by table) and `copied_bytes`")
    add_database_arguments(copy)


def run(args: argparse.Namespace) -> int:
    """Copy, and say what there was."""
    from farm.cli.opening import chosen_database, open_chosen
    from farm.cli.plain import as_json
    from farm.config.database import database_from
    from farm.errors import FarmError
    from farm.store import schema
    from farm.store.copying import COPY_S_MAX, copy_database
    from farm.store.session import Session

    target = database_from(args.to, "--to")
    if target.dsn is None:
        raise FarmError("--to: expected a PostgreSQL DSN, such as postgresql://user@host/farm: there is no second embedded database")
    with open_chosen(chosen_database(args)) as old, open_chosen(target) as new:
        source = Session(old.dsn, application_name="farm database copy", deadline_s=COPY_S_MAX, pooled=old.pooled)
        sink = Session(new.dsn, application_name="farm database copy", deadline_s=COPY_S_MAX, pooled=new.pooled)
        try:
            if old.embedded:
                schema.migrate(source)
            with _shown_progress() as progress:
                copied = copy_database(source, sink, progress=progress)
        finally:
            source.close()
            sink.close()
    if args.json:
        print(as_json({"rows": copied.rows, "copied_bytes": copied.copied_bytes}))
        return 0
    jobs = copied.rows.get("job", 0)
    print(f"copied {jobs:,} jobs ({sum(copied.rows.values()):,} rows in all, {format_size(copied.copied_bytes)})")
    print(f"  from {old.label}")
    print(f"  to   {new.label}")
    print("from now on everybody has to use the new one (`database:` in configurations, FARM_DSN): the old one is as it was")
    return 0


@contextmanager
def _shown_progress() -> Iterator[Progress]:
    """Give what shows how far it is: a bar on a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _copied, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("copying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("copying", total=None)
        yield lambda copied, total: bar.update(task, completed=copied, total=total)
