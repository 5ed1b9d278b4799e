"""`python -m tests.torture --minutes 20 --seed 1`: tries to make farm lose a job. Exit code 1, and the seed, if it did."""

from __future__ import annotations

import argparse
import logging
import random
import sys
from pathlib import Path

from tests.leaks import postgres_segments, remove_orphaned_segments
from tests.torture.report import as_json, lines_of
from tests.torture.run import torture


def main() -> int:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults strike; the end takes half a minute more")
    parser.add_argument("--seed", type=int, default=None, help="the plan follows from it; a random one by default, which is printed")
    parser.add_argument("--keep", type=Path, default=None, metavar="DIRECTORY", help="where logs go, and stay")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="strike only with what has this in its name; repeatable"
    )
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}", file=sys.stderr, flush=True)
    # That a transaction cannot be rolled back on a connection that was cut is no news here.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    known = postgres_segments()
    report = torture(seed=seed, seconds=args.minutes * 60, only=args.only, keep=args.keep)
    remove_orphaned_segments(known)
    print("\n".join(lines_of(report)))
    print(as_json(report))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
