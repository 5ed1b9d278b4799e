"""`farm resume`: has what was paused go on."""

from __future__ import annotations

import argparse

EPILOG = """\
Without names all that is paused goes on, lanes and queues.

examples:
  farm resume
  farm resume fast
  farm resume --queue mail --all-hosts
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm resume`."""
    from farm.cli.target import add_target_arguments

    parser.epilog = EPILOG
    parser.add_argument("lanes", metavar="LANE", nargs="*", help="the name of a lane")
    parser.add_argument("--queue", metavar="Q", dest="queues", action="append", default=[], help="a queue; repeatable")
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Resume what is named, or everything, and print what goes on."""
    from farm.cli.target import carry_out

    return carry_out(args, "resume", {"lanes": args.lanes, "queues": args.queues})
