"""Jobs that were lost before: none starts before a heartbeat has named it, and none is named that has to wait for a slot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.config.model import Lane as LaneConfig
from farm.shm.frames import HeldJob
from farm.shm.generation import READY, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.start import StartGate
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.processes.generation import Generation, Phase


def job(job_id: int, lost: int = 0) -> HeldJob:
    return (0, (1 << 32) + 1, job_id, job_id, 0, 0, lost, 0, b"chores:who", 0, b"[]")


class Stage:
    """A lane with two subworkers of one slot, and a heartbeat that is played."""

    def __init__(self, directory: Path) -> None:
        self.hurried = self.woken = 0
        self.witness = Witness(hurry=self._hurry, wake=self._wake)
        config = LaneConfig(name="default", queues=("*",), subworkers=2, concurrency=1, memory_bytes=1 << 28)
        self.lane = Lane(config, claim_max=100, witness=self.witness)
        self._files: list[GenerationFile] = []
        self._gates: list[StartGate] = []
        self._rings: list[RingConsumer] = []
        for number in (1, 2):
            file = GenerationFile.create(directory / f"w{number}.1", slots=1, host_id=1)
            wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            generation = Generation(name=f"w{number}.1", number=number, lane="default", host_id=1, file=file, wake_fd=wake_fd)
            generation.phase = Phase.SERVING
            theirs = GenerationFile.open(directory / f"w{number}.1")
            theirs.ready = READY
            self._files.append(theirs)
            self._rings.append(RingConsumer(theirs.job_ring))
            self._gates.append(StartGate(theirs, self._rings[-1]))
            self.lane.add(generation)

    def _hurry(self) -> None:
        self.hurried += 1

    def _wake(self) -> None:
        self.woken += 1

    def arrive(self, *jobs: HeldJob) -> None:
        self.lane.claimed += len(jobs)
        self.lane.arrive(len(jobs), list(jobs), some_lost=any(one[6] for one in jobs))
        self.lane.dispatch(100.0)

    def beat(self) -> tuple[int, ...]:
        """Have a heartbeat get through; returns whom it named."""
        named = self.witness.asked
        self.witness.note(named)
        self.lane.dispatch(100.0)
        return named.job_ids

    @property
    def handed(self) -> list[list[int]]:
        return [[held[2] for held in generation.handed.values()] for generation in self.lane.generations]

    def run(self, number: int, *, ends: bool = True) -> None:
        """Start the next job of a subworker, and end it."""
        generation = self.lane.generations[number]
        seq = generation.file.marked + 1
        assert self._gates[number].start(0, seq, (1 << 32) + 1, seq, generation.handed[seq][2], 0, 0, 1000, 0)
        if ends:
            self._gates[number].finish(0)
            generation.settle([seq])
            self.lane.dispatch(100.0)

    def close(self) -> None:
        for gate, ring, file in zip(self._gates, self._rings, self._files, strict=True):
            gate.close()
            ring.close()
            file.close()
        for generation in self.lane.generations:
            generation.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


def test_none_starts_before_it_was_named(stage: Stage) -> None:
    stage.arrive(job(1, lost=1))
    assert stage.handed == [[], []]
    assert stage.hurried == 1
    assert stage.beat() == (1,)
    assert stage.woken == 1
    assert sorted(map(len, stage.handed)) == [0, 1]
    assert stage.beat() == (1,), "named until it is settled"
    stage.run(0 if stage.handed[0] else 1)
    assert stage.beat() == ()
    assert stage.hurried == 1
    assert not stage.lane.wary.any


def test_no_more_are_named_than_slots_are_free(stage: Stage) -> None:
    """One that is named and waits would be counted as started when its host is lost."""
    stage.arrive(*(job(number, lost=2) for number in range(1, 6)))
    assert stage.lane.buffered == 5
    assert stage.beat() == (1, 2)
    assert sorted(stage.handed) == [[1], [2]]
    stage.run(0, ends=False)
    stage.run(1)
    assert len(stage.witness.asked.job_ids) == 2
    assert 3 in stage.beat()
    assert stage.lane.waiting == 2


def test_others_go_on_beside_them_and_not_in_their_slots(stage: Stage) -> None:
    stage.arrive(job(1), job(2, lost=1), job(3), job(4))
    assert [len(handed) for handed in stage.handed].count(1) == 1, "one slot is kept"
    stage.beat()
    assert sorted(handed[0] for handed in stage.handed) == [1, 2]


def test_one_that_was_taken_back_is_named_anew(stage: Stage) -> None:
    stage.arrive(job(1, lost=1))
    stage.beat()
    generation = next(one for one in stage.lane.generations if one.handed)
    stage.lane.take_back([held for _seq, held in generation.take_all()])
    generation.phase = Phase.DEAD
    stage.lane.dispatch(100.0)
    assert stage.lane.wary.any
    before = stage.handed
    stage.witness.note(stage.witness.asked._replace(number=1))
    stage.lane.dispatch(100.0)
    assert stage.handed == before, "the beat that had named it before is no witness now"
    assert stage.beat() == (1,)
    assert [1] in stage.handed


def test_giving_all_up(stage: Stage) -> None:
    stage.arrive(job(1), job(2), job(3, lost=1), job(4), job(5, lost=1), job(6, lost=3))
    stage.beat()
    handed = sum(map(len, stage.handed))
    assert len(stage.lane.take_all()) == 6 - handed
    assert stage.lane.waiting == 0


def test_one_that_is_taken_out_is_named_no_longer(stage: Stage) -> None:
    stage.arrive(job(1, lost=1), job(2, lost=1), job(3, lost=1))
    assert [one[2] for one in stage.lane.take_out({1, 3, 4})] == [1, 3]
    assert stage.beat() == (2,)
    assert sorted(stage.handed, reverse=True) == [[2], []]
    assert stage.lane.waiting == 0


def test_one_that_is_to_run_alone_gets_a_subworker_to_itself(stage: Stage) -> None:
    stage.lane.loners.know([3])
    stage.arrive(job(1), job(2), job(3))
    assert stage.handed == [[3], [1]]
    assert stage.lane.waiting == 1
    stage.run(0)
    assert stage.handed == [[2], [1]]
    assert not stage.lane.loners.any


def test_the_others_keep_half_of_the_subworkers(stage: Stage) -> None:
    stage.arrive(*(job(number, lost=1) for number in range(1, 9)), job(9), job(10))
    assert stage.handed[0] == [9], "it does not wait for eight of them"
    assert len(stage.beat()) == 1
    stage.run(0)
    assert stage.handed[0] == [10]
    assert len(stage.handed[1]) == 1
    stage.run(0)
    stage.beat()
    assert len(stage.witness.asked.job_ids) == 2, "nobody else wants them both now"


def test_nobody_is_kept_free_for_one_that_is_gone(stage: Stage) -> None:
    stage.arrive(job(1), job(2))
    for number in (0, 1):
        stage.run(number, ends=False)
    stage.lane.loners.know([3])
    stage.arrive(job(3))
    assert any(one.reserved for one in stage.lane.generations)
    assert [one[2] for one in stage.lane.take_out({3})] == [3]
    stage.lane.dispatch(100.0)
    assert not any(one.reserved for one in stage.lane.generations)
    assert not stage.lane.loners.any


def test_none_is_named_after_all_were_given_up(stage: Stage) -> None:
    stage.arrive(job(1, lost=1))
    assert len(stage.lane.take_all()) == 1
    assert stage.beat() == ()
