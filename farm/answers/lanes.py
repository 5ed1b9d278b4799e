"""Why jobs wait, in words: what no lane takes, and what keeps the lanes that would from it. Of hosts as ReadStore.hosts has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from farm.model import memory_class_bytes
from farm.units import format_memory_class

ANY_QUEUE = "*"
HELD = {
    "paused": "is paused",
    "memory": "claims nothing while its host is short of memory",
    "leaving": "is about to leave, since the configuration has no such lane any more",
}
"""By reason of Lane.held_by."""


class OfHost(NamedTuple):
    """A lane of a living host."""

    host: dict[str, Any]
    name: str
    lane: dict[str, Any]

    @property
    def title(self) -> str:
        return f"lane {self.name} of host {self.host['id']}"


def lanes_of(hosts: Sequence[dict[str, Any]]) -> list[OfHost]:
    """Return the lanes of those hosts that live."""
    return [OfHost(host, name, lane) for host in hosts if host["state"] == "live" for name, lane in host["lanes"].items()]


def troubles(hosts: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say what keeps lanes from their work: a line for each lane and trouble, and one for each queue that is paused somewhere."""
    for lane in lanes_of(hosts):
        yield from troubles_of(lane)
    for host in hosts:
        for queue in host["paused_queues"] if host["state"] == "live" else ():
            yield f"host {host['id']} claims nothing of the queue {queue}, which is paused there"


def unserved(queue: str, memory_mb: Sequence[int], lanes: Sequence[OfHost]) -> Iterator[str]:
    """Say what no lane takes of what waits in a queue: all of it, or what declares more memory than a lane allows."""
    serving = [lane for lane in lanes if serves(lane, queue)]
    if not serving:
        yield f"no lane serves the queue {queue}"
        return
    allowed_mb = max(map(memory_mb_of, serving))
    for declared_mb in sorted(memory_mb):
        if declared_mb > allowed_mb:
            declared = format_memory_class(memory_class_bytes(declared_mb))
            yield f"no lane that serves the queue {queue} has the {declared} of memory that jobs in it declare"


def why_waiting(queue: str, runner: str, memory_mb: int, hosts: Sequence[dict[str, Any]]) -> str:
    """Say why no lane takes a job that is ready; "" if one does, and its turn has not come yet."""
    lanes = lanes_of(hosts)
    if not lanes:
        return "no host is live"
    for reason in unserved(queue, [memory_mb], lanes):
        return reason
    able = [lane for lane in lanes if serves(lane, queue) and memory_mb_of(lane) >= memory_mb]
    able = [lane for lane in able if runner in lane.host["runners"]]
    if not able:
        return f"no host with a lane for it has the runner {runner}"
    kept = [keeps_from(lane, queue) for lane in able]
    return "; ".join(dict.fromkeys(kept)) if all(kept) else ""


def troubles_of(lane: OfHost) -> Iterator[str]:
    """Say what keeps one lane from its work."""
    state = lane.lane["state"]
    for reason in state.get("held_by", ()):
        yield f"{lane.title} {HELD.get(reason) or f'is held: {reason}'}"
    serving, full, missing = state.get("serving", 0), state.get("of", 0), state.get("missing", "")
    if serving < full:
        leaving = state.get("leaving", 0)
        ends = f", and {leaving} more that take{'' if leaving > 1 else 's'} no further job" if leaving else ""
        yield f"{lane.title} has {serving} of {full} subworkers{ends}{f': {missing}' if missing else ''}"
    elif missing:
        yield f"{lane.title} has {missing}"


def keeps_from(lane: OfHost, queue: str) -> str:
    """Say what keeps a lane from claiming of a queue, "" if nothing does."""
    if queue in lane.host["paused_queues"]:
        return f"the queue {queue} is paused on host {lane.host['id']}"
    state = lane.lane["state"]
    if state.get("held_by") or not state.get("serving", 1):
        return "; ".join(troubles_of(lane))
    return ""


def serves(lane: OfHost, queue: str) -> bool:
    """Tell whether a lane takes jobs of a queue."""
    return not {queue, ANY_QUEUE}.isdisjoint(lane.lane.get("queues", ()))


def memory_mb_of(lane: OfHost) -> int:
    """Return the memory that a lane allows a job, in millions of bytes."""
    return int(lane.lane.get("memory_bytes", 0)) // 1_000_000
