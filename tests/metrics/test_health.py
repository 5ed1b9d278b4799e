"""When a farm is said to stand still, and when it only waits or works for long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm.metrics.health import STILL_S, TURN_S, Facts, Health, LaneFacts, mendable, why_not_ready

IDLE = LaneFacts(name="fast", held=False, serving=2, free=2, buffered=0, alone=0, started=7, turns=3, knows_work=False)
WELL = Facts(now=1000.0, turned_at=1000.0, lanes=[IDLE])
LATER = 1000.0 + STILL_S + 1.0


def at(now: float, facts: Facts = WELL, **changes: Any) -> Facts:
    """Return facts of another moment, in which the main loop turned."""
    return replace(facts, now=now, **({"turned_at": now} | changes))


def lane(**changes: Any) -> list[LaneFacts]:
    return [replace(IDLE, **changes)]


def twice(first: dict[str, Any], then: dict[str, Any] | None = None) -> list[str]:
    """Look, and look again when long enough has passed; nothing is wrong the first time."""
    health = Health()
    assert health.look(at(1000.0, **first)) == []
    return health.look(at(LATER, **(first if then is None else then)))


def test_a_farm_with_nothing_to_do_is_well() -> None:
    assert twice({}) == []


def test_a_main_loop_that_does_not_turn_is_told_of_at_once() -> None:
    assert Health().look(at(1000.0, turned_at=1000.0 - TURN_S - 1)) == ["the main loop has not turned for 16 s"]


def test_a_thread_that_hangs_in_a_step_is_told_of() -> None:
    assert Health().look(at(1000.0, steps={"claims": 10.0, "upkeep": 130.0})) == ["the thread for upkeep has been at one step for 130 s"]


def test_outcomes_that_nobody_commits_are_told_of() -> None:
    assert twice({"backlog": 5, "settled": 9}) == ["5 outcomes wait, and none was committed for 61 s"]
    assert twice({"backlog": 5, "settled": 9}, {"backlog": 5, "settled": 10}) == []
    assert twice({"backlog": 0, "settled": 9}, {"backlog": 5, "settled": 9}) == []


def test_commits_that_fail_while_the_database_answers_are_told_of() -> None:
    (sentence,) = Health().look(at(1000.0, failing_since=930.0, backlog=5))
    assert sentence.startswith("commits have failed for 70 s, though the database answers")


def test_while_the_database_is_away_nothing_is_expected_nor_right_afterwards() -> None:
    stuck: dict[str, Any] = {"backlog": 5, "failing_since": 900.0, "lanes": lane(buffered=3)}
    health = Health()
    assert health.look(at(1000.0, **stuck, away_since=900.0)) == []
    assert health.look(at(LATER, **stuck, away_since=900.0)) == []
    back = stuck | {"failing_since": None}
    assert health.look(at(LATER + 1, **back)) == []
    assert len(health.look(at(LATER + 2 + STILL_S, **back))) == 2


def test_a_lane_that_could_start_jobs_and_starts_none_is_told_of() -> None:
    assert twice({"lanes": lane(buffered=3)}) == ["lane fast holds 3 jobs and has 2 free slots, and has started none for 61 s"]
    assert twice({"lanes": lane(buffered=3)}, {"lanes": lane(buffered=3, started=8)}) == []


def test_jobs_that_are_to_run_alone_wait_for_the_one_before_them() -> None:
    """That may run for hours, while other subworkers have free slots; and a restart would end just that one. More may be held than are
    claimed ahead, so it need not claim either."""
    assert twice({"lanes": lane(buffered=3, alone=3, knows_work=True)}) == []
    (sentence,) = twice({"lanes": lane(buffered=3, alone=2)})
    assert sentence.startswith("lane fast holds 1 jobs and has 2 free slots")


@pytest.mark.parametrize("why", [{"held": True}, {"free": 0}, {"serving": 0}])
def test_a_lane_that_is_held_or_full_or_has_nobody_is_not_expected_to_start_any(why: dict[str, Any]) -> None:
    """Jobs that run for hours fill their slots: that is work."""
    assert twice({"lanes": lane(buffered=3, knows_work=True, **why)}) == []


def test_a_lane_that_knows_of_work_and_claims_none_is_told_of() -> None:
    sentence = "lane fast knows of jobs and has 2 free slots, and has claimed nothing for 61 s"
    assert twice({"lanes": lane(knows_work=True)}) == [sentence]
    assert twice({"lanes": lane(knows_work=True)}, {"lanes": lane(knows_work=True, turns=4)}) == []


def test_a_farm_that_drains_starts_nothing_and_is_well() -> None:
    assert twice({"lanes": lane(buffered=3, knows_work=True), "draining": True}) == []


def mended(first: dict[str, Any], then: dict[str, Any] | None = None) -> list[str]:
    """Look twice as `twice` does, at what a new start could mend."""
    health = Health()
    assert health.look(mendable(at(1000.0, **first))) == []
    return health.look(mendable(at(LATER, **(first if then is None else then))))


def test_a_new_start_mends_a_writer_or_a_subworker_that_hangs() -> None:
    assert mended({"backlog": 5, "settled": 9}) == ["5 outcomes wait, and none was committed for 61 s"]
    assert mended({"lanes": lane(buffered=3)}) == ["lane fast holds 3 jobs and has 2 free slots, and has started none for 61 s"]
    assert mended({"lanes": lane(knows_work=True)}) != []
    assert mended({"steps": {"claims": 0.0}}, {"steps": {"claims": 130.0}}) != []


def test_a_new_start_does_not_mend_a_database_that_refuses_commits() -> None:
    """Its disk is full, or somebody holds a lock: the next farm would be refused as well, and what runs would have been ended for it.
    Nor is anything expected of lanes then."""
    first: dict[str, Any] = {"failing_since": 900.0, "backlog": 5, "failures": 7, "lanes": lane(buffered=3, knows_work=True)}
    assert mended(first, first | {"failures": 70}) == []


def test_a_writer_that_hangs_after_a_commit_that_failed_is_told_of() -> None:
    assert mended({"failing_since": 900.0, "backlog": 5, "failures": 7}) == ["5 outcomes wait, and none was committed for 61 s"]


def test_a_new_start_does_not_mend_claims_that_are_refused() -> None:
    assert mended({"lanes": lane(knows_work=True), "claims_fail": True}) == []
    assert mended({"lanes": lane(buffered=3), "claims_fail": True}) != []


def test_a_farm_that_drains_leaves_by_itself() -> None:
    assert mended({"backlog": 5, "draining": True, "lanes": lane(buffered=3), "steps": {"claims": 999.0}}) == []


def test_a_farm_is_ready_once_its_lanes_serve() -> None:
    assert why_not_ready(WELL) == []
    assert why_not_ready(at(1000.0, served=False)) == ["the farm is starting: no lane has been ready yet"]
    assert why_not_ready(at(1000.0, draining=True)) == ["the farm is draining"]
    assert why_not_ready(at(1000.0, lanes=lane(serving=0))) == ["lane fast has no subworker that serves"]
    assert why_not_ready(at(1000.0, lanes=lane(serving=0, held=True))) == []
    assert why_not_ready(at(1000.0, away_since=990.0)) == ["the database has been away for 10 s"]
