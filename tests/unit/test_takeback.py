"""No job waits behind another while somebody is idle: the supervisor as it is, against subworkers that are played, by a clock of ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.supervisor.crew.burial import judge
from farm.supervisor.lanes.lane import share_out
from farm.supervisor.lanes.takeback import IDLE_S, PAUSE_S, STILL_S, STUCK_S, WORK_S, Balance, Load
from farm.supervisor.processes.generation import FULL
from tests.unit.played import Actor, Stage, handed_to, held, job_of, lane_config, staged

WAIT_S_MAX = STILL_S + WORK_S + PAUSE_S + 0.02
"""How long a job may wait in the ring of a busy subworker while another one has nothing to do: what is allowed for, and a little."""

QUICK = 3000
"""Jobs of a tenth of a millisecond that make the buffers deep."""


LENGTHS_S = st.one_of(st.integers(1, 5), st.integers(1, 100), st.integers(1, 2000)).map(lambda ms: ms / 1000)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_job_waits_long_while_somebody_is_idle(data: st.DataObject) -> None:
    """Whatever the lengths of the jobs, from 1 ms to 2 s in any order and any bursts, and every job is started once."""
    bursts = data.draw(st.lists(st.lists(LENGTHS_S, min_size=1, max_size=40), min_size=1, max_size=4))
    gaps = data.draw(st.lists(st.floats(0, 1), min_size=len(bursts), max_size=len(bursts)))
    quick = data.draw(st.sampled_from([0, 300, QUICK]))
    """Jobs of a tenth of a millisecond ahead of them, which deepen the buffers."""
    with staged(lane_config(subworkers=4, slots=data.draw(st.sampled_from([1, 1, 3])))) as stage:
        stage.arrive([0.0001] * quick)
        for gap, burst in zip(gaps, bursts, strict=True):
            begun = stage.now
            while stage.turn(begun + gap):
                pass
            stage.now = begun + gap
            stage.arrive(burst)
        while stage.turn():
            pass
        started = [job for actor in stage.actors for job in actor.started]
        assert sorted(started) == list(range(len(stage.lengths_s)))
        assert stage.waited_s <= WAIT_S_MAX
        assert [actor.generation.started for actor in stage.actors] == [len(actor.started) for actor in stage.actors]
        assert stage.lane.buffered == 0
        assert all(actor.recalls <= 1 + (stage.now - stage.begun) / PAUSE_S for actor in stage.actors)


def behind_a_long_one(stage: Stage, following: int) -> tuple[Actor, list[int]]:
    """Have a long job and others arrive where the rings are filled far ahead; returns who runs it, and what waits behind it."""
    stage.arrive([0.0001] * QUICK)
    while stage.turn():
        pass
    stage.arrive([60.0] + [0.005] * following)
    stage.turn()
    victim = next(actor for actor in stage.actors if actor.started[-1] == QUICK)
    waiting = [job for job in handed_to(victim) if job > QUICK]
    assert len(waiting) > 5
    return victim, waiting


def test_short_jobs_pass_a_long_one() -> None:
    """What was handed out behind a job that turns out long is run by the other one, as soon as that one is idle."""
    with staged(lane_config(subworkers=2)) as stage:
        victim, _waiting = behind_a_long_one(stage, 100)
        while stage.turn(stage.begun + 30):
            pass
        assert victim.started[-1] == QUICK
        assert sum(len(actor.started) for actor in stage.actors) == len(stage.lengths_s)
        assert stage.waited_s <= WAIT_S_MAX


def test_jobs_behind_a_long_one_are_not_overtaken_for_ever() -> None:
    """Though the others always have work, what waits in a ring that does not move is held again, ahead of the rest."""
    with staged(lane_config(subworkers=2)) as stage:
        victim, waiting = behind_a_long_one(stage, 2000)
        (other,) = [actor for actor in stage.actors if actor is not victim]
        begun = stage.now
        while not victim.generation.recall_active:
            assert other.busy
            assert stage.turn(begun + STUCK_S + 0.1)
        assert [job_of(job) for job in stage.lane.held][: len(waiting)] == waiting
        while stage.turn(begun + 30):
            pass
        assert set(waiting) <= set(other.started)


def test_one_that_dies_while_it_is_recalled() -> None:
    """What was taken from it runs elsewhere, what it ran has crashed, and nothing is done twice."""
    with staged(lane_config(subworkers=2)) as stage:
        victim, waiting = behind_a_long_one(stage, 20)
        while not victim.generation.recall_active:
            assert stage.turn(stage.begun + 30)
        victim.generation.die(9)
        estate = judge(victim.generation)
        assert ([outcome.job_id for outcome in estate.outcomes], estate.back) == ([QUICK], [])
        assert set(waiting) <= {job for actor in stage.actors if actor is not victim for job in [*actor.started, *handed_to(actor)]}


def load(number: int, *, spare: int = 0, waiting: int = 0, waiting_s: float = 0.0, moved_at: float | None = None) -> Load:
    return Load(number, spare, waiting, waiting_s, moved_at)


def test_not_before_both_have_stood_for_a_while() -> None:
    """A slot that has just become free, and a ring that has just moved, are left alone; the next look comes when that is over."""
    balance = Balance()
    now = 1.0
    for _ in range(3):
        moved_at = now
        victims, wait_s = balance.decide([load(0, spare=1), load(1, waiting=3, moved_at=moved_at)], now, held=False)
        assert victims == []
        assert wait_s == pytest.approx(STILL_S)
        now += wait_s + 1e-6
    assert balance.decide([load(0, spare=1), load(1, waiting=3, moved_at=moved_at)], now, held=False)[0] == [1]
    victims, wait_s = balance.decide([load(0, spare=1), load(1, waiting=3, moved_at=moved_at)], now, held=False)
    assert victims == []
    assert wait_s == pytest.approx(PAUSE_S)


def test_a_ring_that_moves_is_left_alone_when_it_is_soon_empty() -> None:
    """A moment's work is not worth a round trip; more than that is."""
    balance = Balance()
    for tick in range(10):
        assert (
            balance.decide([load(0, spare=1), load(1, waiting=9, waiting_s=WORK_S / 2, moved_at=tick / 100)], tick / 100, held=False)[0]
            == []
        )
    assert balance.decide([load(0, spare=1), load(1, waiting=9, waiting_s=WORK_S * 2, moved_at=0.2)], 0.2, held=False)[0] == [1]


