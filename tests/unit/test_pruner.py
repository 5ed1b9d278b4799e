"""When retention does what."""

from __future__ import annotations

import logging

import pytest

from farm.errors import StoreError, StoreUnavailable
from farm.model import KEEP_ALL, Retention
from farm.supervisor.upkeep.retention import LOCK_AGAIN_S_MAX, LOCK_MS_MAX, LOOK_EVERY_S, STEP_JOBS_MIN, Pruner
from tests.unit.pruning import FakePrunes

DAY_S = 86400.0


def run(pruner: Pruner, seconds: float) -> None:
    now = 1000.0
    end = now + seconds
    while now < end:
        now += max(0.001, pruner.step(now))


def test_a_partition_is_begun_copied_swapped_and_dropped() -> None:
    store = FakePrunes()
    store.due = 2
    run(Pruner(store=store, retention=Retention(7 * DAY_S, 30 * DAY_S, None)), 600)
    names = [name for name, _ in store.asked if name != "begin_next"]
    assert names == ["go_on", "go_on", "go_on", "finish", "drop", "drop", "drop"] * 2
    assert ("begin_next", 7 * DAY_S / 8) in store.asked, "a new partition now and then, so that old jobs go in time"


def test_without_retention_nothing_is_begun_and_what_was_begun_is_ended() -> None:
    store = FakePrunes()
    pruner = Pruner(store=store, retention=KEEP_ALL)
    store.due = 1
    run(pruner, 600)
    assert store.asked == []
    store.states, store.finishes = ["copying", "copied"], ["pruned"]
    run(Pruner(store=store, retention=KEEP_ALL), 600)
    assert [name for name, _ in store.asked] == ["go_on", "go_on", "finish", "drop", "drop", "drop"]


def test_who_keeps_jobs_longer_spares_what_is_under_way_once(caplog: pytest.LogCaptureFixture) -> None:
    """At the start, and when a reload has changed it; not by a reload that has not, nor where nothing was ever configured."""
    caplog.set_level(logging.INFO, "farm")
    store = FakePrunes()
    store.states, store.spared = ["copying"], ["busy", "none", "busy", "spared"]
    pruner = Pruner(store=store, retention=Retention(7 * DAY_S))
    run(pruner, 5)
    assert [name for name, _ in store.asked][:3] == ["spare", "spare", "go_on"]
    pruner.adopt(Retention(7 * DAY_S))
    run(pruner, 5)
    assert [asked for asked in store.asked if asked[0] == "spare"] == [("spare", 7 * DAY_S)] * 2
    pruner.adopt(KEEP_ALL)
    run(pruner, 5)
    assert [asked for asked in store.asked if asked[0] == "spare"] == [("spare", 7 * DAY_S)] * 2 + [("spare", 0.0)] * 2
    assert [record.__dict__["event"] for record in caplog.records] == ["jobs.spared"]
    store.states = ["copying"]
    run(pruner, 5)
    run(Pruner(store=store, retention=KEEP_ALL), 5)
    assert [name for name, _ in store.asked].count("spare") == 4


def test_where_somebody_is_always_at_work_the_tables_are_tried_for_more_and_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    store = FakePrunes()
    store.states, store.finishes = ["copied"], ["locked"] * 40 + ["pruned"]
    run(Pruner(store=store, retention=KEEP_ALL), 2 * 40 * LOCK_AGAIN_S_MAX)
    waits = [wait for name, wait in store.asked if name == "finish"]
    assert waits == sorted(waits)
    assert (len(waits), waits[-1]) == (41, LOCK_MS_MAX)
    told = "old jobs are not removed while report (backend 77) reads or writes jobs, for 14m by now"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [told]


def test_what_fails_is_said_once_and_steps_get_smaller(caplog: pytest.LogCaptureFixture) -> None:
    store = FakePrunes()
    pruner = Pruner(store=store, retention=Retention(DAY_S))
    store.error = StoreError("must be owner of table job")
    run(pruner, 3600)
    assert [record.message for record in caplog.records] == ["old jobs are not removed: must be owner of table job"]
    store.error = StoreUnavailable("away")
    for minute in range(1, 10):
        with pytest.raises(StoreUnavailable):
            pruner.step(10_000 + minute * LOOK_EVERY_S)
    store.error, store.states = None, ["copying"]
    pruner.step(1e6)
    assert store.asked[-1] == ("go_on", STEP_JOBS_MIN)
