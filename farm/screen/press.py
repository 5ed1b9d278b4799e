"""What a key does: from what was chosen, the key and what is seen to what is chosen now, and what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from farm.screen.lists import ORDERS, chosen_item, everything, find, focus, key_of, listed, opened_job, panes_of, place
from farm.screen.model import FailureView, LaneView, Snapshot, SubworkerView
from farm.screen.panes.footer import can_cancel, can_drain, can_retry
from farm.screen.state import Action, Cursor, Do, JobPage, Opened, Pane, Question, View

FILTER_MAX = 60
PAGE = 10
"""Rows that page up and page down move by."""
SCROLL_MAX = 1_000_000
FURTHER = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -PAGE, "pagedown": PAGE, "home": -SCROLL_MAX, "g": -SCROLL_MAX,
           "end": SCROLL_MAX, "G": SCROLL_MAX}  # fmt: skip
BACK = ("escape", "backspace", "left", "h")

Pressed = tuple[View, Action | None]


def press(view: View, key: str, snapshot: Snapshot) -> Pressed:
    """Return what is chosen after a key, and what it asks for. Any key that means nothing now changes nothing."""
    if key == "ctrl-c":
        return view, Action(Do.QUIT)
    if view.question is not None:
        return _answer(view, key)
    if view.typing:
        return _type(view, key), None
    view = replace(view, said=None)
    if key == "q":
        return view, Action(Do.QUIT)
    if key == "space":
        return replace(view, frozen=not view.frozen), None
    if view.helping or view.noticing:
        return _read(view, key), None
    if key == "?":
        return replace(view, helping=True, scrolled=0), None
    if key == "n":
        return replace(view, noticing=True, scrolled=0), None
    return _in_page(view, key, snapshot) if view.opened else _in_lists(view, key, snapshot)


def _answer(view: View, key: str) -> Pressed:
    """Take the answer to a question: only y does it."""
    assert view.question is not None, "asked for only while there is a question"
    if key in ("y", "Y"):
        return replace(view, question=None), view.question.action
    return (replace(view, question=None), None) if key in ("n", "N", "q", *BACK) else (view, None)


def _type(view: View, key: str) -> View:
    """Take a key into the filter."""
    match key:
        case "enter":
            return replace(view, typing=False)
        case "escape":
            return replace(view, typing=False, filter="")
        case "backspace":
            return replace(view, filter=view.filter[:-1], typing=bool(view.filter))
        case "space":
            key = " "
    return replace(view, filter=(view.filter + key)[:FILTER_MAX]) if len(key) == 1 and key.isprintable() else view


def _read(view: View, key: str) -> View:
    """Scroll in the page of keys or of notices, or leave it."""
    if key in FURTHER:
        return replace(view, scrolled=max(0, min(view.scrolled + FURTHER[key], SCROLL_MAX)))
    if key in ("?", "n", "enter", *BACK):
        return replace(view, helping=False, noticing=False)
    return view


def _in_lists(view: View, key: str, snapshot: Snapshot) -> Pressed:
    pane = focus(snapshot, view)
    items = listed(pane, snapshot, view)
    if key in FURTHER:
        return _moved(view, pane, items, FURTHER[key]), None
    match key:
        case "tab" | "right" | "l":
            return _to_pane(view, pane, snapshot, 1), None
        case "shift-tab" | "left" | "h":
            return _to_pane(view, pane, snapshot, -1), None
        case "/":
            return replace(view, typing=True), None
        case "escape":
            return replace(view, filter=""), None
        case "s":
            orders = {**view.orders, pane: (view.orders.get(pane, 0) + 1) % len(ORDERS[pane])}
            return replace(_moved(view, pane, items, 0), orders=orders), None
        case "enter":
            item = chosen_item(pane, snapshot, view)
            # The row stays chosen while its page is open, wherever others go.
            return _open(_moved(view, pane, items, 0), pane, item)
        case "d":
            return _ask_drain(view, snapshot)
    return _steer(view, key, chosen_item(pane, snapshot, view))


def _in_page(view: View, key: str, snapshot: Snapshot) -> Pressed:
    opened = view.opened[-1]
    item = find(opened.kind, opened.key, snapshot) if opened.kind is not None else None
    if key in FURTHER:
        most = len(item.jobs) - 1 if isinstance(item, SubworkerView) else SCROLL_MAX
        at = max(0, min(opened.at + FURTHER[key], most))
        return replace(view, opened=(*view.opened[:-1], replace(opened, at=at))), None
    if key in BACK:
        return replace(view, opened=view.opened[:-1]), None
    if opened.kind is None:
        return _steer_job(view, key, opened.key)
    if key == "d":
        return _ask_drain(view, snapshot)
    if isinstance(item, SubworkerView) and item.jobs:
        job = item.jobs[min(opened.at, len(item.jobs) - 1)]
        if key == "enter":
            return _open_job(view, job.job_id)
        if key == "x":
            return _ask_cancel(view, job.job_id, job.task)
        return view, None
    return _steer(view, key, item)


def _moved(view: View, pane: Pane, items: Sequence[Any], by: int) -> View:
    """Choose another row of a list."""
    if not items:
        return view
    at = max(0, min(place(items, view.cursors.get(pane, Cursor())) + by, len(items) - 1))
    return replace(view, pane=pane, cursors={**view.cursors, pane: Cursor(key_of(items[at]), at)})


def _to_pane(view: View, pane: Pane, snapshot: Snapshot, by: int) -> View:
    """Choose the next list that has something in it."""
    panes = [one for one in panes_of(snapshot) if everything(one, snapshot) or one is pane]
    return replace(view, pane=panes[(panes.index(pane) + by) % len(panes)])


def _open(view: View, pane: Pane, item: object) -> Pressed:
    if isinstance(item, FailureView):
        return _open_job(view, item.job_id)
    if item is None or pane is Pane.QUEUES:
        return view, None
    return replace(view, opened=(*view.opened, Opened(pane, key_of(item)))), None


def _open_job(view: View, job_id: int) -> Pressed:
    # What was known of it before is old.
    return replace(view, opened=(*view.opened, Opened(None, job_id)), page=JobPage(job_id)), Action(Do.OPEN, job_id=job_id)


def _steer(view: View, key: str, item: object) -> Pressed:
    """Do or ask what a key means for an item."""
    match key, item:
        case "p", LaneView(paused=True):
            return view, Action(Do.RESUME, lane=item.name)
        case "p", LaneView():
            question = Question(f"pause lane {item.name}? what runs goes on", Action(Do.PAUSE, lane=item.name))
            return replace(view, question=question), None
        case "x", SubworkerView() if item.jobs:
            return _ask_cancel(view, item.jobs[0].job_id, item.jobs[0].task)
        case "r", FailureView():
            return _ask_retry(view, item.job_id, item.task)
    return view, None


def _steer_job(view: View, key: str, key_of_page: object) -> Pressed:
    assert isinstance(key_of_page, int), "a job's page is opened by its id"
    job = opened_job(view)
    task = str(job.get("task", ""))
    match key:
        case "enter":
            return view, Action(Do.OPEN, job_id=key_of_page)
        case "x" if can_cancel(job):
            return _ask_cancel(view, key_of_page, task)
        case "r" if can_retry(job):
            return _ask_retry(view, key_of_page, task)
    return view, None


def _ask_cancel(view: View, job_id: int, task: str) -> Pressed:
    return replace(view, question=Question(f"cancel job {job_id}{_named(task)}?", Action(Do.CANCEL, job_id=job_id))), None


def _ask_retry(view: View, job_id: int, task: str) -> Pressed:
    return replace(view, question=Question(f"try job {job_id}{_named(task)} again?", Action(Do.RETRY, job_id=job_id))), None


def _ask_drain(view: View, snapshot: Snapshot) -> Pressed:
    if not can_drain(snapshot):
        return view, None
    text = f"drain the farm {snapshot.instance}? it ends what runs, gives back the rest, and leaves"
    return replace(view, question=Question(text, Action(Do.DRAIN))), None


def _named(task: str) -> str:
    return f" ({task})" if task else ""