def test_a_ring_that_has_stood_still_is_known_at_once() -> None:
    """One whose jobs have run for long helps as soon as a slot has been idle for a moment; one that is about to start is seen first."""
    for moved_at, wait_s in ((0.5, IDLE_S), (None, STILL_S)):
        balance = Balance()
        victims, next_s = balance.decide([load(0, spare=1), load(1, waiting=3, moved_at=moved_at)], 1.0, held=False)
        assert (victims, round(next_s, 6)) == ([], wait_s)
        assert balance.decide([load(0, spare=1), load(1, waiting=3, moved_at=moved_at)], 1.01, held=False)[0] == [1]


def test_no_more_are_recalled_than_it_takes() -> None:
    """The fullest ring first, and as many as there are idle slots."""
    balance = Balance()
    loads = [load(0, spare=2), load(1, waiting=1), load(2, waiting=3), load(3, waiting=2), load(4, spare=2)]
    assert balance.decide(loads, 1.0, held=False)[0] == []
    assert balance.decide(loads, 1.1, held=False)[0] == [2, 3]


def test_nobody_is_idle_while_jobs_are_held() -> None:
    """With held jobs only a ring that has not moved for long is recalled, and not if its subworker is the only one."""
    balance, alone = Balance(), Balance()
    loads = [load(0, spare=1), load(1, waiting=3)]
    for now in (1.0, 1.0 + STUCK_S / 2):
        assert balance.decide(loads, now, held=True)[0] == []
        assert alone.decide(loads[1:], now, held=True)[0] == []
    assert balance.decide(loads, 1.1 + STUCK_S, held=True)[0] == [1]
    assert alone.decide(loads[1:], 1.1 + STUCK_S, held=True)[0] == []


def test_who_is_recalled_has_nothing_to_give_and_takes_nothing() -> None:
    """Until it answers, it is neither idle nor busy, and frames are not given to it."""
    with staged(lane_config(subworkers=2)) as stage:
        generation = stage.actors[0].generation
        generation.give([held(0), held(1)])
        generation.recall()
        assert (generation.spare, generation.waiting, generation.appetite(stage.now)) == (0, 0, FULL)
        assert generation.recall_now() == [held(0), held(1)]
        assert generation.recalled() is None
        stage.actors[0].work(stage.now, [1.0, 1.0])
        assert generation.recalled() == []
        generation.lift_recall()
        assert (generation.spare, generation.waiting, generation.started) == (1, 0, 0)


def test_who_starts_nothing_of_what_it_was_given_stands_still() -> None:
    """A slot that runs nothing is no spare one while a frame waits for it, but whoever asks for progress has to see it."""
    with staged(lane_config(subworkers=1)) as stage:
        generation = stage.actors[0].generation
        assert (generation.spare, generation.still) == (1, 1)
        generation.give([held(0), held(1)])
        assert (generation.spare, generation.still) == (0, 1)
        generation.recall()
        assert generation.still == 0


@given(st.integers(0, 100), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8))
def test_shares(jobs: int, appetites: list[tuple[int, int]]) -> None:
    """Nobody gets more than it asked for; idle slots come before buffers, and no buffer is filled while another one gets nothing."""
    shares = share_out(jobs, appetites)
    spares = sum(spare for spare, _behind in appetites)
    behind = [share - spare for share, (spare, wanted) in zip(shares, appetites, strict=True) if wanted]
    assert all(0 <= share <= sum(appetite) for share, appetite in zip(shares, appetites, strict=True))
    assert sum(shares) <= jobs
    assert sum(min(share, spare) for share, (spare, _behind) in zip(shares, appetites, strict=True)) == min(jobs, spares)
    if jobs >= spares + len(behind):
        assert min(behind, default=1) >= 1
    else:
        assert all(extra <= 0 for extra in behind)
