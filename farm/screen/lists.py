"""What stands in each list of the screen, in which order, and which row of it is chosen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from farm.screen.model import FailureView, HostView, LaneView, QueueView, Snapshot, SubworkerView
from farm.screen.state import Cursor, Pane, View

Order = tuple[str, Callable[[Any], Any] | None]
"""Its name, and what items are sorted by; None: as they come."""


def _number(value: float | None) -> float:
    """Return what sorts the largest first, and what is not known last."""
    return 1.0 if value is None else -value


ORDERS: dict[Pane, tuple[Order, ...]] = {
    Pane.LANES: (
        ("as configured", None),
        ("by rate", lambda lane: _number(lane.rate)),
        ("by queued", lambda lane: _number(lane.queued)),
        ("by oldest", lambda lane: _number(lane.oldest_s)),
        ("by failures", lambda lane: _number(lane.failure_share)),
        ("by name", lambda lane: lane.name),
    ),
    Pane.QUEUES: (
        ("by depth", lambda queue: -queue.ready),
        ("by oldest", lambda queue: _number(queue.oldest_s)),
        ("by name", lambda queue: queue.name),
    ),
    Pane.SUBWORKERS: (
        # w9 before w10: a post that was filled anew stays where it was.
        ("by post", lambda one: (len(one.name), one.name)),
        ("by memory", lambda one: -_used(one)),
        ("by CPU", lambda one: _number(one.cpu)),
        ("by running time", lambda one: _number(one.jobs[0].running_s if one.jobs else None)),
        ("by lane", lambda one: one.lane),
        ("by restarts", lambda one: -one.restarts),
    ),
    Pane.FAILURES: (
        ("newest first", None),
        ("by task", lambda failure: failure.task),
        ("by lane", lambda failure: failure.lane),
        ("by kind", lambda failure: failure.kind),
    ),
    Pane.HOSTS: (
        ("as they come", None),
        ("by name", lambda host: host.name),
        ("by state", lambda host: host.state),
        ("by running", lambda host: -host.running),
    ),
}
assert set(ORDERS) == set(Pane), "every pane has its orders"


def _used(subworker: SubworkerView) -> float:
    return subworker.rss_bytes / subworker.limit_bytes if subworker.limit_bytes > 0 else subworker.rss_bytes * 1e-15


def order_name(pane: Pane, view: View) -> str:
    """Return the name of the order that is chosen."""
    return ORDERS[pane][view.orders.get(pane, 0) % len(ORDERS[pane])][0]


def everything(pane: Pane, snapshot: Snapshot) -> Sequence[Any]:
    """Return all items of a pane, as they come."""
    match pane:
        case Pane.LANES:
            return snapshot.lanes
        case Pane.QUEUES:
            return snapshot.queues
        case Pane.SUBWORKERS:
            return snapshot.subworkers
        case Pane.FAILURES:
            return snapshot.failures
        case Pane.HOSTS:
            return snapshot.hosts


def listed(pane: Pane, snapshot: Snapshot, view: View) -> Sequence[Any]:
    """Return the items of a pane that the filter lets through, in the order that is chosen."""
    items = everything(pane, snapshot)
    if view.filter:
        wanted = view.filter.casefold()
        items = [item for item in items if wanted in _words(item).casefold()]
    by = ORDERS[pane][view.orders.get(pane, 0) % len(ORDERS[pane])][1]
    return sorted(items, key=by) if by is not None else items


def key_of(item: Any) -> object:
    """Return what an item is known by from one snapshot to the next."""
    match item:
        case LaneView() | QueueView() | SubworkerView():
            return item.name
        case FailureView():
            return (item.job_id, item.attempt, item.at)
        case HostView():
            return (item.name, item.instance)
    raise AssertionError(f"nothing of a list: {item!r}")


def place(items: Sequence[Any], cursor: Cursor) -> int:
    """Return where the chosen row stands; 0 in an empty list."""
    if cursor.key is not None:
        # Mostly where it was.
        if cursor.index < len(items) and key_of(items[cursor.index]) == cursor.key:
            return cursor.index
        for index, item in enumerate(items):
            if key_of(item) == cursor.key:
                return index
    return max(0, min(cursor.index, len(items) - 1))


def chosen_item(pane: Pane, snapshot: Snapshot, view: View) -> Any:
    """Return the item that is chosen in a pane; None in an empty one."""
    items = listed(pane, snapshot, view)
    return items[place(items, view.cursors.get(pane, Cursor()))] if items else None


def find(pane: Pane, key: object, snapshot: Snapshot) -> Any:
    """Return the item of a pane that has a key; None if it is gone."""
    return next((item for item in everything(pane, snapshot) if key_of(item) == key), None)


def focus(snapshot: Snapshot, view: View) -> Pane:
    """Return the pane that keys go to: the one that was chosen, or the first with something in it where that one is empty."""
    if view.pane is not None and view.pane in panes_of(snapshot) and everything(view.pane, snapshot):
        return view.pane
    return next((pane for pane in panes_of(snapshot) if everything(pane, snapshot)), panes_of(snapshot)[0])


def is_everywhere(snapshot: Snapshot) -> bool:
    """Tell whether this is no farm of this host, but all hosts as the database knows them."""
    return not snapshot.host


def panes_of(snapshot: Snapshot) -> tuple[Pane, ...]:
    """Return the lists in the order in which they stand."""
    if is_everywhere(snapshot):
        return (Pane.HOSTS, Pane.LANES, Pane.QUEUES, Pane.FAILURES)
    return (Pane.LANES, Pane.SUBWORKERS, Pane.FAILURES, Pane.HOSTS, Pane.QUEUES)


def _words(item: Any) -> str:
    """Return what a filter is looked for in."""
    match item:
        case LaneView():
            return " ".join((item.name, *item.queues, *item.held_by))
        case QueueView():
            return item.name
        case SubworkerView():
            return " ".join((item.name, item.lane, item.state, str(item.pid), *(f"{job.job_id} {job.task}" for job in item.jobs)))
        case FailureView():
            return f"{item.job_id} {item.lane} {item.task} {item.kind} {item.text}"
        case HostView():
            return " ".join((item.name, item.instance, item.state, *item.lanes))
    raise AssertionError(f"nothing of a list: {item!r}")
