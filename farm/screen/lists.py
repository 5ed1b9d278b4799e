"""What stands in each list of the screen, in which order, and which row of it is chosen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from farm.screen.model import FailureView, HostView, LaneView, QueueView, Snapshot, SubworkerView
from farm.screen.state import Cursor, Pane, View

HIGH = 24
AROUND_LIST, AROUND_LIST_LOW = 12, 6
"""Rows of a screen that are never a subworker's: head and foot, the names of the columns, the least of the other lists; where it is lower,
fewer."""
BEFORE_MEMBERS = 24
"""Lines of a lane's page before its subworkers, at the most."""
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
BY_FIGURES = ("by memory", "by CPU", "by running time")
"""Orders of subworkers that follow what changes all the time."""
assert {name for name, _ in ORDERS[Pane.SUBWORKERS]}.issuperset(BY_FIGURES)


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
    return _listed(pane, snapshot, view.filter, view.orders.get(pane, 0) % len(ORDERS[pane]))


@lru_cache(maxsize=2 * len(Pane))
def _listed(pane: Pane, snapshot: Snapshot, wanted: str, order: int) -> Sequence[Any]:
    # A frame asks several times for each of its lists.
    items = everything(pane, snapshot)
    if wanted:
        items = [item for item in items if wanted.casefold() in _words(item).casefold()]
    by = ORDERS[pane][order][1]
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


def opened_job(view: View) -> Mapping[str, Any]:
    """Return what is known of the job whose page is open; nothing while it is being looked up, or if it is not there."""
    page = view.page
    return page.job if page is not None and page.job is not None and view.opened and page.job_id == view.opened[-1].key else {}


def in_view(snapshot: Snapshot, view: View, height: int) -> Collection[str] | None:
    """Return the names of the subworkers that are to be seen on a screen of so many rows, and of a few around them.

    None: of all, since which of them are seen depends on the figures of all.
    """
    if order_name(Pane.SUBWORKERS, view) in BY_FIGURES:
        return None
    if not view.opened:
        items = listed(Pane.SUBWORKERS, snapshot, view)
        shown = max(0, height - (AROUND_LIST if height >= HIGH else AROUND_LIST_LOW))
        first = max(0, min(place(items, view.cursors.get(Pane.SUBWORKERS, Cursor())) - shown // 2, len(items) - shown))
        return frozenset([one.name for one in items[first : first + shown]])
    opened = view.opened[-1]
    if opened.kind is Pane.SUBWORKERS:
        return (str(opened.key),)
    if opened.kind is Pane.LANES:
        members = [one for one in snapshot.subworkers if one.lane == opened.key]
        at = min(opened.at, len(members))
        return frozenset([one.name for one in members[max(0, at - height - BEFORE_MEMBERS) : at + height]])
    return ()


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
