"""What an operator reads first, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farm.screen.model import JobRun, QueueView, SubworkerView
from farm.screen.troubles import Slots, eaters, horizon_hurts, horizon_notice, notices_of_queues, starved, trouble_of


def runs(*seconds: float, task: str = "reports:slow") -> list[JobRun]:
    return [JobRun(job_id=number, task=task, running_s=running_s) for number, running_s in enumerate(seconds, 1)]


def test_a_slow_task_that_takes_all_slots_is_named() -> None:
    slots = Slots(2, 2, 2, runs(40.0, 12.0))
    assert starved(slots, waiting=1204, median_s=0.01) == "2 of 2 slots taken by reports:slow for up to 40s while 1,204 wait"
    assert starved(slots, waiting=10_001, median_s=None).endswith("while more than 10,000 wait")
    one = starved(Slots(1, 1, 1, runs(3.0, task="")), waiting=1, median_s=None)
    assert one == "its only slot taken by slow jobs for up to 3s while 1 wait"


@pytest.mark.parametrize(
    ("slots", "waiting", "median_s"),
    [
        (Slots(2, 2, 2, runs(40.0, 12.0)), 0, None),
        (Slots(3, 2, 2, runs(40.0, 12.0)), 9, None),
        (Slots(2, 2, 1, runs(40.0, 0.1)), 9, None),
        (Slots(2, 2, 0, runs(40.0, 41.0)), 9, 30.0),
        (Slots(0, 0, 0, []), 9, None),
    ],
    ids=["nobody waits", "a slot is free", "half of it moves", "they always take so long", "no slots"],
)
def test_a_lane_that_does_its_work_has_no_trouble(slots: Slots, waiting: int, median_s: float | None) -> None:
    assert starved(slots, waiting=waiting, median_s=median_s) == ""


def test_what_keeps_a_lane_comes_before_what_slows_it() -> None:
    words = {"missing": "its setup failed", "serving": 1, "full": 2, "starved_by": "all slots taken"}
    assert trouble_of(["paused"], **words) == "paused"  # type: ignore[arg-type]
    assert trouble_of([], **words) == "1 of 2 subworkers: its setup failed"  # type: ignore[arg-type]
    assert trouble_of([], **{**words, "serving": 2}) == "all slots taken"  # type: ignore[arg-type]


def test_a_subworker_near_its_limit_is_told_of_with_its_job() -> None:
    one = SubworkerView(
        name="w1",
        pid=7,
        lane="rest",
        state="busy",
        rss_bytes=260_000_000,
        limit_bytes=320_000_000,
        cpu=0.5,
        jobs=tuple(runs(3.0, task="greedy:eat")),
        ended=0,
        buffered=0,
        restarts=0,
    )
    assert list(eaters([one], {7: 40e6})) == [
        "w1 of lane rest holds 260 MB of at most 320 MB, and grows by 40 MB a second: job 1 (greedy:eat)"
    ]
    assert list(eaters([one], {7: 0.0})) == [], "it may need that much"
    soon = replace(one, rss_bytes=150_000_000)
    assert list(eaters([soon], {7: 40e6})) == [
        "w1 of lane rest holds 150 MB of at most 320 MB, and grows by 40 MB a second: job 1 (greedy:eat)"
    ], "at that rate it has four seconds"
    assert list(eaters([soon], {7: 4e6})) == []
    full = replace(one, rss_bytes=310_000_000, jobs=(*one.jobs, *one.jobs))
    assert list(eaters([full], {})) == ["w1 of lane rest holds 310 MB of at most 320 MB: job 1 (greedy:eat) and 1 more jobs"]


def test_the_horizon_hurts_after_a_while_or_after_many_jobs() -> None:
    assert horizon_hurts(31.0, 0.0, idle=False)
    assert not horizon_hurts(29.0, 100.0, idle=False)
    assert horizon_hurts(4.0, 6_000.0, idle=False)
    assert horizon_hurts(2.0, 0.0, idle=True)
    assert not horizon_hurts(1.0, 60_000.0, idle=True), "a moment is nothing"


def test_the_horizon_in_words() -> None:
    told = horizon_notice("a transaction of psql of ada (backend 7, idle in transaction)", 65.0)
    assert (
        told
        == "a transaction of psql of ada (backend 7, idle in transaction) keeps all that was done in the last 1m 5s from being cleaned up"
    )


def test_queues_in_which_jobs_wait_in_vain_are_named_in_one_sentence() -> None:
    def queue(name: str, ready: int = 3, *, unserved: bool = True) -> QueueView:
        return QueueView(name=name, ready=ready, oldest_s=1.0, unserved=unserved)

    assert list(notices_of_queues([queue("mail", unserved=False), queue("emptied", 0)])) == []
    assert list(notices_of_queues([queue("mail", unserved=False), queue("bills")])) == ["no lane serves the queue bills"]
    assert list(notices_of_queues([queue(name) for name in "abcdefg"])) == ["no lane serves the queues a, b, c, d, e and 2 more"]
