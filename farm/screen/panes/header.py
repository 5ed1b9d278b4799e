"""The head of the screen: how the farm does as a whole, and below it what an operator should read first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from farm.screen.amounts import quantiles_text, rate_text, share_text, time_text
from farm.screen.columns import fields, filled
from farm.screen.glyphs import Glyphs
from farm.screen.lists import is_everywhere
from farm.screen.model import DatabaseView, FarmState, Quantiles, Snapshot
from farm.screen.panes.marks import FAILURES_MANY
from farm.screen.state import View
from farm.screen.styles import Row, Span
from farm.screen.text import cells, clean, cut, wrap_words
from farm.units import format_duration

TWO_LINES = 150
"""From this width on quantiles and database stand side by side."""
NOTICES_MIN, NOTICES_SHARE = 2, 8
"""Lines of notices that are always shown, and of how many rows of a screen they may take one."""


def draw_header(snapshot: Snapshot, width: int, view: View, glyphs: Glyphs) -> list[Row]:
    """Return the two or three lines of figures."""
    # No heartbeat tells how long jobs take.
    times = None if is_everywhere(snapshot) else (snapshot.run_time, snapshot.queue_time)
    return [_first_line(snapshot, width, view, glyphs), *_below(times, snapshot.database, snapshot.log_path, width, glyphs)]


@lru_cache(maxsize=4)
def _below(times: tuple[Quantiles, Quantiles] | None, database: DatabaseView, log_path: str, width: int, glyphs: Glyphs) -> tuple[Row, ...]:
    """Return the lines below the first one, which change once a second at most. times: of runs, and of waits."""
    groups: list[tuple[int, Sequence[Span]]] = [(70, _database(database, glyphs))]
    if database.horizon is not None:
        groups.append((85, ((f"{glyphs.warning} xmin ", "warning"), (f"{time_text(database.horizon.age_s)} old", "notice"))))
    if log_path:
        groups.append((10, (("log ", "dim"), (clean(log_path, ascii_only=glyphs.ascii_only), "dim"))))
    if times is None:
        return (fields(groups, width, glyphs),)
    run_time, queue_time = times
    quantiles: list[tuple[int, Sequence[Span]]] = [
        (90, (("run ", "dim"), (quantiles_text(run_time), ""))),
        (80, (("wait ", "dim"), (quantiles_text(queue_time), ""))),
    ]
    if width >= TWO_LINES:
        return (fields([*quantiles, *groups], width, glyphs),)
    return fields(quantiles, width, glyphs), fields(groups, width, glyphs)


def draw_notices(snapshot: Snapshot, height: int, width: int, glyphs: Glyphs, *, most: int = 0) -> list[Row]:
    """Return what is wrong, in sentences, a line or two each; where there is no room for all, how many more there are.

    most: lines; 0: as many as suit the height.
    """
    most = most or max(NOTICES_MIN, height // NOTICES_SHARE)
    sentences = notices(snapshot)
    lines: list[str] = []
    for index, sentence in enumerate(sentences):
        first, *rest = wrap_words(clean(sentence, ascii_only=glyphs.ascii_only), max(width - 4, 10))
        added = [f" {glyphs.warning} {first}"] + [f"   {cut(' '.join(rest), width - 4, glyphs.ellipsis)}"] * bool(rest)
        last = index == len(sentences) - 1
        if len(lines) + len(added) + (not last) > most and lines:
            lines.append(f"   and {len(sentences) - index} more: n shows all")
            break
        lines += added
    return [filled([(line, "notice")], width, glyphs) for line in lines]


def notices(snapshot: Snapshot) -> list[str]:
    """Return what an operator should read: what was noticed of the host, and the troubles of lanes that this does not say already."""
    sentences = list(snapshot.notices)
    if snapshot.database.horizon is not None and not any(snapshot.database.horizon.holder in sentence for sentence in sentences):
        horizon = snapshot.database.horizon
        sentences.append(f"{horizon.holder} has kept PostgreSQL from cleaning up for {format_duration(horizon.age_s)}")
    for lane in snapshot.lanes:
        if lane.trouble and not lane.paused and not any(lane.trouble in sentence for sentence in sentences):
            sentences.append(f"lane {lane.name}: {lane.trouble}")
    return sentences


def state_spans(snapshot: Snapshot, glyphs: Glyphs) -> list[Span]:
    """Say what the farm does, with its sign."""
    away_s = snapshot.database.away_s
    match snapshot.state:
        case FarmState.STARTING:
            return [(f"{glyphs.coming} starting", "warning")]
        case FarmState.RUNNING:
            return [(f"{glyphs.good} running", "good")]
        case FarmState.DRAINING:
            return [(f"{glyphs.going} draining", "warning")]
        case FarmState.AWAY:
            return [(f"{glyphs.warning} database away{f' {time_text(away_s)}' if away_s is not None else ''}", "alarm")]
        case FarmState.LOST:
            return [(f"{glyphs.dead} nobody answers", "alarm")]


def _first_line(snapshot: Snapshot, width: int, view: View, glyphs: Glyphs) -> Row:
    """Return the line with the farm's name and state at its left, and rate, failures and the time at its right end."""
    instance, host = (clean(text, ascii_only=glyphs.ascii_only) for text in (snapshot.instance, snapshot.host))
    named = f"{instance} on {host}" if instance and host else instance or host or "all hosts"
    left: list[Span] = [(" farm ", "name"), (" ", ""), (cut(named, max(width // 4, 8), glyphs.ellipsis), "bold"), ("  ", "")]
    left += state_spans(snapshot, glyphs)
    if view.frozen:
        left.append((f"  {glyphs.held} frozen", "notice"))
    if view.silent_s:
        left.append((f"  {glyphs.warning} nothing new for {time_text(view.silent_s)}", "alarm"))
    return _first(tuple(left), tuple(_extras(snapshot)), tuple(_figures(snapshot)), width, glyphs)


@lru_cache(maxsize=4)
def _first(left: Row, extras: tuple[str, ...], figures: tuple[Row, ...], width: int, glyphs: Glyphs) -> Row:
    """Return what stands at the left end, at the right end the figures, and between them extras where there is room for them."""
    room = width - _size(left)
    right: list[Span] = []
    for group in figures:
        size = _size(group)
        if size > room:
            break
        right += group
        room -= size
    spans = list(left)
    # What is said only where there is room for it, the most wanted first.
    for extra in extras:
        if len(extra) + 3 <= room:
            spans.append((f"   {extra}", "dim"))
            room -= len(extra) + 3
    if room < 0:
        return filled(spans, width, glyphs)
    return (*spans, (" " * room, ""), *right)


def _figures(snapshot: Snapshot) -> Iterator[Row]:
    """Give rate, failures and time, the least wanted last."""
    if not is_everywhere(snapshot):
        share = snapshot.failure_share
        style = "bad" if (share or 0.0) >= FAILURES_MANY else "warning" if share else "dim"
        yield (f"{rate_text(snapshot.rate):>8}", "bold"), (" jobs/s ", "dim")
        yield ("  failed ", "dim"), (f"{share_text(share):>4} ", style)
    yield ((f"  {snapshot.at:%H:%M:%S} ", ""),)


def _extras(snapshot: Snapshot) -> list[str]:
    if is_everywhere(snapshot):
        return []
    extras = [f"up {format_duration(float(int(max(snapshot.up_s, 0.0))))}"]
    if snapshot.lanes:
        serving, wanted = sum(lane.serving for lane in snapshot.lanes), sum(lane.subworkers for lane in snapshot.lanes)
        extras.append(f"{serving:,} of {wanted:,} subworkers")
    return extras


def _size(spans: Sequence[Span]) -> int:
    return sum(cells(text) for text, _ in spans)


def _database(database: DatabaseView, glyphs: Glyphs) -> list[Span]:
    spans: list[Span] = [("database ", "dim"), (clean(database.name, ascii_only=glyphs.ascii_only), "")]
    if database.away_s is not None:
        return [*spans, (f"  {glyphs.warning} away {time_text(database.away_s)}", "alarm")]
    return [*spans, (f" {time_text(database.latency_s):>5}", "")]
