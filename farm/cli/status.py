"""`farm status`: hosts, how their lanes do, and how deep the queues are."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from farm.answers.conditions import SUBJECTS, Condition, figure_of, figures, parse
from farm.answers.lanes import lanes_of, troubles, unserved
from farm.cli.plain import one_line
from farm.cli.table import Table
from farm.errors import FarmError
from farm.units import format_duration, format_size

if TYPE_CHECKING:
    from farm.store.session import Session

EPILOG = """\
The depth of a queue is exact up to 10,000 jobs; `>` stands before one that is larger than could be counted. BUSY is the share
of its slots' time that a lane had jobs in, over the last ten seconds. Below the tables: what keeps lanes from their work, and
what no lane takes.

--fail-if makes it an alarm: exit code 1 if one of the conditions holds, and it is said which, and what the figure is. A condition
is a name, one of > >= < <= = !=, and a value; several have commas between them, or an option each. What can be asked about:
{subjects}
oldest and ready can be asked of one queue: oldest[mail]>60s.

examples:
  farm status
  farm status --json
  farm status --fail-if 'oldest>60s, hosts<2' --quiet
  farm status --fail-if 'ready[mail]>=1000' --fail-if 'failed>5%'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm status`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG.format(subjects="\n".join(f"  {name:<10} {subject.means}" for name, subject in SUBJECTS.items()))
    parser.add_argument("--fail-if", metavar="CONDITIONS", action="append", default=[], help="exit with 1 if one of them holds; repeatable")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the conditions that hold")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object with `hosts`, `queues` and counts; `conditions` too if any are given"
    )
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is going on."""
    from farm.cli.opening import open_database, open_session
    from farm.cli.plain import as_json
    from farm.store.reads import ReadStore

    # What is wrong with them is said before anybody waits for a database.
    conditions = [condition for text in args.fail_if for condition in parse(text)]
    if args.quiet and not conditions:
        raise FarmError("--quiet prints only the conditions that hold, and there is none: name one, such as --fail-if 'oldest>60s'")
    with open_database(args) as database, open_session(database) as session:
        status = ReadStore(session).status()
        known = _figures(session, status, conditions) if conditions else {}
    holding = [condition for condition in conditions if condition.holds(figure_of(condition, known))]
    if args.json and not args.quiet:
        print(as_json({**status, **({"conditions": [_told(condition, known) for condition in conditions]} if conditions else {})}))
    elif not args.quiet:
        _show(status)
    for condition in holding:
        print(f"farm: {condition}: it is {condition.shown(figure_of(condition, known))}", file=sys.stderr)
    return 1 if holding else 0


def _figures(session: Session, status: dict[str, Any], conditions: Sequence[Condition]) -> dict[str, float]:
    """Return all figures; those that cost something only if somebody asks for them."""
    from farm.store.reads import ReadStore

    asked = {condition.subject for condition in conditions}
    failed = ReadStore(session).failed_share() if "failed" in asked else None
    return figures(status, failed=failed, horizon_s=_horizon_s(session) if "horizon" in asked else None)


def _horizon_s(session: Session) -> float:
    from farm.store.upkeep import UpkeepStore

    return max((holder.age_s or 0.0 for holder in UpkeepStore(session).horizon()), default=0.0)


def _told(condition: Condition, known: dict[str, float]) -> dict[str, Any]:
    figure = figure_of(condition, known)
    return {"condition": str(condition), "figure": figure if math.isfinite(figure) else None, "holds": condition.holds(figure)}


def _show(status: dict[str, Any]) -> None:
    live = [host for host in status["hosts"] if host["state"] == "live"]
    tables = [
        *([_hosts(live), _lanes(live)] if live else []),
        *([_queues(status["queues"])] if status["queues"] else []),
    ]
    for table in tables:
        table.show()
        print()
    for line in troubles(live):
        print(one_line(line))
    for queue in status["queues"] if live else ():
        for line in unserved(queue["queue"], queue["memory_mb"], lanes_of(live)):
            print(one_line(line))
    print(_summary(status, len(live)))


def _hosts(hosts: list[dict[str, Any]]) -> Table:
    table = Table("host", "name", "instance", "last beat", "running", "memory", "version", right=("host", "last beat", "running", "memory"))
    for host in hosts:
        beat = f"{format_duration(max(host['beat_age_s'], 0))} ago"
        running = f"{host['running']}/{host['capacity']}"
        memory = format_size(host["memory_bytes"])
        table.add(host["id"], host["name"], host["instance"], beat, running, memory, host["version"])
    return table


def _lanes(hosts: list[dict[str, Any]]) -> Table:
    columns = ("host", "lane", "queues", "subworkers", "concurrency", "memory", "busy")
    table = Table(*columns, right=("host", "subworkers", "concurrency", "memory", "busy"), wide=("queues",))
    for host in hosts:
        for name, lane in host["lanes"].items():
            queues = " > ".join(map(str, lane.get("queues", ())))
            memory = format_size(lane["memory_bytes"]) if "memory_bytes" in lane else None
            state = lane["state"]
            # A successor may serve beside whom it replaces.
            subworkers = f"{min(state['serving'], state['of'])} of {state['of']}" if state else lane.get("subworkers")
            busy = f"{state['busy']} %" if "busy" in state else None
            table.add(host["id"], name, queues, subworkers, lane.get("concurrency"), memory, busy)
    return table


def _queues(queues: list[dict[str, Any]]) -> Table:
    table = Table("queue", "ready", "oldest", right=("ready", "oldest"))
    for queue in queues:
        ready = f">{queue['ready'] - 1:,}" if queue["ready_at_least"] else f"{queue['ready']:,}"
        table.add(queue["queue"], ready, format_duration(max(queue["oldest_age_s"] or 0, 0)))
    return table


def _summary(status: dict[str, Any], live: int) -> str:
    """Say in words what the tables leave out, above all why nothing moves."""
    scheduled = f"{'>' if status['scheduled'] > 10_000 else ''}{min(status['scheduled'], 10_000):,}"
    due = f" (the next in {format_duration(max(status['next_due_s'], 0))})" if status["next_due_s"] is not None else ""
    counts = f"{status['claimed']:,} claimed, {status['running']:,} of them running; {scheduled} due later{due}"
    waiting = "" if status["queues"] else "nothing is waiting; "
    gone = len(status["hosts"]) - live
    retired = f"; {gone} host{'s' if gone > 1 else ''} retired within the last hour" if gone else ""
    nobody = "" if live else "; no host is live: `farm start CONFIG` makes this one"
    return f"{waiting}{counts}{retired}{nobody}"
