"""`python -m tests.screen.played`: the screen of a farm that is only played, for the tests in a terminal and for eyes."""

from __future__ import annotations

import argparse
import sys

from farm.screen.abilities import color_system, glyphs_for
from farm.screen.app import run
from farm.screen.styles import Palette
from tests.screen.lively import LivelySource


def main() -> int:
    """Show it until somebody leaves. Prints what was asked of the farm, a line each, when it has ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--looks", type=int, default=1 << 30)
    args = parser.parse_args()
    source = LivelySource(slow_s=args.slow, looks_max=args.looks)
    glyphs = glyphs_for(ascii_only=args.ascii)
    code = run(source, tty_file=sys.stdout.fileno(), interval_s=0.25, glyphs=glyphs, palette=Palette(color_system(sys.stdout)))
    if code == 0:
        # A terminal that takes nothing more would hold us up here.
        print("asked:", "; ".join(source.asked))
    return code


if __name__ == "__main__":
    sys.exit(main())
