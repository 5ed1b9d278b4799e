"""`farm queues`: each queue, how deep it is, which lanes take from it, and where it is paused."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from farm.cli.table import Table
from farm.errors import FarmError
from farm.spelling import did_you_mean
from farm.units import format_duration, format_memory_class

COUNTED_MAX = 10_000

EPILOG = """\
Counts are exact up to 10,000; `>` stands before one that is larger than could be counted. What is due later is counted among the
10,000 jobs of all queues that are due first. LANES are those of living hosts that take from the queue, as lane@host; in brackets
those that take nothing of it now. A queue is shown if a job was ever filed under it, or a lane of a living host names it.

examples:
  farm queues
  farm queues mail bills
  farm queues --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm queues`."""
    from farm.cli.opening import add_database_arguments

    parser.epilog = EPILOG
    parser.add_argument("queues", metavar="QUEUE", nargs="*", help="only these")
    parser.add_argument("--json", action="store_true", help="print a JSON array, with why each lane takes nothing under `kept`")
    add_database_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the queues."""
    from farm.answers.queues import described
    from farm.cli.opening import open_database, open_session
    from farm.cli.plain import as_json, one_line
    from farm.store.reads import ReadStore

    with open_database(args) as database, open_session(database) as session:
        reads = ReadStore(session)
        queues = _chosen(described(reads.depths(), reads.hosts()), args.queues)
    if args.json:
        print(as_json(queues))
        return 0
    if not queues:
        print("no queues: nothing was ever enqueued here, and no lane of a living host names one")
        return 0
    _table(queues).show()
    for line in _troubles(queues):
        print(one_line(line))
    return 0


def _chosen(queues: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    known = {queue["queue"] for queue in queues}
    for name in names:
        if name not in known:
            raise FarmError(f"no job was ever filed under a queue {name!r}, and no lane names it{did_you_mean(name, known)}")
    return [queue for queue in queues if not names or queue["queue"] in names]


def _table(queues: Sequence[dict[str, Any]]) -> Table:
    right = ("ready", "oldest", "scheduled", "retrying")
    table = Table(
        "queue", *right, "lanes", "paused", "runners", "memory", right=right, wide=("lanes", "runners", "memory"), spare=("runners",)
    )
    for queue in queues:
        oldest = None if queue["oldest_age_s"] is None else format_duration(max(queue["oldest_age_s"], 0))
        more = ">" if queue["later_at_least"] else ""
        later = (f"{more}{queue[name]:,}" if queue[name] or more else "" for name in ("scheduled", "retrying"))
        table.add(
            queue["queue"], _bounded(queue["ready"]), oldest, *later, _lanes(queue), _paused(queue), _list(queue["runners"]), _memory(queue)
        )
    return table


def _troubles(queues: Sequence[dict[str, Any]]) -> list[str]:
    """Say what keeps queues that have work from being worked on."""
    lines = []
    for queue in queues:
        lines += queue["trouble"]
        kept = [lane["kept"] for lane in queue["lanes"]]
        if queue["ready"] and kept and all(kept):
            lines.append(f"nothing is taken of the queue {queue['queue']}: {'; '.join(dict.fromkeys(kept))}")
    return lines


def _bounded(count: int) -> str:
    return f">{COUNTED_MAX:,}" if count > COUNTED_MAX else f"{count:,}"


def _lanes(queue: dict[str, Any]) -> str:
    return _list([f"({lane['lane']}@{lane['host']})" if lane["kept"] else f"{lane['lane']}@{lane['host']}" for lane in queue["lanes"]])


def _paused(queue: dict[str, Any]) -> str:
    return f"on host {_list(map(str, queue['paused_on']))}" if queue["paused_on"] else ""


def _memory(queue: dict[str, Any]) -> str:
    """Name the memory classes of its jobs; nothing where none has declared any."""
    from farm.model import memory_class_bytes

    return _list(filter(None, (format_memory_class(memory_class_bytes(memory_mb)) for memory_mb in sorted(queue["memory_mb"]))))


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)
