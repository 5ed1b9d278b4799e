"""`farm status`: hosts, their lanes, and how deep the queues are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from farm.cli.plain import one_line
from farm.cli.table import Table
from farm.model import memory_class_bytes
from farm.units import format_duration, format_memory_class, format_size

ANY_QUEUE = "*"

EPILOG = """\
The depth of a queue is exact up to 10,000 jobs; `>` stands before one that is larger than could be counted.

examples:
  farm status
  farm status --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm status`."""
    from farm.cli.database import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="print a JSON object with `hosts`, `queues` and counts")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is going on."""
    from farm.cli.database import open_database, open_session
    from farm.cli.plain import as_json
    from farm.store.reads import ReadStore

    with open_database(args) as database, open_session(database) as session:
        status = ReadStore(session).status()
    if args.json:
        print(as_json(status))
        return 0
    live = [host for host in status["hosts"] if host["state"] == "live"]
    tables = [
        *([_hosts(live), _lanes(live)] if live else []),
        *([_queues(status["queues"])] if status["queues"] else []),
    ]
    for table in tables:
        table.show()
        print()
    for line in _unserved(status["queues"], live):
        print(line)
    print(_summary(status, len(live)))
    return 0


def _hosts(hosts: list[dict[str, Any]]) -> Table:
    table = Table("host", "name", "instance", "last beat", "running", "memory", "version", right=("host", "last beat", "running", "memory"))
    for host in hosts:
        beat = f"{format_duration(max(host['beat_age_s'], 0))} ago"
        running = f"{host['running']}/{host['capacity']}"
        memory = format_size(host["memory_bytes"])
        table.add(host["id"], host["name"], host["instance"], beat, running, memory, host["version"])
    return table


def _lanes(hosts: list[dict[str, Any]]) -> Table:
    columns = ("host", "lane", "queues", "subworkers", "concurrency", "memory")
    table = Table(*columns, right=("host", "subworkers", "concurrency", "memory"), wide=("queues",))
    for host in hosts:
        for name, lane in host["lanes"].items():
            queues = " > ".join(map(str, lane.get("queues", ())))
            memory = format_size(lane["memory_bytes"]) if "memory_bytes" in lane else None
            table.add(host["id"], name, queues, lane.get("subworkers"), lane.get("concurrency"), memory)
    return table


def _queues(queues: list[dict[str, Any]]) -> Table:
    table = Table("queue", "ready", "oldest", right=("ready", "oldest"))
    for queue in queues:
        ready = f">{queue['ready'] - 1:,}" if queue["ready_at_least"] else f"{queue['ready']:,}"
        table.add(queue["queue"], ready, format_duration(max(queue["oldest_age_s"] or 0, 0)))
    return table


def _unserved(queues: list[dict[str, Any]], live: list[dict[str, Any]]) -> Iterator[str]:
    """Say which waiting jobs no lane of a living host takes: those of a queue that none serves, or that declare more than it allows."""
    lanes = [lane for host in live for lane in host["lanes"].values()]
    for queue in queues if live else ():
        allowed = [lane.get("memory_bytes", 0) // 1_000_000 for lane in lanes if {queue["queue"], ANY_QUEUE} & set(lane.get("queues", ()))]
        if not allowed:
            yield f"no lane serves the queue {one_line(queue['queue'])}"
            continue
        for memory_mb in sorted(queue["memory_mb"]):
            if memory_mb > max(allowed):
                declared = format_memory_class(memory_class_bytes(memory_mb))
                yield f"no lane that serves the queue {one_line(queue['queue'])} has the {declared} of memory that jobs in it declare"


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
