"""Jobs that one lane has claimed and another one runs, or that go back: against subworkers that are played."""

from __future__ import annotations

from collections import deque

from hypothesis import example, given, settings
from hypothesis import strategies as st

from farm.shm.frames import HeldJob
from farm.supervisor.lanes.handover import SCAN_MAX, take_first
from farm.supervisor.lanes.lane import LEAVING, PAUSED, SHORT_OF_MEMORY
from farm.supervisor.lanes.takeback import PAUSE_S, STILL_S, WORK_S
from tests.unit.played import Stage, handed_to, held, job_of, lane_config, staged

WAIT_S_MAX = 2 * (STILL_S + WORK_S + PAUSE_S) + 0.02
"""How long a job may wait while a lane that may have it has nothing to do: it can come to stand behind a long one twice, and a little."""
LENGTHS_S = st.one_of(st.integers(1, 5), st.integers(1, 100), st.integers(1, 500)).map(lambda ms: ms / 1000)
CHAINS = st.lists(st.sampled_from(["red", "blue", "green"]), unique=True, min_size=1).flatmap(
    lambda chain: st.sampled_from([chain, [*chain, "*"]])
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_job_waits_long_while_a_lane_that_may_have_it_is_idle(data: st.DataObject) -> None:
    """Whatever the chains and the lengths of jobs; each starts once, in a lane that serves its queue, and none goes back."""
    chains = data.draw(st.lists(CHAINS, min_size=2, max_size=4))
    configs = [
        lane_config(f"lane{n}", chain, subworkers=data.draw(st.integers(1, 2)), slots=data.draw(st.sampled_from([1, 1, 3])))
        for n, chain in enumerate(chains)
    ]
    quick = data.draw(st.sampled_from([0, 100]))
    with staged(*configs) as stage:
        stage.arrive([0.0001] * quick, queue=chains[0][0])
        for _ in range(data.draw(st.integers(1, 4))):
            lane = data.draw(st.sampled_from(stage.lanes))
            queue = data.draw(st.sampled_from([queue for queue in lane.config.queues if queue != "*"]))
            begun = stage.now
            until = begun + data.draw(st.floats(0, 1))
            while stage.turn(until):
                pass
            stage.now = until
            stage.arrive(data.draw(st.lists(LENGTHS_S, min_size=1, max_size=15)), lane, queue)
        while stage.turn():
            pass
        started = [job for actor in stage.actors for job in actor.started]
        assert sorted(started) == list(range(len(stage.lengths_s)))
        assert stage.given_back == []
        for lane in stage.lanes:
            ran = {stage.queue_of(job) for actor in stage.actors_of(lane) for job in actor.started}
            assert "*" in lane.config.queues or ran <= set(lane.config.queues)
            assert lane.buffered == 0
            assert stage.is_settled(lane)
        assert stage.waited_s <= WAIT_S_MAX
        assert all(actor.recalls <= 1 + (stage.now - stage.begun) / PAUSE_S for actor in stage.actors)


@example([0, 1, 0], 1, {1})
@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 10), st.sets(st.integers(0, 4)))
def test_the_first_ones_that_are_allowed_are_taken(leases: list[int], wanted: int, allowed: set[int]) -> None:
    """In their order, no more than wanted; the others stay in theirs."""
    jobs = deque(held(job, lease) for job, lease in enumerate(leases))
    taken = take_first(jobs, wanted, allowed.__contains__)
    expected = [job for job, lease in enumerate(leases) if lease in allowed][:wanted]
    assert [job_of(job) for job in taken] == expected
    assert [job_of(job) for job in jobs] == [job for job in range(len(leases)) if job not in expected]


def test_a_long_row_of_jobs_for_others_is_not_walked_over() -> None:
    """However many are held, a look at them stays short."""
    jobs = deque([held(job, 1) for job in range(SCAN_MAX)] + [held(SCAN_MAX, 2)])
    assert take_first(jobs, 1, lambda lease: lease == 2) == []
    assert len(jobs) == SCAN_MAX + 1


