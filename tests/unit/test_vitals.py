"""The facts from which it is judged whether a farm makes progress, where a nearer look is needed than at a counter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from farm.config.model import Lane as LaneConfig
from farm.shm.counters import NO_COMMITS
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.vitals import Vitals


@pytest.fixture
def lane() -> Lane:
    config = LaneConfig(name="fast", queues=("mail",), subworkers=2, concurrency=1, memory_bytes=1 << 30)
    return Lane(config, claim_max=100, witness=Witness(hurry=lambda: None, wake=lambda: None))


def vitals_of(lane: Lane, **changes: Any) -> Vitals:
    farm = {
        "supervisor": SimpleNamespace(turned_at=1.0, served=True, draining=False, settled=7),
        "crew": SimpleNamespace(astir=(), lanes=[lane]),
        "desk": SimpleNamespace(uncommitted=0, settled=0),
        "figures": SimpleNamespace(beats=SimpleNamespace(away_since=None)),
        "mainstays": SimpleNamespace(commits=lambda: NO_COMMITS),
    } | changes
    return Vitals(**cast(Any, farm), steps=dict, knows_work=lambda _lane: False, claims_fail=lambda: False)


def test_jobs_that_are_to_run_alone_are_told_apart(lane: Lane) -> None:
    lane.loners.know([1])
    lane.claimed = 2
    lane.arrive(2, [(0, 1, number, number, 0, 0, 0, 0, b"chores:who", 0, b"[]") for number in (1, 2)])
    (facts,) = vitals_of(lane).facts().lanes
    assert (facts.buffered, facts.alone) == (2, 1)


def test_what_the_supervisor_has_to_commit_itself_is_progress_too(lane: Lane) -> None:
    """A host may be sent nothing but jobs that it refuses."""
    assert vitals_of(lane, desk=SimpleNamespace(uncommitted=3, settled=5)).facts().settled == 12
