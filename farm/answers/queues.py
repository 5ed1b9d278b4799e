"""What is to be said of each queue: how deep it is, by the database, and who takes from it, by the heartbeats of the hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farm.answers.lanes import ANY_QUEUE, OfHost, keeps_from, lanes_of, serves, unserved

COUNTS = ("ready", "scheduled", "retrying")


def described(depths: Sequence[dict[str, Any]], hosts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the queues, those too that only a lane or a pause names, sorted by name.

    depths and hosts are as ReadStore has them. To what depths has this adds `lanes` (a list of {"host", "lane", "kept"}: why it takes
    nothing of the queue now, "" if it does), `paused_on` (ids of living hosts) and `trouble` (sentences: what no lane takes).
    """
    lanes = lanes_of(hosts)
    known = {row["queue"]: row for row in depths}
    paused = {queue for host in hosts if host["state"] == "live" for queue in host["paused_queues"]}
    named = {queue for lane in lanes for queue in lane.lane.get("queues", ()) if queue != ANY_QUEUE}
    return [_described(known.get(queue) or _empty(queue), hosts, lanes) for queue in sorted(known.keys() | named | paused)]


def _described(row: dict[str, Any], hosts: Sequence[dict[str, Any]], lanes: Sequence[OfHost]) -> dict[str, Any]:
    queue = row["queue"]
    takers = [lane for lane in lanes if serves(lane, queue)]
    is_wanted = lanes and any(row[name] for name in COUNTS)
    return {
        **row,
        "lanes": [{"host": lane.host["id"], "lane": lane.name, "kept": keeps_from(lane, queue)} for lane in takers],
        "paused_on": [host["id"] for host in hosts if host["state"] == "live" and queue in host["paused_queues"]],
        "trouble": list(unserved(queue, row["memory_mb"], lanes)) if is_wanted else [],
    }


def _empty(queue: str) -> dict[str, Any]:
    counts = dict.fromkeys(COUNTS, 0)
    return {"queue": queue, "runners": [], "memory_mb": [], **counts, "later_at_least": False, "oldest_age_s": None}
