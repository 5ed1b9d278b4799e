"""Who rests is looked at seldom: what is said of a lane stays true, its jobs go where they went, and nothing is missed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.config.model import Recycle
from farm.shm.generation import CROWDED_WORD
from farm.supervisor.crew import recycling
from farm.supervisor.crew.posts import LanePosts
from farm.supervisor.crew.recycling import GROWTH_LOOK_S, LOOK_S, Turn
from farm.supervisor.crew.rounds import ROUND_S, Rounds
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation, Phase
from tests.unit.played import Actor, Stage, handed_to, lane_config, staged

LENGTHS_S = st.lists(st.integers(1, 50).map(lambda ms: ms / 1000), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LENGTHS_S, st.integers(0, 200)), min_size=1, max_size=5), st.sampled_from([1, 3]))
def test_what_a_lane_says_of_all_is_as_if_all_had_been_asked(bursts: list[tuple[list[float], int]], slots: int) -> None:
    """After each turn, whatever comes and ends; and who has nothing left comes to rest."""
    with staged(lane_config(subworkers=5, slots=slots)) as stage:
        for lengths_s, gap_ms in bursts:
            until = stage.now + gap_ms / 1000
            stage.arrive(lengths_s)
            while stage.turn(until):
                _check(stage.lane)
            stage.now = until
        while stage.turn():
            _check(stage.lane)
        assert stage.lane.astir == ()
        assert stage.lane.serving


def _check(lane: Lane) -> None:
    everybody = lane.generations
    assert lane.started == sum(one.started for one in everybody)
    assert lane.spare == sum(one.spare for one in everybody)
    assert lane.buffered == lane.waiting + sum(one.unstarted for one in everybody)
    assert {one for one in everybody if not one.at_rest} == set(lane.astir)
    at_rest = [one for one in everybody if one.at_rest]
    assert lane.slots_at_rest == sum(one.still for one in at_rest)
    assert not any(one.handed or one.occupied or one.unsettled or any(one.ring_fills()) for one in at_rest)


@pytest.mark.parametrize("jobs", [1, 3, 6, 20])
def test_those_at_rest_are_given_one_each_before_anybody_gets_more(jobs: int) -> None:
    with staged(lane_config(subworkers=6, slots=3)) as stage:
        _rest_all(stage)
        stage.arrive([60.0] * jobs)
        stage.lane.dispatch(stage.now)
        shares = sorted(len(handed_to(actor)) for actor in stage.actors)
        assert sum(shares) == min(jobs, 18)
        assert shares[-1] - shares[0] <= 1


def test_who_worked_last_works_next() -> None:
    """What it needs is in the processor's caches yet, and of many subworkers with little to do most sleep through."""
    with staged(lane_config(subworkers=4)) as stage:
        _rest_all(stage)
        for _ in range(5):
            stage.arrive([0.001])
            while stage.turn():
                pass
        assert sorted(len(actor.started) for actor in stage.actors) == [0, 0, 0, 5]


