"""`farm replay ID`: runs a job again, here and outside of any farm, and shows both runs side by side. Nothing is written to the job."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from farm.cli.job import WORDS, attempt_number, job_id
from farm.errors import FarmError
from farm.units import format_duration, format_size

if TYPE_CHECKING:
    from farm.replay.run import Replayed

EPILOG = """\
The job does again whatever it does: sends its mail, writes its files. It runs in a process of its own, with the task, arguments,
memory limit, time limit, variables and setup that it would have in its lane, by the configuration of the farm that runs here, or
--config. What the farm's database says of the job stays as it is. What it prints goes to standard error.

With --debugger it stops in Python's debugger (pdb) where the task's function begins, and again where an exception came from;
nothing limits its time then.

Exit code 0 if it succeeds now, 1 if it does not.

examples:
  farm replay 17
  farm replay 17 --debugger
  farm replay 17 --attempt 1 --config farm.yaml --lane heavy
"""

SHOWN_LINES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm replay`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("id", metavar="ID", type=job_id, help="the number that `farm enqueue` and `farm jobs` print")
    parser.add_argument("--attempt", metavar="N", type=attempt_number, help="compare with this attempt (default: the last one)")
    parser.add_argument("--lane", metavar="LANE", help="use the limits of this lane (default: the one that takes the job)")
    parser.add_argument("--debugger", action="store_true", help="run it under Python's debugger, on this terminal")
    parser.add_argument("--json", action="store_true", help="print a JSON object with `before` and `now`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the job again, and compare."""
    from farm.cli.opening import open_database, open_session
    from farm.cli.platform import require_linux
    from farm.config import load
    from farm.replay.plan import attempt_of, lane_of, order_of, timeout_s_of
    from farm.replay.run import replay
    from farm.store.reads import ReadStore

    require_linux("farm replay")
    if args.debugger and not sys.stdin.isatty():
        raise FarmError("--debugger needs a terminal: its commands are typed")
    args.config = args.config or _config_of_farm()
    with open_database(args) as database, open_session(database) as session:
        job = ReadStore(session).job(args.id)
    if job is None:
        print(f"farm: there is no job {args.id} in {database.label}", file=sys.stderr)
        return 1
    config = load(args.config)
    before, lane = attempt_of(job, args.attempt), lane_of(config, job, args.lane)
    order = order_of(config, lane, job, before["attempt"] or 1, debugger=args.debugger)
    timeout_s = timeout_s_of(config, lane, job)
    limits = f"{format_size(lane.memory_bytes)}, {'no time limit' if not timeout_s else f'up to {format_duration(timeout_s)}'}"
    print(f"running job {job['id']} again: {job['task']}, with the limits of lane {lane.name} ({limits})", file=sys.stderr)
    now = replay(order, timeout_s=timeout_s, pass_on=_pass_on)
    if args.json:
        _print_json(job, before, now)
    else:
        _show(before, now, debugged=args.debugger)
    return 0 if now.kind == "succeeded" else 1


def _config_of_farm() -> str:
    """Return the configuration of the farm that runs here. Raises FarmError."""
    from farm.control import connect
    from farm.home import farm_home

    try:
        with connect(farm_home()) as connection:
            return str(connection.ask("config")["config"])
    except FarmError as error:
        raise FarmError(f"which code and which limits? Name a configuration with --config ({error})") from None


def _pass_on(piece: bytes) -> None:
    from farm.cli.plain import many_lines

    if not sys.stderr.isatty():
        sys.stderr.buffer.write(piece)
        sys.stderr.flush()
        return
    # What a job prints is not to steer this terminal either.
    print("\n".join(many_lines(piece.decode("utf-8", "replace"))), file=sys.stderr, flush=True)


def _show(before: Mapping[str, Any], now: Replayed, *, debugged: bool) -> None:
    from farm.cli.plain import compact_json, many_lines, one_line
    from farm.cli.table import Table

    table = Table("", "before", "now", wide=("before", "now"))
    table.add("outcome", _words(before["kind"]), _words(now.kind))
    if not debugged:
        # Under the debugger these say more of whoever sits at it.
        table.add("took", format_duration(before["took_s"]), format_duration(now.took_s))
        table.add("on the processor", None, None if now.cpu_s is None else format_duration(now.cpu_s))
        table.add("peak memory", *(None if peak is None else format_size(peak) for peak in (before["peak_bytes"], now.peak_bytes)))
    table.add("where", before["host"], "here")
    table.add("error", _error(before["error"]), _error(now.error))
    if "result" in before or now.kind == "succeeded":
        table.add("result", compact_json(before["result"]) if "result" in before else None, compact_json(now.result))
    table.show()
    old_log = before.get("log")
    if old_log and now.log:
        print("\nprinted: the same as before" if old_log == now.log else "\nprinted before:")
        if old_log != now.log:
            lines = many_lines(old_log)
            for line in lines[:SHOWN_LINES]:
                print(f"  {line}")
            if len(lines) > SHOWN_LINES:
                print(f"  ... {len(lines) - SHOWN_LINES:,} more lines")
    if now.error is not None and (traceback := now.error.get("traceback")):
        print()
        for line in many_lines(traceback):
            print(f"  {one_line(line) if not line.startswith(' ') else line}")


def _print_json(job: Mapping[str, Any], before: Mapping[str, Any], now: Replayed) -> None:
    from dataclasses import asdict

    from farm.cli.plain import as_json

    print(as_json({"id": job["id"], "task": job["task"], "same_outcome": before["kind"] == now.kind, "before": before, "now": asdict(now)}))


def _words(kind: str) -> str:
    return "asked for more time" if kind == "snoozed" else WORDS.get(kind, kind)


def _error(error: Any) -> str | None:
    from farm.cli.jobs import error_line

    return None if error is None else error_line(error)
