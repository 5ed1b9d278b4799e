"""`farm enqueue TASK [ARGS]`: adds a job, or many of the same kind."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from farm.errors import InvalidJob
from farm.units import parse_duration, parse_expires, parse_time

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
  farm enqueue mail:remind '[17]' --retry '10s to 1h' --expires 1d
  farm enqueue --file jobs.jsonl --queue bulk

A line of a file is an object such as {"task": "mail:send", "args": {"to": "a@example.com"}, "delay": "10m"}. Its keys are task,
args, queue, runner, priority, delay, run_at, max_attempts, timeout, memory, retry, expires and traceparent. What a line does not
say, the command line says for all.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm enqueue`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("task", metavar="TASK", nargs="?", help="what to run; for the python runner `module:function`")
    parser.add_argument("args", metavar="ARGS", nargs="?", help="its arguments as JSON (default: none)")
    parser.add_argument(
        "--file", metavar="FILE", help="add the jobs of a file, one JSON object a line, all or none; - reads standard input"
    )
    parser.add_argument("--queue", metavar="Q", help="the queue to file it under (default: default)")
    parser.add_argument("--runner", metavar="R", help="the runner (default: python for module:function)")
    parser.add_argument("--priority", type=int, metavar="0-9", help="0 is the most urgent (default: 4)")
    due = parser.add_mutually_exclusive_group()
    due.add_argument("--delay", type=_duration, metavar="D", help="not before this long from now: 250ms, 10s, 5m, 1h")
    due.add_argument("--run-at", type=_time, metavar="TIME", help="not before this time: 2026-12-31T23:00:00+01:00")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="how many times it may be started (default: 3)")
    parser.add_argument("--timeout", type=_duration, metavar="D", help="how long it may run before it is ended")
    parser.add_argument("--memory", metavar="SIZE", help="only lanes that allow a job so much run it: 512MB, 2GB")
    parser.add_argument("--retry", metavar="R", help="how long to wait before a retry: 10s, or longer each time: '1s to 10m'")
    parser.add_argument("--expires", type=_expires, metavar="D|TIME", help="do not start it any more after so long, or after that time")
    parser.add_argument(
        "--traceparent", metavar="SPAN", help="the span that it is enqueued in: 00-TRACE-SPAN-01, as W3C Trace Context has it"
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="add it this many times, in one transaction")
    parser.add_argument("--wait", action="store_true", help="wait until it has ended, and print its result as JSON")
    parser.add_argument("--wait-timeout", type=_duration, metavar="D", help="wait this long at the most; the job then goes on")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Enqueue, and print the id, or the first and last of many."""
    from farm.store.newjobs import validate

    if args.file is not None:
        return _run_file(args)
    if args.task is None:
        raise InvalidJob(
            "TASK is missing: what to run, such as module:function, or --file with jobs to run (farm enqueue --help says more)"
        )
    if not 1 <= args.count <= COUNT_MAX:
        raise InvalidJob(f"--count: expected 1 to {COUNT_MAX}, got {args.count}")
    waits = args.wait or args.wait_timeout is not None
    if waits and args.count != 1:
        raise InvalidJob("--wait: expected one job to wait for, not --count")
    job = {**_options(args), "args": _json("[]" if args.args is None else args.args)}
    validate(job)  # Before a database is opened, or even started, for it.
    with _client(args) as client:
        if waits:
            return _wait(client, client.enqueue(**job), args.wait_timeout)
        if args.count == 1:
            print(client.enqueue(**job))
            return 0
        ids = client.enqueue_many(job for _ in range(args.count))
    print(f"{len(ids)} jobs, {ids[0]} to {ids[-1]}")
    return 0


def _run_file(args: argparse.Namespace) -> int:
    """Enqueue the jobs of a file; the options of the command line are for lines that do not say."""
    from farm.cli.jobfile import JobFile, enqueue_file
    from farm.store.newjobs import validate

    if args.wait or args.wait_timeout is not None:
        raise InvalidJob("--wait: expected one job to wait for, not --file")
    if args.args is not None or args.count != 1:
        raise InvalidJob(
            f"--file: each line has its own arguments: {'ARGS' if args.args is not None else '--count'} cannot be given with it"
        )
    defaults = _options(args)
    validate({"task": "any:task", **defaults})

    def enqueue(jobs: Iterator[dict[str, Any]], file: JobFile) -> tuple[list[range], float]:
        with _client(args) as client:
            began = monotonic()
            return client.enqueue_stream(jobs, where=file.where), monotonic() - began

    return enqueue_file(args.file, defaults, enqueue)


@contextmanager
def _client(args: argparse.Namespace) -> Iterator[Client]:
    """Open the client of the database that the command line means."""
    import farm
    from farm.cli.opening import announce, open_database, open_session

    with open_database(args) as database:
        announce(database)
        with open_session(database):
            pass  # Its schema is right now: the client's own message would not name the command that mends it.
        with farm.connect(database.dsn, pooled=database.pooled) as client:
            yield client


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


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what was given of a job, as the client takes it, which checks it; without its arguments."""
    given = {
        "task": args.task,
        "queue": args.queue,
        "runner": args.runner,
        "priority": args.priority,
        "delay_s": args.delay,
        "run_at": args.run_at,
        "max_attempts": args.max_attempts,
        "timeout_s": args.timeout,
        "memory": args.memory,
        "retry": args.retry,
        "expires_at" if isinstance(args.expires, datetime) else "expires_s": args.expires,
        "traceparent": args.traceparent,
    }
    return {option: value for option, value in given.items() if value is not None}


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


def _expires(text: str) -> float | datetime:
    try:
        return parse_expires(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
