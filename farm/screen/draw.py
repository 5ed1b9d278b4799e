"""A frame: from a snapshot, a size and what was chosen to rows that fill the screen exactly. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from farm.screen.columns import Column, filled
from farm.screen.glyphs import Glyphs
from farm.screen.lists import everything, find, focus, is_everywhere, panes_of
from farm.screen.model import HostView, LaneView, Snapshot, SubworkerView
from farm.screen.panes import failures, hosts, lanes, subworkers
from farm.screen.panes.flow import HEIGHT as FLOW_HEIGHT
from farm.screen.panes.flow import draw_flow
from farm.screen.panes.footer import draw_footer, draw_help
from farm.screen.panes.header import draw_header, draw_notices, notices, state_spans
from farm.screen.panes.jobpage import job_page
from farm.screen.panes.listing import FRAME, draw_list, rows_needed, title_row
from farm.screen.panes.pages import gone_page, host_page, lane_page, subworker_page
from farm.screen.state import Opened, Pane, View
from farm.screen.styles import Row
from farm.screen.text import clean, wrap_words

ROWS_MAX = 100_000
WIDTH_MIN, HEIGHT_MIN = 40, 10
"""Below it there is only a line or two in words."""
ROWS_LEAST = 2
"""Items of a list that are always seen, where it is shown at all and has as many."""

ROWS_MORE = 4
"""Items beyond those that are seen before the lists below get more than their least."""

COLUMNS: dict[Pane, tuple[Column[Any], ...]] = {
    Pane.LANES: lanes.COLUMNS,
    Pane.QUEUES: hosts.QUEUES,
    Pane.SUBWORKERS: subworkers.COLUMNS,
    Pane.FAILURES: failures.COLUMNS,
    Pane.HOSTS: hosts.HOSTS,
}
Drawn = Callable[[int], list[Row]]
Block = tuple[int, int, Drawn]
"""A part of the middle: the rows that it needs, those that it wants at least, and what draws it into a number of rows."""


def draw(snapshot: Snapshot, width: int, height: int, view: View, glyphs: Glyphs) -> list[Row]:
    """Return exactly height rows, each exactly width cells wide."""
    if width < WIDTH_MIN or height < HEIGHT_MIN:
        return _too_small(snapshot, width, height, glyphs)
    top = draw_header(snapshot, width, view, glyphs)
    room = height - 1 - len(top)
    if view.helping or view.noticing or view.opened:
        rows = _scrolled(page_rows(snapshot, width, view, glyphs), view, room, width, glyphs)
    else:
        noticed = draw_notices(snapshot, height, width, glyphs)
        rows = noticed + _lists(snapshot, room - len(noticed), width, view, glyphs, focus(snapshot, view))
    blank = ((" " * width, ""),)
    return [*top, *rows, *[blank] * (room - len(rows)), draw_footer(snapshot, width, view, glyphs)]


def draw_once(snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Row]:
    """Return everything, as high as it is: for a pipe, or for paper."""
    width = max(width, WIDTH_MIN)
    view = View()
    rows = draw_header(snapshot, width, view, glyphs) + draw_notices(snapshot, ROWS_MAX, width, glyphs, most=ROWS_MAX)
    return rows + _lists(snapshot, ROWS_MAX, width, view, glyphs, None)


def page_rows(snapshot: Snapshot, width: int, view: View, glyphs: Glyphs) -> list[Row]:
    """Return all lines of the page that is open, those beyond the screen too."""
    if view.helping:
        return [title_row("Keys", (), "", width, glyphs, focused=True), *draw_help(glyphs, width)]
    if view.noticing:
        rows = [title_row("Notices", (), "", width, glyphs, focused=True)]
        for sentence in notices(snapshot) or ["nothing"]:
            for piece in wrap_words(clean(sentence, ascii_only=glyphs.ascii_only), width - 4):
                rows.append(filled([(f"  {piece}", "")], width, glyphs))
        return rows
    return _opened(view.opened[-1], snapshot, width, view, glyphs)


def _opened(opened: Opened, snapshot: Snapshot, width: int, view: View, glyphs: Glyphs) -> list[Row]:
    if opened.kind is None:
        assert isinstance(opened.key, int), "a job's page is opened by its id"
        return job_page(opened.key, view.page, width, glyphs)
    match find(opened.kind, opened.key, snapshot):
        case LaneView() as lane:
            return lane_page(lane, snapshot, width, glyphs)
        case SubworkerView() as subworker:
            return subworker_page(subworker, opened.at, snapshot, width, glyphs)
        case HostView() as host:
            return host_page(host, snapshot, width, glyphs)
    return gone_page(opened.kind, opened.key, width, glyphs)


def _scrolled(rows: list[Row], view: View, room: int, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the rows of a page that are seen; its title stays."""
    title, *rest = rows
    shown = room - 1
    if len(rest) <= shown:
        return rows
    at = view.scrolled if view.helping or view.noticing else view.opened[-1].at
    if view.opened and view.opened[-1].kind is Pane.SUBWORKERS and not (view.helping or view.noticing):
        # What moves there is the chosen job: it is kept in sight.
        at = max(0, at + len(rest) - shown - max(shown // 2, 1))
    first = min(at, len(rest) - shown)
    if len(rest) > shown and shown > 1:
        end = f"{first + 1:,}-{first + shown:,} of {len(rest):,}"
        return [title, *rest[first : first + shown - 1], filled([(f" {glyphs.more_below} {end}", "dim")], width, glyphs)]
    return [title, *rest[first : first + shown]]


def _lists(snapshot: Snapshot, room: int, width: int, view: View, glyphs: Glyphs, focused: Pane | None) -> list[Row]:
    """Return the lists one below the other, each as high as there is room for. focused: the one that keys go to."""
    blocks = {pane: _block(pane, snapshot, width, view, glyphs, focused=pane is focused) for pane in Pane}
    order: list[Pane | None]
    if not is_everywhere(snapshot):
        order = [Pane.LANES, Pane.SUBWORKERS, None, Pane.FAILURES, Pane.HOSTS]
        # Lanes tell how deep they are: their queues stand below only where they leave room, or are looked at.
        if focused is Pane.QUEUES or (snapshot.queues and _needed(blocks, [*order, Pane.QUEUES]) <= room):
            order.append(Pane.QUEUES)
    else:
        order = [pane for pane in panes_of(snapshot) if pane is not Pane.FAILURES or snapshot.failures]
    flow: Block = (FLOW_HEIGHT, FLOW_HEIGHT, lambda height: list(draw_flow(snapshot.flow, width, glyphs)))
    chosen = [flow if pane is None else blocks[pane] for pane in order]
    first = order.index(focused) if focused is not None and focused in order else 0
    heights = share_out(room, [(needed, least) for needed, least, _ in chosen], first)
    rows: list[Row] = []
    for (_, _, drawn), height in zip(chosen, heights, strict=True):
        rows += drawn(height)[:height] if height else []
    return rows


def _needed(blocks: dict[Pane, Block], order: list[Pane | None]) -> int:
    return sum(FLOW_HEIGHT if pane is None else blocks[pane][0] for pane in order)


def _block(pane: Pane, snapshot: Snapshot, width: int, view: View, glyphs: Glyphs, *, focused: bool) -> Block:
    needed = rows_needed(pane, snapshot, view)
    least = min(needed, FRAME + min(ROWS_LEAST, len(everything(pane, snapshot))))

    def drawn(height: int) -> list[Row]:
        return draw_list(pane, COLUMNS[pane], snapshot, height, width, view, glyphs, focused=focused)

    return needed, least, drawn


def share_out(room: int, wanted: list[tuple[int, int]], first: int) -> list[int]:
    """Return how many rows each of several parts gets. wanted: what each needs, and the least that is of use to it.

    The one at first is served before the others, then they in their order: each its least, or nothing. Then each in turn some more,
    so that a short list is seen whole; what is left goes round, a row each, until all have what they need.
    """
    heights = [0] * len(wanted)
    for index in sorted(range(len(wanted)), key=lambda index: index != first):
        least = wanted[index][1]
        if least <= room or index == first:
            heights[index] = min(least, room)
            room -= heights[index]
    for index, (needed, least) in enumerate(wanted):
        if heights[index]:
            more = min(room, max(min(needed, least + ROWS_MORE) - heights[index], 0))
            heights[index] += more
            room -= more
    growing = [index for index, height in enumerate(heights) if 0 < height < wanted[index][0]]
    while room > 0 and growing:
        for index in growing:
            if room > 0:
                heights[index] += 1
                room -= 1
        growing = [index for index in growing if heights[index] < wanted[index][0]]
    return heights


def _too_small(snapshot: Snapshot, width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """Return what can be said where nothing fits: the state, and how large a terminal is needed."""
    words = [
        [(" farm ", "name"), *state_spans(snapshot, glyphs)],
        [(f" {width} x {height} is too small:", "")],
        [(f" {WIDTH_MIN} x {HEIGHT_MIN} will do", "")],
        [(" q", "key"), (" quit", "dim")],
    ]
    rows = [filled(spans, width, glyphs) for spans in words[: max(height, 0)]]
    return rows + [((" " * width, ""),)] * (height - len(rows))
