"""Attempts that came to no good, the newest first, in words. Pure."""

from __future__ import annotations

from farm.screen.columns import Cell, Column
from farm.screen.glyphs import Glyphs
from farm.screen.model import FailureView
from farm.screen.panes.marks import foreign
from farm.screen.styles import Span

WORDS = {"timed_out": "timed out", "memory": "memory", "not_allowed": "refused"}
"""Kinds that people call otherwise."""


def failure_mark(failure: FailureView, glyphs: Glyphs) -> Span:
    """Return the sign of how an attempt ended."""
    match failure.kind:
        case "crashed" | "memory" | "lost":
            return (glyphs.warning, "bad")
        case "cancelled" | "stopped":
            return (glyphs.held, "warning")
    return (glyphs.dead, "bad" if failure.then == "final" else "warning")


def _kind(failure: FailureView, size: int, glyphs: Glyphs) -> Cell:
    mark, style = failure_mark(failure, glyphs)
    return foreign(f"{mark} {WORDS.get(failure.kind, failure.kind)}", glyphs, style)


def _then(failure: FailureView, size: int, glyphs: Glyphs) -> Cell:
    return foreign(failure.then, glyphs, "bad" if failure.then == "final" else "dim")


COLUMNS: tuple[Column[FailureView], ...] = (
    Column(name="AT", width=8, keep=80, cell=lambda failure, size, glyphs: (f"{failure.at:%H:%M:%S}", "dim")),
    Column(name="ENDED", width=11, keep=90, cell=_kind),
    Column(name="LANE", width=8, most=16, keep=60, cell=lambda failure, size, glyphs: foreign(failure.lane, glyphs)),
    Column(name="JOB", width=9, most=12, keep=85, right=True, cell=lambda failure, size, glyphs: (str(failure.job_id), "")),
    Column(name="TASK", width=14, most=30, keep=70, cell=lambda failure, size, glyphs: foreign(failure.task, glyphs, "bold")),
    Column(name="TRY", width=3, keep=50, right=True, cell=lambda failure, size, glyphs: (str(failure.attempt), "")),
    Column(name="THEN", width=12, most=16, keep=65, cell=_then),
    Column(name="WHY", width=20, most=400, grow=8, keep=100, cell=lambda failure, size, glyphs: foreign(failure.text, glyphs)),
)
