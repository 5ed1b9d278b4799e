"""Rings and writer: the way of a batch through the host, in two lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from farm.screen.amounts import NONE, count_text, rate_text, share_text, time_text
from farm.screen.columns import fields
from farm.screen.glyphs import Glyphs
from farm.screen.model import Flow, Quantiles
from farm.screen.panes.listing import title_row
from farm.screen.panes.marks import RING_HIGH
from farm.screen.styles import Row, Span

HEIGHT = 3
BAR_WIDTH = 8


@lru_cache(maxsize=4)
def draw_flow(flow: Flow, width: int, glyphs: Glyphs) -> tuple[Row, ...]:
    """Return a title and two lines."""
    return (
        title_row("Rings and writer", (), "", width, glyphs),
        fields(
            (
                (90, _batches("claims ", flow.claim_rate, flow.claim_size, flow.claim_time)),
                (80, _ring("job rings", flow.job_rings, glyphs)),
                (70, _ring("result rings", flow.result_rings, glyphs)),
            ),
            width,
            glyphs,
        ),
        fields(
            (
                (90, _batches("commits", flow.commit_rate, flow.commit_size, flow.commit_time)),
                (85, (("backlog ", "dim"), (f"{count_text(flow.backlog):>6}", "" if flow.backlog else "dim"))),
                (60, _dropped("stale", flow.stale, glyphs)),
                (50, _dropped("duplicate", flow.duplicate, glyphs)),
                (70, _dropped("retries", flow.retries, glyphs)),
            ),
            width,
            glyphs,
        ),
    )


def _batches(name: str, rate: float, size: float | None, times: Quantiles) -> Sequence[Span]:
    jobs = NONE if size is None else count_text(round(size))
    return (
        (name, "dim"),
        (f" {rate_text(rate):>6}", "" if rate > 0 else "dim"),
        ("/s of ", "dim"),
        (f"{jobs:>5}", "" if size is not None else "dim"),
        (" jobs  p50 ", "dim"),
        (f"{time_text(times.p50_s):>5}", ""),
        ("  p99 ", "dim"),
        (f"{time_text(times.p99_s):>5}", ""),
    )


def _ring(name: str, share: float, glyphs: Glyphs) -> Sequence[Span]:
    full, rest = glyphs.bar(share, BAR_WIDTH)
    style = "warning" if share >= RING_HIGH else "busy"
    sign = glyphs.warning if share >= RING_HIGH else " "
    return ((f"{name} ", "dim"), (full, style), (rest, "dim"), (f" {share_text(share):>4}{sign}", style if share >= RING_HIGH else ""))


def _dropped(name: str, count: int, glyphs: Glyphs) -> Sequence[Span]:
    return ((f"{name} ", "dim"), (f"{glyphs.warning}{count_text(count)}", "warning") if count else ("0", "dim"))
