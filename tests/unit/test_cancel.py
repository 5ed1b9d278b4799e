"""What the supervisor does about jobs that are to end: in its lane, in rings, in slots."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from farm.config.model import Lane as LaneConfig
from farm.model import CancelRequest, Outcome, OutcomeKind
from farm.shm.frames import SPILLED, HeldJob
from farm.shm.generation import READY, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.start import StartGate
from farm.supervisor.counts.tallies import Tallies
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.limits.cancel import Cancels
from farm.supervisor.processes.generation import Doom, Generation, Phase


def held(job_id: int, flags: int = 0) -> HeldJob:
    return (flags, (1 << 32) + 1, job_id, job_id, 0, 0, 0, 0, b"chores:who", 0, b"[]")


class Host:
    """One lane with one subworker, whose part is played here; stands in for crew and desk."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = GenerationFile.create(path, slots=2, host_id=1)
        self.generation = Generation(
            name="w0.1", number=1, lane="default", host_id=1, file=file, wake_fd=os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        )
        self._theirs = GenerationFile.open(path)
        self._jobs = RingConsumer(self._theirs.job_ring)
        self.gate = StartGate(self._theirs, self._jobs)
        self._theirs.ready = READY
        self.generation.phase = Phase.SERVING
        config = LaneConfig(name="default", queues=("*",), subworkers=1, concurrency=2, memory_bytes=1 << 28)
        self.lane = Lane(config, claim_max=100, witness=Witness(hurry=lambda: None, wake=lambda: None))
        self.lane.add(self.generation)
        self.lanes = [self.lane]
        self.outcomes: list[Outcome] = []
        self.tallies = Tallies()
        self.dropped: list[int] = []
        self.doomed: list[tuple[int, Doom]] = []
        monkeypatch.setattr("farm.supervisor.limits.cancel.end_job", lambda _, slot, doom: self.doomed.append((slot.job_id, doom)))
        self._cancels = Cancels(crew=cast("Any", self), desk=cast("Any", self))

    def push(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes.extend(outcomes)

    def drop_arguments(self, jobs: Iterable[HeldJob]) -> None:
        self.dropped.extend(job[2] for job in jobs if job[0] & SPILLED)

    def start(self, seq: int, slot: int = 0) -> bool:
        """Start the job of a sequence, which is its id."""
        return self.gate.start(slot, seq, (1 << 32) + 1, seq, seq, 0, 0, 1000, 0)

    def act(self, *job_ids: int, only_unstarted: bool = False, draining: bool = False) -> int:
        return self._cancels.act([CancelRequest(job_id, "enough", only_unstarted) for job_id in job_ids], draining=draining)

    def close(self) -> None:
        self.gate.close()
        self._jobs.close()
        self._theirs.close()
        self.generation.close()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path / "w0.1", monkeypatch)
    yield made
    made.close()


def told(outcomes: Sequence[Outcome]) -> list[tuple[int, int, int, str]]:
    return [(one.job_id, one.kind, one.started_ns, orjson.loads(one.payload)["type"]) for one in outcomes]


def test_what_the_lane_holds_is_cancelled_and_uses_nothing(host: Host) -> None:
    host.lane.held.extend([held(1), held(2, SPILLED), held(3)])
    assert host.act(2, 3, 99) == 2
    assert told(host.outcomes) == [(2, OutcomeKind.CANCELLED, 0, "Cancelled"), (3, OutcomeKind.CANCELLED, 0, "Cancelled")]
    assert orjson.loads(host.outcomes[0].payload)["message"] == "enough"
    assert host.dropped == [2]
    assert [job[2] for job in host.lane.held] == [1]
    assert host.act(1, only_unstarted=True) == 1
    assert told(host.outcomes[2:]) == [(1, OutcomeKind.CANCELLED, 0, "Expired")]


def test_what_waits_in_a_ring_is_recalled_and_the_others_are_handed_out_again(host: Host) -> None:
    host.generation.give([held(number) for number in range(1, 6)])
    assert host.start(1)
    assert host.act(3, 4) == 2
    assert [one.job_id for one in host.outcomes] == [3, 4]
    assert [job[2] for job in host.lane.held] == [2, 5]
    assert host.doomed == []
    assert list(host.generation.handed) == [1]
    assert not host.start(2, slot=1), "it was recalled"
    assert host.lane.finish_recalls()
    assert host.generation.recall_active is False


def test_a_ring_without_such_a_job_is_left_alone(host: Host) -> None:
    host.generation.give([held(1), held(2)])
    assert host.act(77) == 0
    assert not host.generation.recall_active


def test_what_runs_is_ended_unless_only_the_unstarted_are_meant(host: Host) -> None:
    host.generation.give([held(1), held(2)])
    assert host.start(1)
    assert host.act(1, only_unstarted=True) == 0
    assert host.doomed == []
    assert host.act(1) == 0
    assert host.doomed == [(1, Doom(OutcomeKind.CANCELLED, "enough", 1))]
    assert host.outcomes == []
    assert not host.generation.recall_active, "that is for whoever ends it to decide"


def test_what_is_about_to_start_or_has_published_its_outcome_is_not_touched(host: Host) -> None:
    host.generation.give([held(1), held(2), held(3)])
    assert host.start(1)
    host.gate.finish(0)
    assert host.act(1) == 0
    assert not host.generation.recall_active
    # Marked, and found by nobody to be running yet: undecided.
    host.generation.file.marked = 2
    assert host.act(2) == 0
    assert list(host.generation.handed) == [1, 2, 3]
    assert (host.outcomes, host.doomed) == ([], [])


def test_while_draining_only_what_runs_is_ended(host: Host) -> None:
    host.generation.give([held(1), held(2)])
    assert host.start(1)
    assert host.act(1, 2, draining=True) == 0
    assert [job_id for job_id, _ in host.doomed] == [1]
    assert not host.generation.recall_active


def test_a_slot_that_was_written_over_names_nobody_else(host: Host) -> None:
    host.generation.give([held(1)])
    assert host.gate.start(0, 1, (1 << 32) + 1, 0, 50, 0, 0, 1000, 0)
    assert host.act(50) == 0
    assert host.doomed == []
