"""`farm job ID`: everything about one job, with each of its attempts."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from farm.cli.jobs import attempts, error_line, took
from farm.cli.plain import as_json, compact_json, many_lines, one_line
from farm.units import format_duration, format_memory_class, format_time

ID_MAX = (1 << 63) - 1

EPILOG = """\
Exit code 1 if there is no such job.

examples:
  farm job 17
  farm job 17 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm job`."""
    from farm.cli.database import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", type=_id, help="the number that `farm enqueue` and `farm jobs` print")
    parser.add_argument("--json", action="store_true", help="print a JSON object, its failed attempts under `failures`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the job."""
    from farm.cli.database import open_database, open_session
    from farm.store.reads import ReadStore

    with open_database(args) as database, open_session(database) as session:
        job = ReadStore(session).job(args.id)
    if job is None:
        print(f"farm: there is no job {args.id} in {database.label}", file=sys.stderr)
        return 1
    if args.json:
        print(as_json(job))
    else:
        _show(job)
    return 0


def _show(job: dict[str, Any]) -> None:
    lines = [
        ("job", job["id"]),
        ("state", job["state"]),
        ("task", job["task"]),
        ("args", compact_json(job["args"])),
        ("queue", job["queue"]),
        ("runner", job["runner"]),
        ("priority", job["priority"]),
        ("memory", format_memory_class(job["memory_bytes"])),
        ("attempts", attempts(job)),
        ("retry", job["retry"]),
        ("created", _when(job["created_at"])),
        ("due", _when(job["run_at"])),
        ("expires", _when(job["expires_at"])),
        ("started", _when(job["started_at"])),
        ("finished", _when(job["finished_at"])),
        ("took", took(job)),
        ("host", job["host"]),
        ("result", compact_json(job["result"]) if job["state"] == "succeeded" else None),
        ("error", error_line(job["error"]) if job["error"] is not None else None),
    ]
    for name, value in lines:
        if value not in (None, ""):
            print(f"{name:<9} {one_line(value)}")
    _show_failures(job["failures"])


def _show_failures(failures: list[dict[str, Any]]) -> None:
    """Print each attempt that failed: when, where, how long, why; and where in the code."""
    for failure in failures:
        ran = _ran_s(failure)
        where = f" on {one_line(failure['host'])}" if failure["host"] is not None else ""
        length = f", after {format_duration(ran)}" if ran is not None else ""
        print(f"\nattempt {failure['attempt']} {one_line(failure['kind'])} at {_when(failure['finished_at'])}{where}{length}")
        error = failure["error"]
        # A traceback ends with the error's own line.
        traceback = error.get("traceback") if isinstance(error, dict) else None
        for line in many_lines(traceback) if traceback else [one_line(error_line(error))]:
            print(f"  {line}")


def _ran_s(failure: dict[str, Any]) -> float | None:
    started, finished = failure.get("started_at"), failure.get("finished_at")
    return (finished - started).total_seconds() if isinstance(started, datetime) and isinstance(finished, datetime) else None


def _when(moment: datetime | None) -> str | None:
    return format_time(moment) if isinstance(moment, datetime) else None


def _id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 1 <= int(text) <= ID_MAX:
        raise argparse.ArgumentTypeError(f"expected the number of a job, got {text[:40]!r}")
    return int(text)
