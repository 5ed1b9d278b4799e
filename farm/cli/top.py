"""`farm top`: the live screen of the farm on this machine, or of all hosts."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.screen.glyphs import Glyphs
    from farm.screen.model import Source

EPILOG = """\
Attaches to the farm that runs on this machine, through its shared memory and its control socket; leaving the screen leaves the
farm running. With --all, --dsn or CONFIG, and where no farm runs here: every host, as the database knows them.

Keys: arrows or j k move, tab goes to the next list, enter opens what is chosen, p pauses a lane, x cancels a job, r tries one
again, / filters, s sorts, space freezes, ? explains all of them, q leaves. NO_COLOR is honoured.

examples:
  farm top
  farm top --all
  farm top --once | mail -s farm ada@example.org
"""
INTERVAL_S = 0.25
"""Four looks a second: more is not seen, and costs."""
INTERVAL_S_MAX = 3600.0
WIDTH_DEFAULT = 120
LOOKS_ONCE = 5
"""For one picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm top`."""
    parser.epilog = EPILOG
    parser.add_argument("config", metavar="CONFIG", nargs="?", help="all hosts, by the database of this configuration")
    parser.add_argument("--dsn", metavar="DSN", help="all hosts, by this database (a PostgreSQL DSN, or `embedded`)")
    parser.add_argument("--instance", metavar="NAME", help="the farm on this machine that runs under this name (host.name)")
    parser.add_argument("--all", action="store_true", help="all hosts, by the database that FARM_DSN or nobody names")
    parser.add_argument(
        "--interval", metavar="TIME", type=_interval, default=INTERVAL_S, help="how often to look (default and least: 250ms)"
    )
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only, as where the locale is not UTF-8")
    parser.add_argument("--secret-fd", metavar="FD", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help="print one picture as plain text, as where the output is no terminal")


def run(args: argparse.Namespace) -> int:
    """Show the farm. Returns the exit code."""
    from farm.cli.topsource import open_source
    from farm.screen.abilities import can_move, color_system, glyphs_for

    source = open_source(config=args.config, dsn=args.dsn, instance=args.instance, everywhere=args.all, secret_fd=args.secret_fd)
    glyphs = glyphs_for(ascii_only=args.ascii)
    if args.once or not sys.stdin.isatty() or not can_move(sys.stdout):
        return _print(source, glyphs)
    from farm.screen.app import run as show
    from farm.screen.styles import Palette

    return show(source, tty_file=sys.stdout.fileno(), interval_s=args.interval, glyphs=glyphs, palette=Palette(color_system(sys.stdout)))


def _print(source: Source, glyphs: Glyphs) -> int:
    """Print one picture. Returns an exit code: 1 if there is no farm to be seen."""
    from farm.screen.draw import draw_once
    from farm.screen.model import FarmState
    from farm.screen.styles import plain

    try:
        snapshot = source.look()
        for _ in range(LOOKS_ONCE - 1):
            # Rates are of a time between two looks; and whose jobs run is told a little later than that they do.
            time.sleep(INTERVAL_S)
            snapshot = source.look()
    finally:
        source.close()
    for row in draw_once(snapshot, shutil.get_terminal_size((WIDTH_DEFAULT, 0)).columns, glyphs):
        print(plain(row).rstrip())
    return 1 if snapshot.state is FarmState.LOST else 0


def _interval(text: str) -> float:
    from farm.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not INTERVAL_S <= seconds <= INTERVAL_S_MAX:
        raise argparse.ArgumentTypeError(f"expected from 250ms to 1h, got {text}")
    return seconds
