"""`farm move`: moves waiting jobs to another queue."""

from __future__ import annotations

import argparse

from farm.cli.change import WAITING_STATES, change
from farm.cli.selection import add_selection_arguments

EPILOG = """\
Only jobs that wait are moved: scheduled, ready, retrying. They keep their number, their priority and the attempts that they have
used. With options the number of jobs is said and asked about first. Exit code 1 if an ID is no job's, or the answer was no.

examples:
  farm move 17 18 --to-queue bulk
  farm move --from-queue mail --task 'mail:newsletter' --to-queue bulk
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm move`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--to-queue", metavar="Q", required=True, help="where to")
    add_selection_arguments(parser, WAITING_STATES, queue="--from-queue")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Move the jobs, and say what became of how many."""
    return change(args, f"moved to {args.to_queue}", queue=args.to_queue)
