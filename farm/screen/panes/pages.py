"""Pages about one lane, subworker or host: all that is known of it, as lines that can be scrolled. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from farm.screen.amounts import depth_text, quantiles_text, rate_text, share_text, size_text, time_text
from farm.screen.columns import filled, head_row, item_row
from farm.screen.glyphs import Glyphs
from farm.screen.model import FailureView, HostView, LaneView, Snapshot, SubworkerView
from farm.screen.panes import failures, subworkers
from farm.screen.panes.hosts import host_mark
from farm.screen.panes.lanes import MINUTE, capacity_style, lane_mark, lane_state
from farm.screen.panes.listing import title_row
from farm.screen.panes.marks import bar, foreign, memory_style
from farm.screen.panes.subworkers import memory_share, subworker_mark
from farm.screen.state import Pane
from farm.screen.styles import Row, Span, plain
from farm.screen.text import clean, wrap
from farm.units import format_duration

LABEL_WIDTH = 12
BAR_WIDTH = 24


def labelled(label: str, value: str | Sequence[Span], width: int, glyphs: Glyphs) -> list[Row]:
    """Return a line with a label before it; a text (clean) that is too long goes on below itself."""
    head = (f" {label:<{LABEL_WIDTH}}", "dim")
    if not isinstance(value, str):
        return [filled([head, *value], width, glyphs)]
    first, *rest = wrap(value, max(width - LABEL_WIDTH - 2, 10))
    rows = [filled([head, (first, "")], width, glyphs)]
    return rows + [filled([(" " * (LABEL_WIDTH + 1), ""), (piece, "")], width, glyphs) for piece in rest]


def gone_page(kind: Pane, key: object, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the page of what is not there any more."""
    name = key if isinstance(key, str) else key[0] if isinstance(key, tuple) else key
    text = f" {kind[:-1]} {clean(name, ascii_only=glyphs.ascii_only)} is gone"
    return [title_row("Gone", (), "", width, glyphs, focused=True), filled([(text, "")], width, glyphs)]


