"""Start and recall: whatever the supervisor takes back was not started, and what was started it does not get back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.shm.slots import FREE, MARKED
from farm.shm.start import Recall, SoleGate, StartGate, Taken

ROW = (8, 0, 9, 0, 0, 10, 0)


@pytest.fixture
def generation(tmp_path: Path) -> Iterator[GenerationFile]:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    file.gate_ns = 1000
    yield file
    file.close()


@pytest.fixture
def jobs(generation: GenerationFile) -> RingConsumer:
    return RingConsumer(generation.job_ring)


@pytest.fixture(params=[StartGate, SoleGate])
def gate(request: pytest.FixtureRequest, generation: GenerationFile, jobs: RingConsumer) -> StartGate:
    made: StartGate = request.param(generation, jobs)
    return made


def test_a_start_is_seen_as_running_until_it_is_finished(generation: GenerationFile, gate: StartGate) -> None:
    assert gate.start(0, 1, *ROW)
    assert generation.marked == 1
    assert [(row.seq, row.lease_id, row.job_id, row.started_ns) for row in generation.slots.running()] == [(1, 8, 9, 10)]
    gate.finish(0)
    assert generation.slots.running() == []


def test_nothing_starts_past_the_gate_during_a_recall_or_without_a_supervisor(generation: GenerationFile, gate: StartGate) -> None:
    assert not gate.blocked(999)
    assert gate.blocked(1000)
    generation.recall = 3
    assert (gate.blocked(0), gate.recall_number) == (True, 3)
    generation.recall = 0
    gate.orphaned = True
    assert gate.blocked(0)


def test_what_stands_behind_a_running_job_is_taken_back_at_once(generation: GenerationFile, gate: StartGate) -> None:
    gate.start(0, 1, *ROW)
    wakes: list[int] = []
    recall = Recall(generation, wake=lambda: wakes.append(1))
    assert recall.begin() == 1
    assert wakes == [1]
    assert recall.state() == Taken(mine_from=2, undecided=None, acked_from=None, finished=False)
    gate.finish(0)
    assert recall.state() == Taken(mine_from=2, undecided=1, acked_from=None, finished=False)
    gate.acknowledge(2)
    assert recall.state() == Taken(mine_from=2, undecided=None, acked_from=2, finished=True)
    recall.end()
    assert wakes == [1, 1], "it sleeps until the recall is lifted"
    assert (gate.recall_number, recall.begin()) == (0, 2)


def test_a_start_that_meets_a_recall_is_withdrawn_and_the_ring_is_emptied_first(
    generation: GenerationFile, gate: StartGate, jobs: RingConsumer
) -> None:
    producer = RingProducer(generation.job_ring)
    producer.put([b"1", b"2", b"3"])
    jobs.take(1)
    recall = Recall(generation)
    recall.begin()
    assert recall.state() == Taken(mine_from=1, undecided=None, acked_from=None, finished=False)
    assert not gate.start(0, 1, *ROW)
    assert generation.slots.state(0) == FREE
    assert recall.state() == Taken(mine_from=1, undecided=None, acked_from=1, finished=True)
    recall.end()
    producer.put([b"4"])
    assert jobs.take(9) == [(4, 0, 0, b"4")]


@pytest.mark.parametrize("state", [FREE, MARKED])
def test_a_marked_frame_is_undecided_until_it_is_running_or_acknowledged(generation: GenerationFile, state: int) -> None:
    generation.slots.mark(0, 5, *ROW)
    generation.marked = 5
    generation.slots.states[0] = state
    recall = Recall(generation)
    recall.begin()
    assert recall.state() == Taken(mine_from=6, undecided=5, acked_from=None, finished=False)
    generation.slots.set_running(0)
    assert recall.state().undecided is None


def test_an_old_acknowledgement_counts_for_nothing(generation: GenerationFile, gate: StartGate) -> None:
    recall = Recall(generation)
    recall.begin()
    gate.acknowledge(1)
    recall.end()
    gate.start(0, 4, *ROW)
    recall.begin()
    assert recall.state() == Taken(mine_from=5, undecided=None, acked_from=None, finished=False)
    with pytest.raises(AssertionError, match="run twice"):
        recall.end()
    recall.end(dead=True)


def test_an_answer_is_given_once(generation: GenerationFile, gate: StartGate) -> None:
    gate.acknowledge(1)
    assert generation.ack == 0
    generation.recall = 7
    gate.acknowledge(3)
    gate.acknowledge(9)
    assert (generation.ack, generation.ack_seq) == (7, 3)
