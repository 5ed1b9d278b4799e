"""The last line: the keys that do something now, or a question, an answer, the filter that is typed. And the page of all keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from farm.model import State
from farm.screen.columns import filled
from farm.screen.glyphs import Glyphs
from farm.screen.lists import chosen_item, find, focus, is_everywhere, opened_job
from farm.screen.model import FailureView, FarmState, HostView, LaneView, Snapshot, SubworkerView
from farm.screen.state import Pane, View
from farm.screen.styles import Row, Span
from farm.screen.text import cells, clean, cut

Key = tuple[str, str, int]
"""What stands on it, what it does, and how much that is needed: the lower, the sooner it goes."""

HELP = (
    ("moving", ""),
    ("up down, k j", "the row above, the row below (in a page: scroll)"),
    ("page up/down, g G", "a screenful; the first row, the last"),
    ("tab, shift-tab", "the next list, the one before"),
    ("enter", "open what is chosen; in a subworker: its job"),
    ("escape, backspace", "back; out of a filter"),
    ("", ""),
    ("steering", "what ends or stops something asks first"),
    ("p", "pause the lane that is chosen, or have it go on"),
    ("d", "drain the farm: it ends what runs and leaves"),
    ("x", "cancel the job that runs, or is open"),
    ("r", "try the job again that has failed"),
    ("", ""),
    ("looking", ""),
    ("/", "show only what contains a text: names, tasks, job numbers"),
    ("s", "another order, for this list"),
    ("space", "freeze the picture, not the farm"),
    ("n", "all notices, in full"),
    ("q", "leave the screen; the farm goes on"),
    ("", ""),
)
MOVING_WIDTH = 20
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def draw_footer(snapshot: Snapshot, width: int, view: View, glyphs: Glyphs) -> Row:
    """Return the last line."""
    if view.question is not None:
        text = cut(clean(view.question.text, ascii_only=glyphs.ascii_only), max(width - 16, 10), glyphs.ellipsis)
        return filled([(f" {text} ", "question"), ("  ", ""), ("y", "key"), (" yes  ", "dim"), ("n", "key"), (" no", "dim")], width, glyphs)
    if view.typing:
        text = clean(view.filter, ascii_only=glyphs.ascii_only)
        return filled(
            [(" /", "key"), (text, "bold"), ("_", "dim"), ("   enter", "key"), (" keep  ", "dim"), ("escape", "key"), (" all", "dim")],
            width,
            glyphs,
        )
    if view.said is not None:
        sign = glyphs.warning if view.said.bad else glyphs.good
        text = clean(view.said.text, ascii_only=glyphs.ascii_only)
        return filled([(f" {sign} ", "bad" if view.said.bad else "good"), (text, "bold")], width, glyphs)
    return _shown_keys(tuple(keys_now(snapshot, view, glyphs)), width, glyphs)


@lru_cache(maxsize=8)
def _shown_keys(wanted: tuple[Key, ...], width: int, glyphs: Glyphs) -> Row:
    """Return the line of keys, the least needed left out where there is no room for all."""
    keys = list(wanted)
    while len(keys) > 1 and sum(cells(key) + cells(word) + 3 for key, word, _ in keys) > width:
        keys.remove(min(keys, key=lambda one: one[2]))
    spans: list[Span] = []
    for key, word, _ in keys:
        spans += [(" " if not spans else "  ", ""), (key, "key"), (f" {word}", "dim")]
    return filled(spans, width, glyphs)


def keys_now(snapshot: Snapshot, view: View, glyphs: Glyphs) -> list[Key]:
    """Return the keys that do something now, in the order in which they are shown."""
    leave: Key = ("q", "quit", 100)
    if view.helping or view.noticing:
        return [(glyphs.up_down, "scroll", 50), ("escape", "back", 90), leave]
    if view.opened:
        return [*_page_keys(snapshot, view, glyphs), ("space", "go on" if view.frozen else "freeze", 40), ("?", "help", 60), leave]
    pane = focus(snapshot, view)
    item = chosen_item(pane, snapshot, view)
    keys: list[Key] = [(glyphs.up_down, "move", 50), ("tab", "list", 55)]
    if item is not None and pane is not Pane.QUEUES:
        keys.append(("enter", "open", 85))
    keys += _item_keys(item)
    if can_drain(snapshot):
        keys.append(("d", "drain", 45))
    keys.append(("/", "filter", 35))
    if view.filter:
        keys.append(("escape", "all", 58))
    keys += [("s", "sort", 30), ("space", "go on" if view.frozen else "freeze", 40), ("?", "help", 60), leave]
    return keys


def can_drain(snapshot: Snapshot) -> bool:
    """Tell whether there is a farm here to be drained."""
    return not is_everywhere(snapshot) and snapshot.state in (FarmState.STARTING, FarmState.RUNNING, FarmState.AWAY)


def can_cancel(job: Mapping[str, Any]) -> bool:
    """Tell whether a job, as `Source.job` returns it, has not ended yet."""
    return bool(job) and job.get("state") not in ENDED


def can_retry(job: Mapping[str, Any]) -> bool:
    """Tell whether a job, as `Source.job` returns it, has ended without success."""
    return job.get("state") in (State.FAILED, State.CANCELLED)


def draw_help(glyphs: Glyphs, width: int) -> list[Row]:
    """Return all keys and signs, explained."""
    rows: list[Row] = []
    for key, text in HELP:
        if key in ("moving", "steering", "looking"):
            rows.append(filled([(f" {key}", "title"), (f"   {text}" if text else "", "dim")], width, glyphs))
        else:
            rows.append(filled([(f"   {key:<{MOVING_WIDTH}}", "key"), (text, "")], width, glyphs))
    rows.append(filled([(" signs", "title")], width, glyphs))
    signs = (
        (glyphs.good, "good", "at work"),
        (glyphs.idle, "dim", "nothing to do"),
        (glyphs.coming, "warning", "being born"),
        (glyphs.going, "warning", "leaving: it ends what it runs"),
        (glyphs.held, "warning", "held: paused, short of memory, frozen; of a job: cancelled or stopped"),
        (glyphs.warning, "warning", "does less than it should, or is close to a limit; of a job: crashed, out of memory, lost"),
        (glyphs.dead, "bad", "failed, dead, lost"),
    )
    for sign, style, text in signs:
        rows.append(filled([("   ", ""), (sign, style), (" " * (MOVING_WIDTH - 1), ""), (text, "")], width, glyphs))
    return rows


def _page_keys(snapshot: Snapshot, view: View, glyphs: Glyphs) -> list[Key]:
    opened = view.opened[-1]
    keys: list[Key] = [(glyphs.up_down, "scroll", 50), ("escape", "back", 90)]
    if opened.kind is None:
        keys.append(("enter", "look again", 70))
        job = opened_job(view)
        if can_cancel(job):
            keys.append(("x", "cancel", 75))
        if can_retry(job):
            keys.append(("r", "retry", 74))
    else:
        item = find(opened.kind, opened.key, snapshot)
        if isinstance(item, SubworkerView) and item.jobs:
            keys.append(("enter", "open job", 85))
        keys += _item_keys(item)
    return keys


def _item_keys(item: object) -> list[Key]:
    match item:
        case LaneView():
            return [("p", "resume" if item.paused else "pause", 75)]
        case SubworkerView() if item.jobs:
            return [("x", "cancel job", 75)]
        case FailureView():
            return [("r", "retry", 75)]
        case HostView() | _:
            return []
