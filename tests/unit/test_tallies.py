"""What is counted in the tables of many subworkers is summed up by lane and task, though they come and go."""

from __future__ import annotations

from typing import NamedTuple, cast

import pytest

from farm.model import Outcome, OutcomeKind
from farm.shm.briefs import QUEUE, QUEUE_US, RUN, RUN_US
from farm.shm.tallies import OTHER, TALLIES_BYTES, TallyTable, TallyWriter
from farm.supervisor.counts.tallies import PAIRS_MAX, Tallies
from farm.supervisor.processes.generation import Generation

SUCCEEDED, FAILED = OutcomeKind.SUCCEEDED, OutcomeKind.FAILED


class File(NamedTuple):
    tallies: TallyTable


class Subworker:
    """As much of a generation as is looked at, and the side that counts."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.memory = memoryview(bytearray(TALLIES_BYTES))
        self.file = File(TallyTable(self.memory))
        self._writer = TallyWriter(self.file.tallies)

    def end(self, task: str, jobs: int = 1, kind: OutcomeKind = SUCCEEDED) -> None:
        self._writer.row_of(task.encode()).add(kind, jobs, jobs * 1_000_000, 5000)

    @property
    def generation(self) -> Generation:
        return cast("Generation", self)


@pytest.fixture
def tallies() -> Tallies:
    return Tallies()


def counted(tallies: Tallies) -> dict[tuple[str, str], dict[OutcomeKind, int]]:
    return {pair: {kind: brief[kind] for kind in OutcomeKind if brief[kind]} for pair, brief in tallies.read().items()}


def outcome(kind: OutcomeKind, *, started_ns: int = 0, finished_ns: int = 0) -> Outcome:
    return Outcome(1, 0, 7, 0, kind, started_ns, finished_ns, b"")


def test_summed_up_by_lane_and_task(tallies: Tallies) -> None:
    """Over the subworkers of a lane, dead and alive; one that has ended nothing adds no pair."""
    first, second, other, idle = Subworker("a"), Subworker("a"), Subworker("b"), Subworker("c")
    for subworker in (first, second, other, idle):
        tallies.add(subworker.generation)
    assert tallies.read() == {}
    first.end("t", 3)
    first.end("u")
    second.end("t", 2, FAILED)
    other.end("t")
    assert counted(tallies) == {("a", "t"): {SUCCEEDED: 3, FAILED: 2}, ("a", "u"): {SUCCEEDED: 1}, ("b", "t"): {SUCCEEDED: 1}}
    # What it has counted since the last look is not lost with it.
    first.end("t", 10)
    tallies.bury(first.generation)
    second.end("t")
    assert counted(tallies)["a", "t"] == {SUCCEEDED: 14, FAILED: 2}
    brief = tallies.read()["a", "t"]
    assert (brief[RUN][-1], brief[RUN_US]) == (16, 16_000)
    assert (brief[QUEUE][-1], brief[QUEUE_US]) == (16, 80_000)


def test_looks_do_not_add_up(tallies: Tallies) -> None:
    """However often somebody looks; and what a look returned does not change by later ones."""
    subworker = Subworker("a")
    tallies.add(subworker.generation)
    seen = []
    for _ in range(4):
        subworker.end("t")
        tallies.read()
        seen.append(tallies.read()["a", "t"])
    assert [brief[SUCCEEDED] for brief in seen] == [1, 2, 3, 4]
    assert [brief[RUN][-1] for brief in seen] == [1, 2, 3, 4]
    assert tallies.read()["a", "t"] is tallies.read()["a", "t"]


def test_what_the_supervisor_ends(tallies: Tallies) -> None:
    """It has run for a time if it was started; how long it had waited nobody knows. What is given back has not ended."""
    ended = [
        (b"t", outcome(OutcomeKind.CRASHED, started_ns=1_000_000_000, finished_ns=3_000_000_000)),
        (b"t", outcome(OutcomeKind.CANCELLED)),
        (b"t", outcome(OutcomeKind.RELEASED, started_ns=1_000)),
        (b"t", outcome(OutcomeKind.TIMED_OUT, started_ns=1 << 63, finished_ns=5)),
        (b"\xff\x1b[2J", outcome(OutcomeKind.REJECTED)),
        (b"", outcome(OutcomeKind.REJECTED)),
    ]
    tallies.note("a", ended)
    assert counted(tallies)["a", "t"] == {OutcomeKind.CRASHED: 1, OutcomeKind.CANCELLED: 1, OutcomeKind.TIMED_OUT: 1}
    brief = tallies.read()["a", "t"]
    assert (brief[RUN][-1], brief[RUN_US], brief[QUEUE][-1]) == (2, 2_000_000, 0)
    assert set(tallies.read()) == {("a", "t"), ("a", " [2J"), ("a", OTHER)}


def test_no_more_pairs_than_are_kept(tallies: Tallies) -> None:
    """Names come from whoever enqueues. Those that come later are counted as `other` of their lane."""
    for number in range(PAIRS_MAX):
        tallies.note("a", [(f"t{number}".encode(), outcome(OutcomeKind.REJECTED))])
    subworker = Subworker("b")
    tallies.add(subworker.generation)
    for number in range(3):
        subworker.end(f"u{number}")
    tallies.note("a", [(b"t0", outcome(OutcomeKind.REJECTED))])
    found = counted(tallies)
    assert len(found) == PAIRS_MAX + 1
    assert found["b", OTHER] == {SUCCEEDED: 3}
    assert found["a", "t0"] == {OutcomeKind.REJECTED: 2}


def test_a_lane_that_is_gone_makes_room(tallies: Tallies) -> None:
    """Its pairs are told no more; a lane of the same name that comes later begins anew."""
    for number in range(PAIRS_MAX):
        tallies.note("gone", [(f"t{number}".encode(), outcome(OutcomeKind.REJECTED))])
    tallies.forget("gone")
    assert tallies.read() == {}
    assert tallies.noted("gone") == {}
    subworker = Subworker("gone")
    tallies.add(subworker.generation)
    subworker.end("t0")
    assert counted(tallies) == {("gone", "t0"): {SUCCEEDED: 1}}


@pytest.mark.parametrize("scribble", [b"\xff", b"\x00"])
def test_a_job_scribbles_over_its_table(tallies: Tallies, scribble: bytes) -> None:
    """Neighbours keep their figures, and what makes no sense changes nothing."""
    subworker, neighbour = Subworker("a"), Subworker("a")
    for each in (subworker, neighbour):
        tallies.add(each.generation)
        each.end("t", 5)
    assert counted(tallies) == {("a", "t"): {SUCCEEDED: 10}}
    subworker.memory[:] = scribble * TALLIES_BYTES
    neighbour.end("t")
    assert counted(tallies)["a", "t"] == {SUCCEEDED: 11}
    subworker.end("t")
    assert counted(tallies)["a", "t"][SUCCEEDED] >= 11
    tallies.bury(subworker.generation)
    assert counted(tallies)["a", "t"][SUCCEEDED] >= 11
