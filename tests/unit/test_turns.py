"""Whose turn it is to be claimed for, and how many jobs at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from farm.supervisor.claims.claimer import Claimer, Claims
from farm.supervisor.claims.turns import CLAIM_JOBS_MIN, CLAIM_S, FEW_JOBS, Turns
from farm.supervisor.lanes.lane import Lane


def lane(name: str, demand: int, jobs_ahead: int = 2, queues: tuple[str, ...] = ("mail",)) -> Lane:
    config = SimpleNamespace(queues=queues)
    return cast(Lane, SimpleNamespace(name=name, config=config, demand=lambda _now: demand, held_by=frozenset(), jobs_ahead=jobs_ahead))


@given(st.lists(st.integers(0, 3 * FEW_JOBS), max_size=8))
def test_who_wants_few_comes_first(demands: list[int]) -> None:
    """Then the others; nobody is left out but who wants nothing."""
    turns = Turns(claim_max=4000).order([lane(str(n), demand) for n, demand in enumerate(demands)], 0.0)
    assert sorted(turn.demand for turn in turns) == sorted(demand for demand in demands if demand)
    assert [turn.is_large for turn in turns] == sorted(turn.is_large for turn in turns)


def test_who_takes_anything_leaves_others_what_they_wait_for() -> None:
    """However long ago it was served. Among those that want many it has its turn like everybody."""
    few, many = 2, FEW_JOBS + 1
    turns = Turns(claim_max=4000)
    named = lane("named", few), lane("named too", many)
    anything = lane("anything", few, queues=("bulk", "*")), lane("anything too", many, queues=("*",))
    for claim, one in enumerate(named, 1):
        turns.note(one, claim, few, 0.001)
    order = [turn.lane.name for turn in turns.order([*anything, *named], 0.0)]
    assert order == ["named", "anything", "anything too", "named too"]


def test_those_that_want_many_take_turns() -> None:
    """However much each of them still wants."""
    lanes = [lane("a", 5000), lane("b", 1000), lane("c", 3000)]
    turns = Turns(claim_max=4000)
    served = []
    for claim in range(1, 10):
        first = turns.order(lanes, 0.0)[0].lane
        turns.note(first, claim, 1000, 0.005)
        served.append(first.name)
    assert served == [*"abc"] * 3


@given(st.floats(1e-7, 1e-2))
def test_a_claim_is_as_large_as_its_time_allows(job_s: float) -> None:
    """Once it is known what jobs take, unless all other lanes have many jobs themselves, or the database is very slow."""
    turns = Turns(claim_max=4000)
    bulk, fast, full = lane("bulk", 4000), lane("fast", 1), lane("full", 4000, FEW_JOBS + 1)
    for claim in range(200):
        jobs = turns.jobs_max(bulk, [fast, bulk, full])
        assert CLAIM_JOBS_MIN <= jobs <= 4000
        turns.note(lane("a", 1), claim, jobs, jobs * job_s)
    jobs = turns.jobs_max(bulk, [fast, bulk, full])
    assert jobs in (CLAIM_JOBS_MIN, 4000) or 0.9 * CLAIM_S < jobs * job_s < 1.1 * CLAIM_S
    assert turns.jobs_max(bulk, [bulk]) == turns.jobs_max(bulk, [bulk, full]) == 4000
    turns.note(lane("a", 1), 201, FEW_JOBS - 1, 10.0)
    assert turns.jobs_max(bulk, [fast, bulk]) == jobs


def test_a_new_claim_max_holds_for_the_next_claim() -> None:
    """The claimer hands on what a reload brings."""
    fast, bulk = lane("fast", 1), lane("bulk", 4000)
    claimer = Claimer(
        store=cast(Claims, None),
        lanes=[],
        host_id=1,
        runner_names=[],
        deliver=lambda _arrival: None,
        claim_max=4000,
        poll_s=1.0,
        burst=False,
    )
    claimer.claim_for([])
    claimer.adopt(claim_max=7, poll_s=1.0)
    assert claimer._turns.jobs_max(bulk, [bulk]) == claimer._turns.jobs_max(bulk, [bulk, fast]) == 7
