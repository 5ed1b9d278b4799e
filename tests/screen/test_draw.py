"""Whatever a snapshot holds and whatever the size, a frame fills the screen exactly and holds nothing that steers a terminal."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from farm.escapes import UNWANTED
from farm.screen.columns import item_row
from farm.screen.draw import HEIGHT_MIN, WIDTH_MIN, draw, draw_once, share_out
from farm.screen.glyphs import ASCII, UNICODE
from farm.screen.lists import in_view
from farm.screen.model import (
    DatabaseView,
    FailureView,
    FarmState,
    Flow,
    Horizon,
    HostView,
    JobRun,
    LaneView,
    Quantiles,
    QueueView,
    Snapshot,
    SubworkerView,
)
from farm.screen.press import press
from farm.screen.state import JobPage, Opened, Pane, View
from farm.screen.styles import STYLES, Palette, Row, plain
from tests.screen.hostile import TEXTS, hostile
from tests.screen.lively import snapshot

KEYS = (
    *"abcdefghijklmnopqrstuvwxyzG/?nyx", "up", "down", "left", "right", "tab", "shift-tab", "enter", "escape", "backspace", "space",
    "pageup", "pagedown", "home", "end", "ctrl-c", "ä", "日",
)  # fmt: skip

texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=30))
counts = st.integers(min_value=0, max_value=10**12)
seconds = st.floats(min_value=0, max_value=1e9)
shares = st.floats(min_value=0, max_value=5)
maybe = st.none() | seconds
quantiles = st.builds(Quantiles, p50_s=maybe, p95_s=maybe, p99_s=maybe)
names = st.lists(texts, max_size=3).map(tuple)
times = st.datetimes(timezones=st.just(UTC))
lanes = st.builds(
    LaneView, name=texts, queues=names, capacity=counts, running=counts, subworkers=counts, serving=counts,
    stolen=st.none() | st.integers(-10**9, 10**9), buffered=counts, queued=st.none() | counts, oldest_s=maybe,
    rates=st.lists(seconds, max_size=90).map(tuple), rate=maybe,
    queue_time=quantiles, run_time=quantiles, failure_share=st.none() | shares, occupancy=st.none() | shares, paused=st.booleans(),
    held_by=names, trouble=texts,
)  # fmt: skip
jobs = st.builds(JobRun, job_id=counts, task=texts, running_s=seconds, progress=st.none() | shares, text=texts)
subworkers = st.builds(
    SubworkerView, name=texts, pid=st.integers(0, 1 << 22), lane=texts, state=texts, rss_bytes=counts, limit_bytes=counts,
    cpu=st.none() | shares, jobs=st.lists(jobs, max_size=3).map(tuple), ended=counts, buffered=counts, restarts=counts, restarted_why=texts,
)  # fmt: skip
failures = st.builds(FailureView, at=times, lane=texts, job_id=counts, task=texts, attempt=counts, kind=texts, text=texts, then=texts)
hosts = st.builds(
    HostView, name=texts, instance=texts, state=texts, beat_s=seconds, running=counts, capacity=counts, memory_bytes=counts, version=texts,
    lanes=names, trouble=texts,
)  # fmt: skip
queues = st.builds(QueueView, name=texts, ready=counts, oldest_s=maybe, paused=st.booleans(), unserved=st.booleans())
flows = st.builds(
    Flow, claim_rate=seconds, claim_size=maybe, claim_time=quantiles, job_rings=shares, result_rings=shares, commit_rate=seconds,
    commit_size=maybe, commit_time=quantiles, backlog=counts, stale=counts, duplicate=counts, retries=counts,
)  # fmt: skip
databases = st.builds(
    DatabaseView, name=texts, latency_s=maybe, away_s=maybe, horizon=st.none() | st.builds(Horizon, holder=texts, age_s=seconds)
)
snapshots = st.builds(
    Snapshot, at=times, instance=texts, host=texts, version=texts, state=st.sampled_from(FarmState), up_s=seconds, database=databases,
    rate=seconds, queue_time=quantiles, run_time=quantiles, failure_share=st.none() | shares, memory_bytes=counts,
    lanes=st.lists(lanes, max_size=6).map(tuple), subworkers=st.lists(subworkers, max_size=8).map(tuple), flow=flows,
    failures=st.lists(failures, max_size=5).map(tuple), hosts=st.lists(hosts, max_size=3).map(tuple),
    queues=st.lists(queues, max_size=3).map(tuple), log_path=texts, notices=names,
)  # fmt: skip
keys = st.lists(st.sampled_from(KEYS), max_size=25)
json_like = st.recursive(
    st.none() | st.booleans() | counts | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner)
)
job_names = st.sampled_from(
    ["state", "task", "args", "attempt", "max_attempts", "error", "attempts", "logs", "result", "progress", "memory_bytes"]
)
attempts = st.dictionaries(st.sampled_from(["attempt", "kind", "error", "took_s", "host", "started_at", "peak_bytes", "log"]), json_like)


def _check(rows: list[Row], width: int, height: int, *, ascii_only: bool) -> None:
    assert len(rows) == height
    for row in rows:
        text = plain(row)
        assert cell_len(text) == width, repr(text)
        assert not any(unicodedata.category(char) in UNWANTED for char in text), repr(text)
        assert all(style in STYLES for _, style in row)
        assert text.isascii() or not ascii_only, repr(text)


@settings(max_examples=80, deadline=None)
@given(snapshots, st.integers(1, 220), st.integers(1, 70), keys, st.sampled_from([UNICODE, ASCII]))
def test_a_frame_fills_the_screen_whatever_was_pressed(seen, width, height, pressed, glyphs) -> None:  # type: ignore[no-untyped-def]
    view = View()
    for key in pressed:
        view, _ = press(view, key, seen)
    _check(draw(seen, width, height, view, glyphs), width, height, ascii_only=glyphs.ascii_only)


@settings(max_examples=40, deadline=None)
@given(snapshots, snapshots, keys, keys)
def test_what_was_chosen_may_be_gone_in_the_next_snapshot(seen, then, before, after) -> None:  # type: ignore[no-untyped-def]
    view = View()
    for key in before:
        view, _ = press(view, key, seen)
    _check(draw(then, 100, 30, view, UNICODE), 100, 30, ascii_only=False)
    for key in after:
        view, _ = press(view, key, then)
    _check(draw(then, 100, 30, view, UNICODE), 100, 30, ascii_only=False)


@settings(max_examples=60, deadline=None)
@given(st.integers(WIDTH_MIN, 220), st.integers(HEIGHT_MIN, 70), keys, st.integers(0, 1 << 30), st.sampled_from([0, 30, 300]))
def test_those_that_are_drawn_are_in_view(width, height, pressed, seed, slots) -> None:  # type: ignore[no-untyped-def]
    """So whoever looks at these alone loses nothing."""
    seen = snapshot(3, seed=seed, slots=slots)
    view = View()
    for key in pressed:
        view, _ = press(view, key, seen)
    named = in_view(seen, view, height)
    if named is None:
        return
    if view.opened:
        # All lines of a page are made, in the order in which subworkers come, and some of them are shown.
        unseen = tuple(replace(one, name=one.name if one.name in named else "UNSEEN") for one in seen.subworkers)
        assert not any("UNSEEN" in plain(row) for row in draw(replace(seen, subworkers=unseen), width, height, view, UNICODE))
        return
    with patch("farm.screen.panes.listing.item_row", wraps=item_row) as made:
        draw(seen, width, height, view, UNICODE)
    assert {call.args[3].name for call in made.call_args_list if isinstance(call.args[3], SubworkerView)} <= set(named)


def test_a_list_that_follows_figures_is_in_view_as_a_whole() -> None:
    assert in_view(snapshot(), View(orders={Pane.SUBWORKERS: 1}), 40) is None
    assert in_view(snapshot(), View(orders={Pane.LANES: 1}), 40) == {f"w{number}" for number in range(10)}
    assert in_view(snapshot(), View(opened=(Opened(None, 7),)), 40) == ()
    assert in_view(snapshot(), View(opened=(Opened(Pane.SUBWORKERS, "w7"),)), 40) == ("w7",)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(job_names, json_like | st.lists(attempts, max_size=3)), st.integers(0, 100), st.sampled_from([UNICODE, ASCII]))
def test_the_page_of_a_job_takes_nothing_for_granted(job, at, glyphs) -> None:  # type: ignore[no-untyped-def]
    view = View(opened=(Opened(None, 7, at),), page=JobPage(7, job=job))
    _check(draw(snapshot(), 90, 25, view, glyphs), 90, 25, ascii_only=glyphs.ascii_only)


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        ({"fraction": 0.336667, "text": "step 201"}, "34% step 201"),
        ({"fraction": None, "text": "at it"}, "at it"),
        ({"fraction": 1.0}, "100%"),
    ],
)
def test_the_page_of_a_job_says_how_far_it_is(progress: dict[str, object], shown: str) -> None:
    view = View(opened=(Opened(None, 7),), page=JobPage(7, job={"state": "running", "progress": progress}))
    rows = [plain(row).rstrip() for row in draw(snapshot(), 90, 25, view, UNICODE)]
    assert f" progress    {shown}" in rows


def test_why_a_subworker_was_replaced_begins_with_what_tells() -> None:
    seen = snapshot()
    crashed = replace(seen.subworkers[0], restarts=1, restarted_why="its subworker was killed by SIGSEGV")
    rows = [plain(row) for row in draw(replace(seen, subworkers=(crashed,)), 120, 40, View(), UNICODE)]
    assert any("killed by S" in row for row in rows)


def test_hostile_text_steers_nothing_at_any_width() -> None:
    seen = hostile()
    for width in range(1, 210, 3):
        for glyphs in (UNICODE, ASCII):
            _check(draw(seen, width, 40, View(), glyphs), width, 40, ascii_only=glyphs.ascii_only)


def test_what_a_terminal_reads_is_the_text_and_colours_only() -> None:
    palette = Palette(None)
    encoded = "".join(palette.encode(row) for row in draw(hostile(), 120, 40, View(), UNICODE))
    for sequence in encoded.split("\x1b")[1:]:
        number, _, _ = sequence.partition("m")
        assert number.strip("[0123456789;") == "", repr(sequence[:20])
    # Without colours none is set: no number of a foreground or background.
    assert not any(f"\x1b[{code}m" in encoded for code in range(30, 50))


def test_columns_go_one_by_one() -> None:
    """From 200 cells to 80 no width loses more than two columns of the lanes at once, and what matters most is left."""
    before: set[str] | None = None
    for width in range(200, 79, -1):
        head = next(plain(row) for row in draw(snapshot(), width, 40, View(), UNICODE) if "JOBS/S" in plain(row))
        now = set(head.replace("LAST MINUTE", "LAST").replace("WAIT P", "WAITP").replace("RUN P", "RUNP").split())
        assert before is None or len(before - now) <= 2, (width, before - now)
        before = now
    assert before is not None
    assert before >= {"LANE", "CAPACITY", "BUSY", "QUEUED", "OLDEST", "JOBS/S", "FAIL"}


def test_notices_stand_above_everything_else() -> None:
    rows = [plain(row) for row in draw(snapshot(), 120, 40, View(), UNICODE)]
    lanes_at = next(index for index, row in enumerate(rows) if row.startswith("─ Lanes"))
    above = " ".join(rows[:lanes_at])
    assert "are taken by images.resize:thumb" in above
    assert "pid 4711 (psql of ada, idle in transaction)" in above
    assert "lane emails: 4 of 4 slots" in above


def test_a_state_is_told_by_a_sign_and_a_word_not_by_colour_alone() -> None:
    for state in FarmState:
        first = plain(draw(replace(snapshot(), state=state), 120, 40, View(), ASCII)[0])
        words = {
            "away": "! database away",
            "lost": "x nobody answers",
            "starting": "+ starting",
            "draining": "~ draining",
            "running": "* running",
        }
        assert words[state] in first


def test_below_the_smallest_size_it_says_what_would_do() -> None:
    rows = [plain(row).rstrip() for row in draw(snapshot(), WIDTH_MIN - 1, HEIGHT_MIN, View(), UNICODE)]
    assert rows[1:3] == [" 39 x 10 is too small:", " 40 x 10 will do"]


def test_a_picture_for_a_pipe_leaves_no_row_out() -> None:
    text = "\n".join(plain(row) for row in draw_once(snapshot(slots=200), 120, UNICODE))
    assert all(f" w{number} " in text for number in range(200))


@given(st.integers(0, 80), st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5)), min_size=1, max_size=6), st.integers(0, 5))
def test_rows_are_shared_out_and_never_more_than_there_are(room, wanted, first) -> None:  # type: ignore[no-untyped-def]
    wanted = [(max(needed, least), least) for needed, least in wanted]
    heights = share_out(room, wanted, min(first, len(wanted) - 1))
    assert sum(heights) <= room
    assert all(height <= needed for height, (needed, _) in zip(heights, wanted, strict=True))
    # Room is left only where everything that is shown has all its rows.
    assert sum(heights) == room or all(height in (0, needed) for height, (needed, _) in zip(heights, wanted, strict=True))
