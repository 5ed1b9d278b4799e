"""`farm job ID`: everything about one job, with each of its attempts."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from farm.answers.lanes import why_waiting
from farm.cli.jobs import attempts, error_line, progress_line, took
from farm.cli.plain import as_json, compact_json, many_lines, one_line, shortened
from farm.model import State
from farm.store.history import RETRIED
from farm.units import counted, format_duration, format_memory_class, format_time

ID_MAX = (1 << 63) - 1
ATTEMPT_DIGITS_MAX = 6

WORDS = {
    "failed": "failed",
    "timed_out": "timed out",
    "crashed": "crashed",
    "memory": "ran out of memory",
    "lost": "lost with its host",
    "stopped": "stopped by a drain",
    "cancelled": "cancelled",
    "not_allowed": "not allowed",
    "succeeded": "succeeded",
    "running": "running",
}
"""What an attempt came to, as people say it."""
UNKEPT = ("ResultError", "ResultNotKept", "UnstorableResult")
"""Errors that speak of a result and not of the run."""

LOG_LINES_SHOWN = 10
LOG_LINE_WIDTH = 200

EPILOG = """\
Exit code 1 if there is no such job.

examples:
  farm job 17
  farm job 17 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm job`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", type=job_id, help="the number that `farm enqueue` and `farm jobs` print")
    parser.add_argument("--json", action="store_true", help="print a JSON object, all of its attempts under `attempts`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the job."""
    from farm.cli.opening import open_database, open_session
    from farm.store.reads import ReadStore

    with open_database(args) as database, open_session(database) as session:
        reads = ReadStore(session)
        job = reads.job(args.id)
        if job is not None:
            job["waits_because"] = _waits_because(job, reads.hosts()) if job["state"] == State.READY else None
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
        ("state", _state(job)),
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
        ("waits", job["waits_because"]),
        ("started", _when(job["started_at"])),
        ("progress", progress_line(job["progress"])),
        ("finished", _when(job["finished_at"])),
        ("took", took(job)),
        ("host", job["host"]),
        ("result", compact_json(job["result"]) if job["state"] == "succeeded" else None),
        ("error", error_line(job["error"]) if job["error"] is not None else None),
    ]
    for name, value in lines:
        if value not in (None, ""):
            print(f"{name:<9} {one_line(value)}")
    for attempt in job["attempts"]:
        _show_attempt(attempt)
        _show_log(job["id"], attempt)


def _waits_because(job: dict[str, Any], hosts: list[dict[str, Any]]) -> str | None:
    """Say why no lane takes a job that is ready; None if one does, as soon as it is its turn."""
    return why_waiting(job["queue"], job["runner"], (job["memory_bytes"] or 0) // 1_000_000, hosts) or None


def _state(job: dict[str, Any]) -> str:
    """Return the state; of a job that failed with attempts left, also why it was not tried again."""
    why = job["error"].get("not_retried") if isinstance(job["error"], dict) else None
    return f"{job['state']} (not retried: {why})" if why else str(job["state"])


def _show_attempt(attempt: dict[str, Any]) -> None:
    """Print one attempt: what it came to, when it started, where, how long it took, why it ended; and where in the code."""
    error = attempt["error"]
    if attempt["kind"] == RETRIED:
        print(f"\n{_retried(error if isinstance(error, dict) else {})} ({_when(attempt['finished_at'])})")
        return
    name = "never started" if attempt["attempt"] is None else f"attempt {attempt['attempt']}"
    print(f"\n{name}{':' if attempt['attempt'] is None else ''} {_came_to(attempt)} ({_times(attempt)})")
    # A traceback ends with the error's own line.
    traceback = error.get("traceback") if isinstance(error, dict) else None
    for line in many_lines(traceback) if traceback else [one_line(error_line(error))] if error is not None else []:
        print(f"  {line}")


def _show_log(number: int, attempt: dict[str, Any]) -> None:
    """Print the end of what an attempt has printed."""
    if attempt["log"] is None:
        return
    lines = many_lines(attempt["log"])
    print("  log:" if len(lines) <= LOG_LINES_SHOWN else f"  log, its last {LOG_LINES_SHOWN} of {len(lines):,} lines:")
    for line in lines[-LOG_LINES_SHOWN:]:
        print(f"    {shortened(line, LOG_LINE_WIDTH)}")
    if len(lines) > LOG_LINES_SHOWN:
        print(f"    (all of it: farm logs {number} --attempt {attempt['attempt']})")


def _came_to(attempt: dict[str, Any]) -> str:
    error = attempt["error"]
    if attempt["kind"] == "failed" and isinstance(error, dict) and error.get("type") in UNKEPT:
        return "failed, its result cannot be kept"
    return WORDS.get(attempt["kind"]) or one_line(attempt["kind"])


def _times(attempt: dict[str, Any]) -> str:
    where = f" on {one_line(attempt['host'])}" if attempt["host"] is not None else ""
    if attempt["started_at"] is None:
        return f"ended {_when(attempt['finished_at'])}{where}"
    so_far = " so far" if attempt["finished_at"] is None else ""
    return f"started {_when(attempt['started_at'])}{where}, took {format_duration(attempt['took_s'])}{so_far}{_peak(attempt)}"


def _peak(attempt: dict[str, Any]) -> str:
    """Say what its process had in memory at most, its runners and all, where that is known."""
    peak_bytes = attempt["peak_bytes"]
    return "" if peak_bytes is None else f", peak {peak_bytes / 1e6:.0f} MB"


def _retried(error: dict[str, Any]) -> str:
    """Say who has had the job tried again, and what it was."""
    was = error.get("error")
    why = f": {one_line(error_line(was))}" if was else ""
    used = counted(error.get("attempt") or 0, "attempt")
    had = "been cancelled" if error.get("state") == "cancelled" else "failed"
    return f"tried again by {one_line(error.get('by', 'somebody'))}, having {had} after {used}{why}"


def _when(moment: datetime | None) -> str | None:
    return format_time(moment) if isinstance(moment, datetime) else None


def job_id(text: str) -> int:
    """Read the number of a job from the command line."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not 1 <= int(text) <= ID_MAX:
        raise argparse.ArgumentTypeError(f"expected the number of a job, got {text[:40]!r}")
    return int(text)


def attempt_number(text: str) -> int:
    """Read the number of an attempt from the command line."""
    if not text.isascii() or not text.isdigit() or len(text) > ATTEMPT_DIGITS_MAX or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected the number of an attempt, got {text[:40]!r}")
    return int(text)