def test_jobs_that_are_to_run_alone_are_known_when_one_comes_to_rest() -> None:
    """Their ids stand where only those that are astir are asked for them, when the jobs come back."""
    with staged(lane_config(slots=3)) as stage:
        words = stage.actors[0].generation.file.words
        words[CROWDED_WORD + 1], words[CROWDED_WORD] = 0, 1
        _rest_all(stage)
        stage.arrive([60.0, 60.0])
        assert [len(stage.lane.loners), len(stage.lane.held)] == [1, 1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged(lane_config(subworkers=2)) as made:
        yield made


def test_who_should_have_moved_is_woken_once_more(stage: Stage) -> None:
    """Who was handed something and starts nothing, or does not answer a recall; not who runs a job, and nobody twice in a second."""
    idle, busy = stage.actors
    rounds = Rounds(_crew(stage))
    for actor in stage.actors:
        actor.generation.give([(0, 1, 0, 0, 0, 0, 0, 0, b"m:f", 0, b"[]")] * 2)
    busy.work(stage.now, [60.0])
    assert [_wakes(actor) for actor in (idle, busy)] == [0, 0], "their consumers did not sleep"
    rounds.step(stage.now)
    assert [_wakes(actor) for actor in (idle, busy)] == [1, 0]
    rounds.step(stage.now + ROUND_S / 2)
    assert _wakes(idle) == 0
    idle.generation.recall()
    assert _wakes(idle) == 1
    rounds.step(stage.now + ROUND_S)
    assert _wakes(idle) == 1
    idle.work(stage.now, [60.0])
    rounds.step(stage.now + 2 * ROUND_S)
    assert _wakes(idle) == 0, "it has answered"


def test_a_broken_ring_is_found_at_once_where_something_is_handed_out_and_within_a_second_elsewhere(stage: Stage) -> None:
    idle, busy = stage.actors
    _rest_all(stage)
    rounds = Rounds(_crew(stage))
    rounds.step(stage.now)
    busy.generation.give([(0, 1, 0, 0, 0, 0, 0, 0, b"m:f", 0, b"[]")])
    for actor in stage.actors:
        actor.generation.file.broken = 1
    rounds.step(stage.now + LOOK_S)
    assert [actor.generation.phase for actor in (idle, busy)] == [Phase.SERVING, Phase.DOOMED]
    rounds.step(stage.now + ROUND_S)
    assert idle.generation.phase is Phase.DOOMED
    assert not idle.generation.at_rest


class Replacing:
    """The turn of a lane whose subworkers are played, and a spare that is there when the test says so."""

    def __init__(self, stage: Stage, recycle: Recycle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heaps = {actor.generation: 0 for actor in stage.actors}
        stage.lane.config = stage.lane.config.__class__(**{**_fields(stage.lane.config), "recycle": recycle})
        self.posts = LanePosts(stage.lane, count())
        for index, (post, actor) in enumerate(zip(self.posts.posts, stage.actors, strict=True)):
            actor.generation.pid = index + 1
            actor.generation.born_at = stage.now
            post.fill(actor.generation)
        pids = {actor.generation.pid: actor.generation for actor in stage.actors}
        monkeypatch.setattr(recycling, "private_bytes", lambda pid: self.heaps[pids[pid]])
        crew: Any = SimpleNamespace(seat_spare=lambda *_: False)
        self.turn = Turn(crew, self.posts)
        _rest_all(stage, self.turn)

    def have_spare(self) -> None:
        spare: Any = SimpleNamespace(phase=Phase.BORN, ready=True)
        self.posts.spare.generation = spare


def test_who_grew_with_its_last_job_is_found_though_it_rests(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And an idle farm is woken for that once, not for ever."""
    replacing = Replacing(stage, Recycle(rss_growth_bytes=1000), monkeypatch)
    assert replacing.turn.step(stage.now) == float("inf")
    stage.arrive([0.01])
    while stage.turn():
        replacing.turn.step(stage.now)
        if worked := next((actor.generation for actor in stage.actors if actor.started), None):
            replacing.heaps[worked] = 5000
    assert worked is not None
    assert worked.at_rest
    replacing.have_spare()
    now = stage.now
    while not worked.leaving:
        wait_s = replacing.turn.step(now)
        assert wait_s <= GROWTH_LOOK_S
        now += wait_s
    assert not any(actor.generation.leaving for actor in stage.actors if actor.generation is not worked)


def test_who_is_due_after_its_last_job_goes_when_there_is_a_spare(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    replacing = Replacing(stage, Recycle(max_jobs=3), monkeypatch)
    stage.arrive([0.001] * 3)
    while stage.turn():
        replacing.turn.step(stage.now)
    due = [actor.generation for actor in stage.actors if len(actor.started) == 3]
    while not due:
        stage.arrive([0.001])
        while stage.turn():
            replacing.turn.step(stage.now)
        due = [actor.generation for actor in stage.actors if len(actor.started) == 3]
    now = stage.now + 1.0
    wait_s = replacing.turn.step(now)
    while wait_s < float("inf"):
        now += wait_s
        wait_s = replacing.turn.step(now)
    assert not due[0].leaving, "nobody could come after it"
    replacing.have_spare()
    replacing.turn.step(now + LOOK_S)
    assert due[0].leaving


def test_an_age_is_waited_for_to_the_moment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those at rest too, the oldest first; where no spare can be had there is nothing to be awake for."""
    replacing = Replacing(stage, Recycle(max_age_s=100.0), monkeypatch)
    replacing.have_spare()
    wait_s = replacing.turn.step(stage.now)
    assert 90 <= wait_s <= 100
    replacing.turn.step(stage.now + wait_s - 0.001)
    assert not any(actor.generation.leaving for actor in stage.actors)
    replacing.turn.step(stage.now + wait_s)
    assert sum(actor.generation.leaving for actor in stage.actors) == 1


def _crew(stage: Stage) -> Any:
    """What a crew says of its generations."""

    class Crew:
        generations = stage.lane.generations

        @property
        def astir(self) -> tuple[Generation, ...]:
            return stage.lane.astir

    return Crew()


def _rest_all(stage: Stage, turn: Turn | None = None) -> None:
    for actor in stage.actors:
        actor.work(stage.now, [])
    if turn is not None:
        turn.step(stage.now)
    for generation in stage.lane.astir:
        assert generation.may_rest
        stage.lane.let_rest(generation)


def _wakes(actor: Actor) -> int:
    """Return whether it was woken since this was asked last."""
    try:
        return int(os.eventfd_read(actor.generation.wake_fd) > 0)
    except BlockingIOError:
        return 0


def _fields(config: Any) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
