"""`farm set`: gives waiting jobs another priority or another time."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Literal

from farm.cli.change import WAITING_STATES, change
from farm.cli.selection import add_selection_arguments
from farm.errors import FarmError
from farm.units import parse_time

NOW: Literal["now"] = "now"

EPILOG = """\
Only jobs that wait are changed: scheduled, ready, retrying. With options the number of jobs is said and asked about first. Exit
code 1 if an ID is no job's, or the answer was no.

examples:
  farm set 17 --priority 0
  farm set 17 --run-at now
  farm set --queue mail --state ready --run-at 2026-12-31T23:00:00+01:00
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm set`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--priority", type=int, metavar="0-9", help="0 is the most urgent")
    parser.add_argument("--run-at", type=_time, metavar="TIME", help="not before this time: 2026-12-31T23:00:00+01:00, or `now`")
    add_selection_arguments(parser, WAITING_STATES)
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Change the jobs, and say what became of how many."""
    if args.priority is None and args.run_at is None:
        raise FarmError("expected --priority or --run-at: what to change (farm set --help says more)")
    return change(args, "changed", priority=args.priority, run_at=args.run_at)


def _time(text: str) -> datetime | Literal["now"]:
    if text == NOW:
        return NOW
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; or `now`") from None