def lane_page(lane: LaneView, snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the page of a lane, with its queues, its subworkers and what failed in it."""
    share = lane.running / lane.capacity if lane.capacity > 0 else 0.0
    state = clean(lane_state(lane), ascii_only=glyphs.ascii_only) or "claims"
    depth = {queue.name: queue for queue in snapshot.queues}
    queues = [f"{name} ({depth_text(depth[name].ready)})" if name in depth else name for name in lane.queues]
    rows = [title_row("Lane", (clean(lane.name, ascii_only=glyphs.ascii_only),), "", width, glyphs, focused=True)]
    rows += labelled("state", [lane_mark(lane, glyphs), (f" {state}", "")], width, glyphs)
    if lane.trouble:
        rows += labelled("trouble", clean(lane.trouble, ascii_only=glyphs.ascii_only), width, glyphs)
    rows += labelled("queues", clean(" > ".join(queues), ascii_only=glyphs.ascii_only), width, glyphs)
    busy = (f" {lane.running:,} of {lane.capacity:,} at once, used {share_text(lane.occupancy)} of the time", "")
    rows += labelled("capacity", [*bar(share, BAR_WIDTH, glyphs, capacity_style(lane)), busy], width, glyphs)
    rows += labelled("subworkers", f"{lane.serving:,} of {lane.subworkers:,} serve", width, glyphs)
    rows += labelled("waiting", f"{depth_text(lane.queued)} queued, the oldest for {time_text(lane.oldest_s)}", width, glyphs)
    stolen = "" if lane.stolen is None else f", {lane.stolen:+,} from other lanes in a minute"
    rows += labelled("in hand", f"{lane.buffered:,} claimed and not started{stolen}", width, glyphs)
    rows += labelled("run time", quantiles_text(lane.run_time), width, glyphs)
    rows += labelled("queue time", quantiles_text(lane.queue_time), width, glyphs)
    rate = f"{rate_text(lane.rate)} jobs a second, {share_text(lane.failure_share)} of a minute's failed"
    rows += labelled("rate", rate, width, glyphs)
    if lane.rates:
        curve = glyphs.spark(lane.rates, MINUTE, min(60, max(width - LABEL_WIDTH - 20, 10)))
        rows += labelled("last minute", [(curve, "good"), (f" at most {rate_text(max(lane.rates))}", "dim")], width, glyphs)
    inner = width - 2
    members = [one for one in snapshot.subworkers if one.lane == lane.name]
    failed = [failure for failure in snapshot.failures if failure.lane == lane.name]
    rows.append(title_row("Subworkers", (f"{len(members):,}",), "", width, glyphs))
    rows.append(_inside(head_row(subworkers.COLUMNS, inner, glyphs)))
    rows += [_inside(item_row(subworkers.COLUMNS, inner, glyphs, one)) for one in members]
    rows.append(title_row("Failures", (f"{len(failed):,}" if failed else "none",), "", width, glyphs))
    rows += _failures(failed, inner, width, glyphs)
    return rows


def subworker_page(one: SubworkerView, at: int, snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the page of a subworker; its jobs come last, and at says which of them is chosen."""
    share = memory_share(one)
    rows = [title_row("Subworker", (clean(one.name, ascii_only=glyphs.ascii_only),), "", width, glyphs, focused=True)]
    rows += labelled("state", [subworker_mark(one.state, bool(one.jobs), glyphs), (" ", ""), foreign(one.state, glyphs)], width, glyphs)
    rows += labelled("process", f"{one.pid}", width, glyphs)
    rows += labelled("lane", clean(one.lane, ascii_only=glyphs.ascii_only), width, glyphs)
    used = f" {size_text(one.rss_bytes)} of {size_text(one.limit_bytes)}, {share_text(share)}"
    rows += labelled("memory", [*bar(share, BAR_WIDTH, glyphs, memory_style(share)), (used, "")], width, glyphs)
    rows += labelled("CPU", f"{share_text(one.cpu)} of a core", width, glyphs)
    rows += labelled("ended", f"{one.ended:,} jobs; {one.buffered:,} in its hands and not started", width, glyphs)
    why = f": {clean(one.restarted_why, ascii_only=glyphs.ascii_only)}" if one.restarted_why else ""
    rows += labelled("restarts", f"{one.restarts:,}{why}", width, glyphs)
    rows.append(title_row("Jobs", (f"{len(one.jobs):,}" if one.jobs else "none runs",), "", width, glyphs))
    for index, job in enumerate(one.jobs):
        task = clean(job.task, ascii_only=glyphs.ascii_only) or glyphs.ellipsis
        said = clean(job.text, ascii_only=glyphs.ascii_only)
        done = share_text(job.progress) if job.progress is not None else ""
        row = filled([(f" {job.job_id:>10}  {time_text(job.running_s):>5}  {done:>4}  {task}  {said}", "")], width, glyphs)
        chosen = index == min(at, len(one.jobs) - 1)
        rows.append(((glyphs.selected + plain(row)[1:], "selected"),) if chosen else row)
    return rows


def host_page(host: HostView, snapshot: Snapshot, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the page of a host."""
    share = host.running / host.capacity if host.capacity > 0 else 0.0
    rows = [title_row("Host", (clean(host.name, ascii_only=glyphs.ascii_only),), "", width, glyphs, focused=True)]
    beat = f", last beat {format_duration(max(host.beat_s, 0.0))} ago"
    rows += labelled("state", [host_mark(host, glyphs), (" ", ""), foreign(f"{host.state}{beat}", glyphs)], width, glyphs)
    if host.trouble:
        rows += labelled("trouble", clean(host.trouble, ascii_only=glyphs.ascii_only), width, glyphs)
    rows += labelled("instance", clean(host.instance, ascii_only=glyphs.ascii_only), width, glyphs)
    rows += labelled("version", clean(host.version, ascii_only=glyphs.ascii_only), width, glyphs)
    busy = (f" {host.running:,} of {host.capacity:,} jobs at once", "")
    rows += labelled("capacity", [*bar(share, BAR_WIDTH, glyphs, "busy"), busy], width, glyphs)
    rows += labelled("memory", size_text(host.memory_bytes), width, glyphs)
    rows += labelled("lanes", clean(" ".join(host.lanes), ascii_only=glyphs.ascii_only) or "none", width, glyphs)
    return rows


def _failures(failed: Sequence[FailureView], inner: int, width: int, glyphs: Glyphs) -> list[Row]:
    if not failed:
        return []
    rows = [_inside(head_row(failures.COLUMNS, inner, glyphs))]
    return rows + [_inside(item_row(failures.COLUMNS, inner, glyphs, failure)) for failure in failed]


def _inside(row: Iterable[Span]) -> Row:
    return ((" ", ""), *row, (" ", ""))
