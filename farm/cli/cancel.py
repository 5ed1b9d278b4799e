"""`farm cancel`: ends jobs that nobody wants any more."""

from __future__ import annotations

import argparse

from farm.cli.plain import as_json
from farm.cli.progress import progress
from farm.cli.selection import add_selection_arguments, check_selection, selected, states_of
from farm.model import State
from farm.units import counted

EPILOG = """\
A job that waits is cancelled at once, and uses no attempt. One that runs is ended like one that is over its time. An outcome that
was committed stands. With options the number of jobs is said and asked about first. Exit code 1 if an ID is no job's, or the answer
was no.

examples:
  farm cancel 17 18
  farm cancel 17 --reason 'wrong address'
  farm cancel --queue mail --state ready
  farm cancel --task 'reports:*' --yes
"""

JOBS_MAX = 10_000
"""In one statement: a tenth of a second or two, for which their rows are locked."""
STATES = (State.SCHEDULED, State.READY, State.RETRYING, State.CLAIMED, State.RUNNING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm cancel`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    add_selection_arguments(parser, STATES)
    parser.add_argument("--reason", metavar="TEXT", help="why: it is kept with the job")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Cancel the jobs, and say what became of how many."""
    check_selection(args)
    from farm.cli.opening import announce, open_database, open_session
    from farm.store.cancels import Cancelled, CancelStore
    from farm.store.selections import HELD, WAITING

    states = frozenset(STATES) if args.ids else states_of(args)
    with open_database(args) as database, open_session(database) as session:
        announce(database)
        pieces = selected(session, args, "would be cancelled", jobs_max=JOBS_MAX)
        store, total = CancelStore(session), Cancelled(0, 0, 0, 0)
        if pieces is None:
            print(as_json(total._asdict()) if args.json else "nothing was done")
            return 1
        with progress("cancelling", len(args.ids) or None) as advance:
            for job_ids in pieces:
                # What has gone from a state to another since it was found is still to be one that was asked for.
                total += store.cancel(job_ids, args.reason, waiting=bool(states & WAITING), held=bool(states & HELD))
                advance(len(job_ids))
    print(as_json(total._asdict()) if args.json else _told(total))
    return 1 if total.unknown else 0


def _told(total: tuple[int, int, int, int]) -> str:
    cancelled, asked, ended, unknown = total
    parts = [
        f"{counted(cancelled, 'job')} cancelled" if cancelled else "",
        f"{counted(asked, 'job')} asked to end" if asked else "",
        f"{counted(ended, 'job')} had ended before" if ended else "",
        f"{counted(unknown, 'job')} not found" if unknown else "",
    ]
    return ", ".join(filter(None, parts)) or "there is nothing to cancel"
