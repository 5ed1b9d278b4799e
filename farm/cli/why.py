"""`farm why ID`: says why a job has not started, or why it ended as it did."""

from __future__ import annotations

import argparse

EPILOG = """\
What is said of hosts and lanes is as of their last heartbeats. `--json` also has `code`, one word for each reason, for programs.
Exit code 1 if there is no such job.

examples:
  farm why 17
  farm why 17 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm why`."""
    from farm.cli.job import job_id
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", type=job_id, help="the number that `farm enqueue` and `farm jobs` print")
    parser.add_argument("--json", action="store_true", help="print a JSON object with `id`, `state`, `code`, `why` and `try`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the reason, and a command that changes it where there is one."""
    from farm.answers.why import why
    from farm.cli.opening import open_database, open_session
    from farm.cli.plain import as_json, one_line
    from farm.store.circumstances import CircumstanceStore

    with open_database(args) as database, open_session(database) as session:
        facts = CircumstanceStore(session).facts(args.id)
    reason = why(facts)
    state = None if facts.job is None else facts.job["state"]
    if args.json:
        print(as_json({"id": args.id, "state": state, "code": reason.code, "why": reason.text, "try": reason.advice or None}))
    else:
        print(one_line(reason.text))
        if reason.advice:
            print(one_line(f"try: {reason.advice}"))
    return 0 if facts.job is not None else 1
