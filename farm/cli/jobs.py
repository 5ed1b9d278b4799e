"""`farm jobs`: lists jobs, the newest first."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from farm.model import State
from farm.units import format_duration, format_time

LIMIT_DEFAULT = 20
LIMIT_MAX = 100_000

EPILOG = """\
examples:
  farm jobs
  farm jobs --state failed --limit 5
  farm jobs --queue mail --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm jobs`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--state", choices=[str(state) for state in State], metavar="S", help=f"only these: {', '.join(State)}")
    parser.add_argument("--queue", metavar="Q", help="only those of this queue")
    parser.add_argument("--limit", type=_limit, default=LIMIT_DEFAULT, metavar="N", help=f"at most this many (default: {LIMIT_DEFAULT})")
    parser.add_argument("--json", action="store_true", help="print a JSON array with every column of the view farm.jobs, and `progress`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the jobs."""
    from farm.cli.opening import open_database, open_session
    from farm.cli.plain import as_json
    from farm.cli.table import Table
    from farm.store.reads import ReadStore

    with open_database(args) as database, open_session(database) as session:
        rows = ReadStore(session).jobs(state=args.state, queue=args.queue, limit=args.limit)
    if args.json:
        print(as_json(rows))
        return 0
    if not rows:
        print("no jobs" if args.state is None and args.queue is None else "no such jobs")
        return 0
    table = Table(
        "id",
        "state",
        "queue",
        "task",
        "args",
        "attempt",
        "created",
        "took",
        "outcome",
        right=("id", "attempt", "took"),
        wide=("task", "args", "outcome"),
        spare=("args",),
    )
    for row in rows:
        created = _short(row["created_at"])
        args_shown = shown_args(row["args"])
        table.add(row["id"], row["state"], row["queue"], row["task"], args_shown, attempts(row), created, took(row), outcome(row))
    table.show()
    return 0


def attempts(row: dict[str, Any]) -> str:
    """Return how many attempts are used of how many: `1/3`; the default number is the view's to know."""
    return f"{row['attempt']}/{row['max_attempts']}" if row["max_attempts"] is not None else str(row["attempt"])


def took(row: dict[str, Any]) -> str:
    """Return how long a job ran, or nothing for one that has not ended."""
    started, finished = row["started_at"], row["finished_at"]
    if not isinstance(started, datetime) or not isinstance(finished, datetime):
        return ""
    return format_duration((finished - started).total_seconds())


def shown_args(args: Any) -> str:
    """Return arguments on one line; none at all as nothing."""
    from farm.cli.plain import compact_json

    return compact_json(args) if args else ""


def outcome(row: dict[str, Any]) -> str:
    """Return the result of a job as JSON, or the error as `Type: message`, or when it is due, or how far it is."""
    from farm.cli.plain import compact_json

    if row["error"] is not None:
        return error_line(row["error"])
    if row["state"] == State.SUCCEEDED:
        return compact_json(row["result"])
    if row["run_at"] is not None and row["state"] in (State.SCHEDULED, State.RETRYING):
        return f"due {_short(row['run_at'])}"
    return progress_line(row["progress"])


def progress_line(progress: dict[str, Any] | None) -> str:
    """Return what a running job has said of its progress: `40 % importing`."""
    if progress is None:
        return ""
    # Rounded down, but for what binary fractions cannot hold: 100 % is all of it.
    percent = None if progress["fraction"] is None else f"{int(progress['fraction'] * 100 + 1e-4)} %"
    return " ".join(part for part in (percent, progress["text"]) if part)


def error_line(error: Any) -> str:
    """Return an error {"type", "message", "traceback"} as `Type: message`."""
    if not isinstance(error, dict):
        return str(error)
    return ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))


def _short(moment: datetime) -> str:
    """Return a time of this year or so, in UTC like every time that farm shows."""
    return format_time(moment)[5:]


def _limit(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"expected 1 to {LIMIT_MAX}, got {text!r}")
    return int(text)
