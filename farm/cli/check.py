"""`farm check`: the invariants that the database can show. Changes nothing; safe beside a running farm."""

from __future__ import annotations

import argparse

from farm.cli.plain import as_json, one_line
from farm.cli.progress import progress

EPILOG = """\
Checked: every job stands in exactly one place, has at most one result, attempts are within their limits, no lease is without a
host, and what a lease says is done has an outcome. Prints `ok`, or a line for each violation and leaves with exit code 1.
How many attempts a job may use that did not say so itself is known from --config alone: its section `tasks` may say so.

examples:
  farm check
  farm check --config /etc/farm.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm check`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print a JSON object with `ok` and `violations`, a line each")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check, and print what is violated."""
    from farm.cli.opening import open_database, open_session
    from farm.store.invariants import CHECKS, check

    attempts_max = _attempts_max(args)
    looks = len(CHECKS)
    with (
        open_database(args) as database,
        open_session(database) as session,
        progress("checking", looks, noun=f"of {looks} looks") as advance,
    ):
        violations = check(session, attempts_max=attempts_max, done=lambda: advance(1))
    if args.json:
        print(as_json({"ok": not violations, "violations": violations}))
    else:
        for line in map(one_line, violations or ["ok"]):
            print(line)
    return 1 if violations else 0


def _attempts_max(args: argparse.Namespace) -> int:
    from farm.store.invariants import ATTEMPTS_MAX_USUAL
    from farm.store.newjobs import ATTEMPTS_MAX

    if args.config is None:
        return ATTEMPTS_MAX
    from farm.config import load

    return max(ATTEMPTS_MAX_USUAL, *(policy.max_attempts or 0 for policy in load(args.config, to_run=False).tasks), 0)
