"""`farm enqueue TASK [ARGS]`: adds a job, or many of the same kind."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from farm.errors import InvalidJob
from farm.units import parse_duration, parse_time

if TYPE_CHECKING:
    from farm.client import Client

COUNT_MAX = 10_000_000
"""All ids are kept until the end: 40 bytes each."""

EPILOG = """\
ARGS is JSON: an object gives keyword arguments, an array positional ones. The job's id is printed; with --wait, its result instead,
and the exit code is 1 if it failed.

examples:
  farm enqueue farm.demo:sleep '{"seconds": 2}'
  farm enqueue operator:add '[1, 2]' --priority 0 --wait
  farm enqueue farm.demo:noop --count 100000
  farm enqueue mail:send '{"to": "a@example.com"}' --delay 10m --max-attempts 5 --timeout 30s
  farm enqueue reports:nightly --run-at 2026-12-31T23:00:00+01:00
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm enqueue`."""
    from farm.cli.database import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("task", metavar="TASK", help="what to run; for the python runner `module:function`")
    parser.add_argument("args", metavar="ARGS", nargs="?", default="[]", help="its arguments as JSON (default: none)")
    parser.add_argument("--queue", default="default", metavar="Q", help="the queue to file it under (default: default)")
    parser.add_argument("--runner", metavar="R", help="the runner (default: python for module:function)")
    parser.add_argument("--priority", type=int, metavar="0-9", help="0 is the most urgent (default: 4)")
    due = parser.add_mutually_exclusive_group()
    due.add_argument("--delay", type=_duration, metavar="D", help="not before this long from now: 250ms, 10s, 5m, 1h")
    due.add_argument("--run-at", type=_time, metavar="TIME", help="not before this time: 2026-12-31T23:00:00+01:00")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="how many times it may be started (default: 3)")
    parser.add_argument("--timeout", type=_duration, metavar="D", help="how long it may run before it is ended")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="add it this many times, in one transaction")
    parser.add_argument("--wait", action="store_true", help="wait until it has ended, and print its result as JSON")
    parser.add_argument("--wait-timeout", type=_duration, metavar="D", help="wait this long at the most; the job then goes on")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Enqueue, and print the id, or the first and last of many."""
    import farm
    from farm.cli.database import announce, open_database, open_session
    from farm.store.newjobs import validate

    if not 1 <= args.count <= COUNT_MAX:
        raise InvalidJob(f"--count: expected 1 to {COUNT_MAX}, got {args.count}")
    waits = args.wait or args.wait_timeout is not None
    if waits and args.count != 1:
        raise InvalidJob("--wait: expected one job to wait for, not --count")
    job = _job(args)
    validate(job)  # Before a database is opened, or even started, for it.
    with open_database(args) as database:
        announce(database)
        with open_session(database):
            pass  # Its schema is right now: the client's own message would not name the command that mends it.
        with farm.connect(database.dsn, pooled=database.pooled) as client:
            if waits:
                return _wait(client, client.enqueue(**job), args.wait_timeout)
            if args.count == 1:
                print(client.enqueue(**job))
                return 0
            ids = client.enqueue_many(job for _ in range(args.count))
    print(f"{len(ids)} jobs, {ids[0]} to {ids[-1]}")
    return 0


def _wait(client: Client, job_id: int, timeout_s: float | None) -> int:
    """Print the result of a job, or why it has none; the id goes first, for whoever loses patience."""
    from farm.errors import JobFailed

    print(f"job {job_id}", file=sys.stderr)
    try:
        print(json.dumps(client.wait(job_id, timeout_s), ensure_ascii=False))
    except JobFailed as error:
        print(f"{error.traceback.rstrip()}\n{error}".strip(), file=sys.stderr)
        return 1
    return 0


def _job(args: argparse.Namespace) -> dict[str, Any]:
    """Return the job as the client takes it; the client checks all but the JSON."""
    return {
        "task": args.task,
        "args": _json(args.args),
        "queue": args.queue,
        "runner": args.runner,
        "priority": args.priority,
        "delay_s": args.delay,
        "run_at": args.run_at,
        "max_attempts": args.max_attempts,
        "timeout_s": args.timeout,
    }


def _json(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidJob(f"ARGS is not JSON: {error} (an object or an array, quoted for the shell: '{{\"seconds\": 2}}')") from None
    if not isinstance(value, dict | list):
        raise InvalidJob(f"ARGS: expected a JSON object (keyword arguments) or array (positional ones), got {text[:80]}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
