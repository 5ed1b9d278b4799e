"""`farm tail`: the ends of jobs as they are committed, a line each."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from farm.errors import FarmError
from farm.units import format_duration, format_time, parse_duration

if TYPE_CHECKING:
    from farm.store.reads import ReadStore
    from farm.store.tails import NewEnd, TailStore

LOOK_S = 0.25
SHARE = 20
"""The pause after a look is so many times as long as that took: a tail keeps the server busy for a twentieth of the time at the most."""
AGAIN_S = 0.5
TIDY_S = 5.0
TELL_S = 5.0
"""So often it is said at the most that some lines are left out."""
STATES = ("succeeded", "failed", "cancelled")
COLOURS = {"succeeded": "32", "failed": "31", "cancelled": "33"}

EPILOG = """\
A line for each job that has succeeded, failed for good or was cancelled, on whichever host, as it is committed; of more than 1,000
at once some are left out, which is said. A database that goes away is waited for. Ctrl-C ends it.

examples:
  farm tail
  farm tail --state failed --since 10m
  farm tail --queue mail --task 'mail:*' --json
  farm tail --lane heavy
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm tail`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--state", choices=STATES, metavar="S", action="append", help=f"only these: {', '.join(STATES)}; repeatable")
    parser.add_argument("--queue", metavar="Q", type=_queue, action="append", help="only those of this queue; repeatable")
    parser.add_argument("--task", metavar="P", help="only those of this task; * stands for any characters: 'mail:*'")
    parser.add_argument("--lane", metavar="NAME", help="only those of queues that a lane of this name takes")
    parser.add_argument("--host", metavar="NAME", help="only those that ended on this host")
    parser.add_argument("--since", metavar="TIME", type=_duration, default=0.0, help="begin with those that ended up to so long ago: 10m")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Follow until interrupted."""
    from farm.cli.opening import announce, open_database, open_session
    from farm.store.reads import ReadStore
    from farm.store.tails import TailStore, Wanted

    with open_database(args) as database, open_session(database) as session:
        announce(database)
        queues = args.queue if args.lane is None else _queues_of(ReadStore(session), args.lane, args.queue)
        store = TailStore(session, Wanted(states=args.state, queues=queues, task=args.task, host=args.host))
        try:
            _follow(store, args)
        except KeyboardInterrupt:
            pass  # Which is how it ends.
    return 0


def _follow(store: TailStore, args: argparse.Namespace) -> None:
    from farm.cli.plain import json_line
    from farm.errors import StoreUnavailable

    tidy_at = told_at = float("-inf")
    begun = False
    away_since: float | None = None
    while True:
        began = time.monotonic()
        try:
            if not begun:
                store.begin(args.since)
                begun = True
            if began >= tidy_at:
                tidy_at = began + TIDY_S
                store.tidy()
            look = store.look()
        except StoreUnavailable as error:
            if away_since is None:
                away_since = began
                print(f"farm: the database is away ({error}); waiting for it", file=sys.stderr, flush=True)
            time.sleep(AGAIN_S)
            continue
        if away_since is not None:
            print(f"farm: the database is back after {format_duration(began - away_since)}", file=sys.stderr, flush=True)
            away_since = None
        for end in look.ends:
            print(json_line(end._asdict()) if args.json else _line(end, colours=sys.stdout.isatty()))
        sys.stdout.flush()
        if look.more and began - told_at > TELL_S:
            told_at = began
            print("farm: more jobs end than can be shown, some are left out", file=sys.stderr, flush=True)
        took_s = time.monotonic() - began
        time.sleep(max(LOOK_S - took_s, SHARE * took_s if took_s > LOOK_S / SHARE else 0.0))


def _queues_of(reads: ReadStore, name: str, queues: Sequence[str] | None) -> Sequence[str] | None:
    """Return the queues that living lanes of this name take, and which were asked for; None for any. Raises FarmError."""
    from farm.answers.lanes import ANY_QUEUE, lanes_of
    from farm.spelling import did_you_mean

    lanes = lanes_of(reads.hosts())
    chains = [lane.lane.get("queues", ()) for lane in lanes if lane.name == name]
    if not chains:
        raise FarmError(f"no host that lives has a lane {name!r}{did_you_mean(name, {lane.name for lane in lanes})}")
    taken = {queue for chain in chains for queue in chain}
    if ANY_QUEUE in taken:
        return queues
    wanted = taken if queues is None else taken.intersection(queues)
    if not wanted:
        raise FarmError(f"lane {name} takes nothing of {', '.join(queues or ())}: it takes {', '.join(sorted(taken))}")
    return sorted(wanted)


def _line(end: NewEnd, *, colours: bool) -> str:
    """Return an end as a line: when, how, which job, where, after how long, with what."""
    from farm.cli.plain import one_line

    took = "-" if end.started_at is None else format_duration(max(0.0, (end.finished_at - end.started_at).total_seconds()))
    state = f"\x1b[{COLOURS[end.state]}m{end.state:<9}\x1b[0m" if colours else f"{end.state:<9}"
    number = f"attempt {end.attempt}" if end.attempt > 1 else ""
    came_to = ": ".join(filter(None, (end.error_type, end.error_message))) if end.state != "succeeded" else end.result
    words = (end.task, end.queue, end.host, took, number, "" if came_to in (None, "null") else came_to)
    return f"{format_time(end.finished_at)[11:]}  {state}  {end.id:>8}  " + "  ".join(
        filter(None, (one_line(word or "") for word in words))
    )


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _queue(text: str) -> str:
    from farm.model import NAME_PATTERN

    if re.fullmatch(NAME_PATTERN, text) is None:
        raise argparse.ArgumentTypeError(f"no queue can be called {text[:40]!r}: expected the likes of mail or mail.eu")
    return text
