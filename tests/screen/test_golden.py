"""Whole screens of fixed snapshots, as files to look at.

`FARM_GOLDEN=write pytest tests/screen/test_golden.py` makes them anew: read the diff.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from farm.screen.draw import draw, draw_once
from farm.screen.glyphs import ASCII, UNICODE, Glyphs
from farm.screen.model import DatabaseView, FarmState, Quantiles, Snapshot
from farm.screen.press import press
from farm.screen.state import JobPage, View
from farm.screen.styles import Row, plain
from tests.screen.hostile import hostile
from tests.screen.lively import NOON, LivelySource, snapshot

GOLDEN = Path(__file__).parent / "golden"


def _pressed(*keys: str, slots: int = 0) -> View:
    view, seen = View(), snapshot(8, slots=slots)
    for key in keys:
        view, _ = press(view, key, seen)
    return view


def _job() -> View:
    view = _pressed("tab", "tab", "enter")
    return replace(view, page=JobPage(4_700_321, job=LivelySource().job(4_700_321)))


def _everywhere() -> Snapshot:
    seen = snapshot(8, troubled=False)
    lanes = tuple(
        replace(lane, stolen=None, rate=None, rates=(), run_time=Quantiles(), queue_time=Quantiles(), failure_share=None)
        for lane in seen.lanes
    )
    return replace(seen, lanes=lanes, subworkers=(), instance="", host="")


def _empty() -> Snapshot:
    return Snapshot(
        at=NOON, instance="default", host="vm", version="0.1.0", state=FarmState.STARTING, up_s=0.2, database=DatabaseView(name="db")
    )


def _away() -> Snapshot:
    seen = snapshot(8)
    return replace(seen, state=FarmState.AWAY, database=replace(seen.database, latency_s=None, away_s=12.0, horizon=None))


SCREENS: dict[str, tuple[Snapshot, int, int, View, Glyphs]] = {
    "80x24": (snapshot(8), 80, 24, View(), UNICODE),
    "120x40": (snapshot(8), 120, 40, View(), UNICODE),
    "200x60": (snapshot(8), 200, 60, View(), UNICODE),
    "ascii-80x24": (snapshot(8), 80, 24, View(), ASCII),
    "ascii-120x40": (snapshot(8), 120, 40, View(), ASCII),
    "hostile-120x40": (hostile(), 120, 40, View(), UNICODE),
    "calm-120x40": (snapshot(8, troubled=False), 120, 40, View(), UNICODE),
    "slots-120x40": (snapshot(8, slots=1000, troubled=False), 120, 40, _pressed("tab", *["pagedown"] * 50, slots=1000), UNICODE),
    "everywhere-120x40": (_everywhere(), 120, 40, View(), UNICODE),
    "empty-80x24": (_empty(), 80, 24, View(), UNICODE),
    "away-80x24": (_away(), 80, 24, View(silent_s=3, frozen=True), UNICODE),
    "narrow-50x16": (snapshot(8), 50, 16, View(), UNICODE),
    "small-30x5": (snapshot(8), 30, 5, View(), UNICODE),
    "lane-120x40": (snapshot(8), 120, 40, _pressed("j", "enter"), UNICODE),
    "subworker-120x40": (snapshot(8), 120, 40, _pressed("tab", "j", "enter"), UNICODE),
    "job-120x40": (snapshot(8), 120, 40, _job(), UNICODE),
    "help-80x24": (snapshot(8), 80, 24, _pressed("?"), UNICODE),
    "question-80x24": (snapshot(8), 80, 24, _pressed("tab", "j", "x"), UNICODE),
    "filter-80x24": (snapshot(8), 80, 24, _pressed("/", *"mail"), UNICODE),
}


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_as_it_was(name: str) -> None:
    _compare(name, draw(*SCREENS[name]))


def test_the_picture_for_a_pipe_has_all_rows() -> None:
    _compare("once-120", draw_once(snapshot(8), 120, UNICODE))


def _compare(name: str, rows: list[Row]) -> None:
    drawn = "".join(plain(row).rstrip() + "\n" for row in rows)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("FARM_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8"), f"{path.name} is another; FARM_GOLDEN=write makes it anew"
