"""`farm top`: the live screen of the farm on this machine, or of all hosts."""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.screen.model import Source

EPILOG = """\
Attaches to the farm that runs on this machine, through its shared memory and its control socket; leaving the screen leaves the
farm running. With --all, --dsn or CONFIG, and where no farm runs here: every host, as the database knows them.

Keys: arrows or j k move, tab goes to the next list, enter opens what is chosen, p pauses a lane, x cancels a job, r tries one again,
/ filters, s sorts, space freezes, ? explains all of them, q leaves. NO_COLOR is honoured.

examples:
  farm top
  farm top --all
  farm top --once | mail -s farm ada@example.org
"""
INTERVAL_S = 0.25
"""Four looks a second: more is not seen, and costs."""
INTERVAL_S_MAX = 3600.0
WIDTH_DEFAULT = 120


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
    parser.add_argument("--once", action="store_true", help="print one picture as plain text, as where the output is no terminal")


def run(args: argparse.Namespace) -> int:
    """Show the farm. Returns the exit code."""
    from farm.screen.abilities import can_move, color_system, glyphs_for

    glyphs = glyphs_for(ascii_only=args.ascii)
    source = _source(args)
    if args.once or not sys.stdin.isatty() or not can_move(sys.stdout):
        try:
            return _print(source, args)
        finally:
            source.close()
    from farm.screen.app import run as show
    from farm.screen.styles import Palette

    palette = Palette(color_system(sys.stdout))
    return show(source, tty_file=sys.stdout.fileno(), interval_s=args.interval, glyphs=glyphs, palette=palette)


def _print(source: Source, args: argparse.Namespace) -> int:
    from farm.screen.abilities import glyphs_for
    from farm.screen.draw import draw_once
    from farm.screen.styles import plain

    width = shutil.get_terminal_size((WIDTH_DEFAULT, 0)).columns
    for row in draw_once(source.look(), width, glyphs_for(ascii_only=args.ascii)):
        print(plain(row).rstrip())
    return 0


def _source(args: argparse.Namespace) -> Source:
    from farm.screen.source import open_source

    return open_source(config=args.config, dsn=args.dsn, instance=args.instance, everywhere=args.all)


def _interval(text: str) -> float:
    from farm.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not INTERVAL_S <= seconds <= INTERVAL_S_MAX:
        raise argparse.ArgumentTypeError(f"expected from 250ms to 1h, got {text}")
    return seconds
