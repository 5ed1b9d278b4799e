"""`farm pause`: has lanes or queues of a running farm start nothing more."""

from __future__ import annotations

import argparse

from farm.errors import FarmError

EPILOG = """\
A lane that is paused claims nothing, and gives back what it has claimed and not started: no attempt is used, and other lanes or
hosts can have it. Jobs that run go on to their end. A queue that is paused is paused for all lanes of that farm, not for other
hosts (use --all-hosts). Pauses outlive the farm: they hold after a restart too, until `farm resume`.

examples:
  farm pause fast heavy
  farm pause --queue mail
  farm pause --all
  farm pause --queue mail --all-hosts
  farm pause heavy --host worker-3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm pause`."""
    from farm.cli.target import add_target_arguments

    parser.epilog = EPILOG
    parser.add_argument("lanes", metavar="LANE", nargs="*", help="the name of a lane")
    parser.add_argument("--queue", metavar="Q", dest="queues", action="append", default=[], help="a queue, whatever the lane; repeatable")
    parser.add_argument("--all", action="store_true", help="every lane, those that a reload adds as well")
    add_target_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Pause what is named, and print what is so now."""
    from farm.cli.target import carry_out

    if not args.lanes and not args.queues and not args.all:
        raise FarmError("expected the name of a lane, --queue, or --all")
    if args.lanes and args.all:
        raise FarmError("expected either names of lanes or --all")
    return carry_out(args, "pause", {"lanes": args.lanes, "queues": args.queues, "all": args.all})