def test_the_timeout_is_that_of_the_lane_that_runs_it() -> None:
    """Of a job that moves nothing is said but by its lane: so it has the limit of the one it came to, one of its own comes with it."""
    slow, quick = lane_config("slow"), lane_config("quick")
    with staged(slow, quick) as stage:
        for lane, limit_ms in zip(stage.lanes, (0, 2000), strict=True):
            for actor in stage.actors_of(lane):
                actor.generation.timeout_ms = limit_ms
        stage.arrive([1.0, 1.0])
        limited: HeldJob = (0, 1, 2, 0, 700, 0, 0, 0, b"chores:who", 0, b"[]")
        stage.lengths_s.append(1.0)
        stage.turn()
        assert [actor.started for actor in stage.actors] == [[0], [1]]
        assert [actor.timeouts for actor in stage.actors] == [[0], [2000]]
        stage.queues.append("default")
        stage.lane.claimed += 1
        stage.lane.arrive(1, [limited])
        stage.wake()
        while stage.turn():
            pass
        assert sorted(ms for actor in stage.actors for ms in actor.timeouts) == [0, 700, 2000]


def busy(stage: Stage, lane: int, queue: str, waiting: int) -> list[int]:
    """Have a lane run a long job, with others in its ring and some held; returns those that wait."""
    stage.arrive([0.0001] * 500, stage.lanes[lane], queue)
    while stage.turn():
        pass
    first = len(stage.lengths_s)
    stage.arrive([60.0] + [0.005] * waiting, stage.lanes[lane], queue)
    while stage.turn(stage.now + 0.001):
        pass
    assert any(len(handed_to(actor)) > 1 for actor in stage.actors)
    return list(range(first + 1, first + 1 + waiting))


def test_a_lane_that_stands_back_gives_up_what_it_has_not_started() -> None:
    """To a lane with a free slot as much as that takes at once, the rest goes back; the running job goes on, nothing starts any more."""
    for reason in (PAUSED, LEAVING):
        with staged(lane_config("red", ["red"]), lane_config("any", ["blue", "*"]), lane_config("green", ["green"])) as stage:
            stage.lanes[1].hold(SHORT_OF_MEMORY)
            waiting = busy(stage, 0, "red", 20)
            stage.lanes[1].let_go(SHORT_OF_MEMORY)
            stage.lanes[0].hold(reason)
            stage.wake()
            stage.turn(stage.now + 1)
            begun = stage.now
            while stage.turn(begun + 1):
                pass
            red, others, green = stage.actors
            assert red.started[-1] == waiting[0] - 1
            taken = [job for job in others.started if job >= waiting[0]]
            assert taken
            assert stage.given_back
            assert sorted(taken + stage.given_back) == waiting
            assert green.started == []
            assert not stage.is_settled(stage.lanes[0])
            stage.lanes[0].let_go(reason)
            stage.wake()
            while stage.turn(begun + 100):
                pass
            stage.arrive([0.001], stage.lanes[0], "red")
            while stage.turn():
                pass
            assert all(map(stage.is_settled, stage.lanes))


def test_a_host_short_of_memory_lets_its_lanes_run_what_they_have() -> None:
    """Nothing goes back for it."""
    with staged(lane_config()) as stage:
        stage.arrive([0.01] * 5)
        stage.lane.hold(SHORT_OF_MEMORY)
        while stage.turn():
            pass
        assert (stage.actors[0].started, stage.given_back) == ([0, 1, 2, 3, 4], [])


def test_what_is_of_a_paused_queue_goes_back() -> None:
    """Out of rings and lanes, also where it was claimed together with others; what is not of it stays."""
    with staged(lane_config(queues=["red", "blue"])) as stage:
        waiting = busy(stage, 0, "red", 10)
        stage.arrive([0.002] * 3, queue="blue")
        stage.handover.pause_queues(frozenset({"red"}))
        stage.wake()
        until = stage.now + 70
        while stage.turn(until):
            pass
        assert sorted(stage.given_back) == waiting
        assert stage.actors[0].started[-3:] == [waiting[-1] + 1, waiting[-1] + 2, waiting[-1] + 3]
        stage.handover.pause_queues(frozenset())
        stage.arrive([0.001], queue="red")
        while stage.turn():
            pass
        assert stage.is_settled(stage.lane)


def test_those_that_run_alone_are_known_to_whoever_may_get_them() -> None:
    """A lane that leaves tells the others which of the jobs that it gives back are to run alone."""
    with staged(lane_config("red", ["red"]), lane_config("any")) as stage:
        stage.lanes[0].loners.know([0])
        stage.lanes[0].hold(LEAVING)
        stage.arrive([1.0], stage.lanes[0], "red")
        stage.turn()
        assert stage.given_back == [0]
        stage.lanes[1].arrive(0, [held(0)])
        assert [job_of(job) for job in stage.lanes[1].loners.waiting] == [0]
