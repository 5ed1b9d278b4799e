"""`farm retry`: tries jobs again that have ended in vain."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from farm.cli.plain import as_json, one_line
from farm.cli.progress import progress
from farm.errors import FarmError
from farm.units import counted, parse_expires

if TYPE_CHECKING:
    from farm.store.session import Session

READ_JOBS_MAX = 1000
TOLD_MAX = 10
"""So many ids that cannot be tried again are named."""

EPILOG = """\
IDs may be of jobs that have failed or were cancelled; the options find those that have failed. A job keeps its id and its history,
is ready at once, and its attempts are counted from 1 again. How many there are is said and asked first. Exit code 1 if an ID was
none of such a job, or the answer was no.

examples:
  farm retry 17 18
  farm retry --queue mail --failed-since 2h
  farm retry --task 'mail:*' --failed-since 2026-05-01T09:00:00+02:00 --yes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm retry`."""
    from farm.cli.job import job_id
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("ids", metavar="ID", type=job_id, nargs="*", help="the number of a job")
    parser.add_argument("--queue", metavar="Q", help="those of this queue that have failed")
    parser.add_argument("--task", metavar="P", help="those that have failed whose task matches this pattern: 'mail:*'")
    parser.add_argument("--failed-since", metavar="T", type=_since, help="those that have failed since then: 2h (ago), or a time")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print a JSON object: how many are `ready` again, and why IDs are not")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Say how many there are, ask, and make them ready again."""
    chosen = any(option is not None for option in (args.queue, args.task, args.failed_since))
    if bool(args.ids) == chosen:
        raise FarmError("expected either IDs, or --queue, --task or --failed-since, which find them (farm retry --help says more)")
    from farm.cli.opening import announce, open_database, open_session

    with open_database(args) as database, open_session(database) as session:
        announce(database)
        ids, refused = _of_ids(session, args.ids) if args.ids else (_found(session, args), [])
        for line in refused[:TOLD_MAX] if not args.json else ():
            print(f"farm: {line}", file=sys.stderr)
        wanted = not ids or args.yes or _ask(len(ids), args)
        again = _retry(session, ids) if ids and wanted else 0
    if args.json:
        print(as_json({"ready": again, "refused": refused}))
    elif not ids:
        print("there is nothing to try again")
    elif not wanted:
        print("nothing was done")
    else:
        print(f"{counted(again, 'job')} {'is' if again == 1 else 'are'} ready again")
    return 0 if wanted and not refused else 1


def _of_ids(session: Session, ids: list[int]) -> tuple[list[int], list[str]]:
    """Look which of these have ended in vain; returns them, and for each of the others a line that says why not."""
    from farm.store.ends import CANCELLED, FAILED, EndStore

    store = EndStore(session)
    wanted = sorted(set(ids))
    pieces = [wanted[start : start + READ_JOBS_MAX] for start in range(0, len(wanted), READ_JOBS_MAX)]
    status = {end.job_id: end.status for piece in pieces for end in store.read(piece)}
    found = [job_id for job_id in wanted if status.get(job_id) in (FAILED, CANCELLED)]
    refused = []
    for job_id in wanted:
        if job_id not in status:
            refused.append(f"there is no job {job_id}")
        elif status[job_id] not in (FAILED, CANCELLED):
            refused.append(f"job {job_id} {'has not ended' if status[job_id] is None else 'has succeeded'}")
    return found, refused


def _found(session: Session, args: argparse.Namespace) -> list[int]:
    from farm.store.retries import RetryStore

    store = RetryStore(session)
    since = args.failed_since
    if isinstance(since, float):
        since = store.now() - timedelta(seconds=since)
    return list(store.failed(queue=args.queue, task=args.task, since=since))


def _ask(count: int, args: argparse.Namespace) -> bool:
    """Ask whether so many jobs are meant. Raises FarmError where nobody can be asked."""
    which = f" of the queue {one_line(args.queue)}" if args.queue is not None else ""
    what = f"{counted(count, 'job')}{which} would be tried again"
    if not sys.stdin.isatty():
        raise FarmError(f"{what}: give --yes, since there is no terminal to ask on")
    print(f"{what}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _retry(session: Session, ids: list[int]) -> int:
    from farm.store.retries import RETRY_JOBS_MAX, RetryStore

    store, by, again = RetryStore(session), _who(), 0
    with progress("trying again", len(ids)) as advance:
        for start in range(0, len(ids), RETRY_JOBS_MAX):
            piece = ids[start : start + RETRY_JOBS_MAX]
            again += len(store.retry(piece, by=by))
            advance(len(piece))
    return again


def _who() -> str | None:
    """Return who types this; the user of the database is as a rule one that many share."""
    import getpass
    import platform

    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):
        return None


def _since(text: str) -> datetime | float:
    """Read when, or how many seconds ago."""
    try:
        return parse_expires(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
