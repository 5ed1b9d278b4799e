"""The judge of the torture finds what is wrong in a history, and nothing in a good one."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from farm.failpoints import parse_failpoints
from tests.torture.checks import History, Line, Result, attempts_without_start, judge, next_starts, runs_again
from tests.torture.plan import A_MINUTE, Blow, choose_failpoint, make_plan
from tests.torture.recovery import Taken
from tests.torture.workload import FAILED, KINDS, SUCCEEDED, Filed


def history() -> History:
    """Two jobs that succeeded, the second after a crash; one that failed, as it should; one whose enqueue had no answer."""
    results = [
        Result(1, SUCCEEDED, 1, 100, 0, 5.0),
        Result(2, SUCCEEDED, 2, 101, 1, 6.0),
        Result(3, FAILED, 2, 102, None, 7.0),
        Result(9, SUCCEEDED, 1, 103, 7, 7.0),
    ]
    lines = [Line(0, 10, 1, 1.0), Line(1, 11, 1, 2.0), Line(1, 12, 1, 3.5), Line(2, 10, 1, 4.0), Line(2, 10, 1, 5.0), Line(7, 10, 1, 6.0)]
    filed = [Filed(1, 0, "quick"), Filed(2, 1, "short"), Filed(3, 2, "fail")]
    return History(filed, {1, 2, 3, 9}, results, {2: ["crashed"], 3: ["failed", "failed"]}, lines, {1: results[0]})


def test_a_good_history() -> None:
    good = history()
    assert judge(good, KINDS) == []
    assert runs_again(good) == 1
    assert attempts_without_start(good) == 0
    assert attempts_without_start(good._replace(lines=good.lines[1:])) == 1
    assert next_starts([(3.0, 11), (9.0, 12)], good) == [Taken(3.0, 3.5)]


FORGERIES: dict[str, Callable[[History], History]] = {
    "has no result: job 1": lambda h: h._replace(results=h.results[1:], seen={}),
    "has several results: job 1": lambda h: h._replace(results=[h.results[0], *h.results]),
    "was acknowledged and is gone: job 4": lambda h: h._replace(filed=[*h.filed, Filed(4, 3, "quick")]),
    "has no result: job 9": lambda h: h._replace(results=h.results[:3]),
    "ended with status 1, which fail cannot: job 3": lambda h: h._replace(
        results=[*h.results[:2], h.results[2]._replace(status=1), *h.results[3:]]
    ),
    "used more attempts than it had: job 3": lambda h: h._replace(
        results=[*h.results[:2], h.results[2]._replace(attempt=3), *h.results[3:]]
    ),
    "has more outcomes than starts: job 1": lambda h: h._replace(lines=h.lines[1:]),
    "has the result of another: job 2": lambda h: h._replace(results=[h.results[0], h.results[1]._replace(value=0), *h.results[2:]]),
    "has more attempts in its history than it used: job 2": lambda h: h._replace(failures={**h.failures, 2: ["crashed", "lost"]}),
    "had another result before: job 1": lambda h: h._replace(seen={1: h.results[0]._replace(lease_id=99)}),
    "was started though it is not allowed: job 3": lambda h: h._replace(filed=[*h.filed[:2], Filed(3, 2, "forbidden")]),
}


@pytest.mark.parametrize("problem", FORGERIES)
def test_a_forged_history_is_found_out(problem: str) -> None:
    assert problem in judge(FORGERIES[problem](history()), KINDS)


def test_a_plan_follows_from_its_seed() -> None:
    """And holds every blow about as often as it should."""
    plan = make_plan(1, 600, 2)
    assert plan == make_plan(1, 600, 2) != make_plan(2, 600, 2)
    assert {strike.blow for strike in plan} == set(Blow) == set(A_MINUTE)
    assert abs(sum(strike.blow is Blow.KILL_SUBWORKER for strike in plan) - 10 * A_MINUTE[Blow.KILL_SUBWORKER]) < 150


def test_failpoints_that_are_chosen_can_be_understood() -> None:
    assert {len(parse_failpoints(choose_failpoint(random.Random(seed)))) for seed in range(200)} == {1}
