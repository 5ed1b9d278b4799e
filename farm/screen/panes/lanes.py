"""The lanes of this host: how full, how busy, what waits, how fast. Pure."""

from __future__ import annotations

from farm.screen.amounts import COUNT_WIDTH, RATE_WIDTH, depth_text, rate_text, share_text
from farm.screen.columns import Cell, Column
from farm.screen.glyphs import Glyphs
from farm.screen.model import LaneView
from farm.screen.panes.marks import bar, count_cell, failure_cell, marked, none_cell, time_cell
from farm.screen.styles import Span
from farm.screen.text import clean

MINUTE = 60
"""Rates of a lane, one for each second."""


def lane_mark(lane: LaneView, glyphs: Glyphs) -> Span:
    """Return the sign of how a lane is."""
    if lane.paused or lane.held_by:
        return (glyphs.held, "warning")
    if lane.trouble or lane.serving < lane.subworkers:
        return (glyphs.warning, "warning")
    return (glyphs.good, "good") if lane.running else (glyphs.idle, "dim")


def lane_state(lane: LaneView) -> str:
    """Say in a word or two why a lane claims nothing, or has fewer subworkers than it should; "" if all is well."""
    if lane.held_by:
        return " ".join(lane.held_by)
    if lane.paused:
        return "paused"
    return f"{lane.serving} of {lane.subworkers}" if lane.serving < lane.subworkers else ""


def capacity_style(lane: LaneView) -> str:
    return "warning" if lane.paused or lane.held_by else "busy"


def _name(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return marked(lane_mark(lane, glyphs), lane.name, size, glyphs)


def _capacity(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return bar(lane.running / lane.capacity if lane.capacity > 0 else 0.0, size, glyphs, capacity_style(lane))


def _busy(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return (f"{lane.running}/{lane.capacity}", "" if lane.running else "dim")


def _stolen(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    if lane.stolen is None:
        return none_cell()
    return (f"{lane.stolen:+,}", "") if lane.stolen else ("0", "dim")


def _queued(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return count_cell(depth_text(lane.queued), lane.queued)


def _spark(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return [(glyphs.spark(lane.rates, MINUTE, size), "good" if lane.rate else "dim")]


def _rate(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return (rate_text(lane.rate), "bold" if lane.rate else "dim")


def _occupancy(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return (share_text(lane.occupancy), "" if lane.occupancy else "dim")


def _state(lane: LaneView, size: int, glyphs: Glyphs) -> Cell:
    return (clean(lane_state(lane), ascii_only=glyphs.ascii_only), "warning")


COLUMNS: tuple[Column[LaneView], ...] = (
    Column(name="LANE", width=12, most=30, keep=100, cell=_name),
    Column(name="CAPACITY", width=8, most=24, keep=60, cell=_capacity),
    Column(name="BUSY", width=9, keep=95, right=True, cell=_busy),
    Column(name="STOLEN", width=6, keep=40, right=True, cell=_stolen),
    Column(name="CLAIMED", width=COUNT_WIDTH, keep=10, right=True, cell=lambda lane, size, glyphs: (f"{lane.buffered:,}", "")),
    Column(name="QUEUED", width=COUNT_WIDTH, keep=90, right=True, cell=_queued),
    Column(name="OLDEST", width=6, keep=85, right=True, cell=lambda lane, size, glyphs: time_cell(lane.oldest_s)),
    Column(name="LAST MINUTE", width=12, most=60, grow=2, keep=55, cell=_spark),
    Column(name="JOBS/S", width=RATE_WIDTH, keep=92, right=True, cell=_rate),
    Column(name="WAIT P50", width=8, keep=20, right=True, cell=lambda lane, size, glyphs: time_cell(lane.queue_time.p50_s)),
    Column(name="P95", width=5, keep=18, right=True, cell=lambda lane, size, glyphs: time_cell(lane.queue_time.p95_s)),
    Column(name="WAIT P99", width=8, keep=50, right=True, cell=lambda lane, size, glyphs: time_cell(lane.queue_time.p99_s)),
    Column(name="RUN P50", width=7, keep=45, right=True, cell=lambda lane, size, glyphs: time_cell(lane.run_time.p50_s)),
    Column(name="P95", width=5, keep=19, right=True, cell=lambda lane, size, glyphs: time_cell(lane.run_time.p95_s)),
    Column(name="RUN P99", width=7, keep=75, right=True, cell=lambda lane, size, glyphs: time_cell(lane.run_time.p99_s)),
    Column(name="FAIL", width=5, keep=80, right=True, cell=lambda lane, size, glyphs: failure_cell(lane.failure_share, glyphs)),
    Column(name="USED", width=4, keep=42, right=True, cell=_occupancy),
    Column(name="STATE", width=7, most=20, keep=70, cell=_state),
)
