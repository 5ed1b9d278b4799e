"""The hosts of the whole farm, and its queues. Pure."""

from __future__ import annotations

from farm.screen.amounts import COUNT_WIDTH, SIZE_WIDTH, depth_text, size_text
from farm.screen.columns import Cell, Column
from farm.screen.glyphs import Glyphs
from farm.screen.model import HostView, QueueView
from farm.screen.panes.marks import bar, count_cell, foreign, marked, time_cell
from farm.screen.styles import Span

BEAT_LATE_S = 5.0


def host_mark(host: HostView, glyphs: Glyphs) -> Span:
    """Return the sign of how a host is."""
    if host.state == "lost":
        return (glyphs.dead, "bad")
    if host.state != "live":
        return (glyphs.idle, "dim")
    return (glyphs.warning, "warning") if host.trouble or host.beat_s > BEAT_LATE_S else (glyphs.good, "good")


def _name(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    return marked(host_mark(host, glyphs), host.name, size, glyphs)


def _state(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    return foreign(host.state, glyphs, "bad" if host.state == "lost" else "" if host.state == "live" else "dim")


def _beat(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    return time_cell(max(host.beat_s, 0.0), "warning" if host.beat_s > BEAT_LATE_S and host.state == "live" else "dim")


def _running(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    return (f"{host.running}/{host.capacity}", "" if host.running else "dim")


def _capacity(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    return bar(host.running / host.capacity if host.capacity > 0 else 0.0, size, glyphs, "busy")


def _lanes(host: HostView, size: int, glyphs: Glyphs) -> Cell:
    """Name the lanes; where something is wrong, that."""
    return foreign(host.trouble, glyphs, "warning") if host.trouble else foreign(" ".join(host.lanes), glyphs, "dim")


HOSTS: tuple[Column[HostView], ...] = (
    Column(name="HOST", width=14, most=30, keep=100, cell=_name),
    Column(name="INSTANCE", width=9, most=20, keep=70, cell=lambda host, size, glyphs: foreign(host.instance, glyphs)),
    Column(name="STATE", width=7, keep=90, cell=_state),
    Column(name="BEAT", width=5, keep=80, right=True, cell=_beat),
    Column(name="CAPACITY", width=8, most=24, keep=50, cell=_capacity),
    Column(name="BUSY", width=9, keep=85, right=True, cell=_running),
    Column(name="MEMORY", width=SIZE_WIDTH + 1, keep=40, right=True, cell=lambda host, size, glyphs: (size_text(host.memory_bytes), "")),
    Column(name="VERSION", width=8, most=12, keep=20, cell=lambda host, size, glyphs: foreign(host.version, glyphs, "dim")),
    Column(name="LANES", width=12, most=400, grow=4, keep=60, cell=_lanes),
)


def _queue(queue: QueueView, size: int, glyphs: Glyphs) -> Cell:
    if queue.paused:
        mark = (glyphs.held, "warning")
    elif queue.ready:
        mark = (glyphs.warning, "warning") if queue.unserved else (glyphs.good, "good")
    else:
        mark = (glyphs.idle, "dim")
    return marked(mark, queue.name, size, glyphs)


def _queue_state(queue: QueueView, size: int, glyphs: Glyphs) -> Cell:
    """Say why nothing is taken from it."""
    return ("paused" if queue.paused else "no lane" if queue.unserved else "", "warning")


QUEUES: tuple[Column[QueueView], ...] = (
    Column(name="QUEUE", width=14, most=40, keep=100, cell=_queue),
    Column(
        name="READY", width=COUNT_WIDTH, keep=95, right=True, cell=lambda one, size, glyphs: count_cell(depth_text(one.ready), one.ready)
    ),
    Column(name="OLDEST", width=6, keep=90, right=True, cell=lambda one, size, glyphs: time_cell(one.oldest_s)),
    Column(name="STATE", width=7, keep=80, cell=_queue_state),
)
