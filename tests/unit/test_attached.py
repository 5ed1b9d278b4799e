"""Which rings a writer looks into: those that are quiet cost it next to nothing, and none of their outcomes is missed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.slots import FREE, RUNNING
from farm.shm.spill import Spill
from farm.shm.successes import SuccessProducer
from farm.writer.attached import Attached
from farm.writer.sources import Source


class End:
    """A subworker's end of one result ring, and the writer's source over the same file."""

    def __init__(self, directory: Path, number: int) -> None:
        self.file = GenerationFile.create(directory / f"w{number}.1", slots=1, host_id=1)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._producer = SuccessProducer(self.file.result_ring, wake=lambda: os.eventfd_write(self._wake_fd, 1))
        theirs = GenerationFile.open(directory / f"w{number}.1")
        self.source = Source(
            name=f"w{number}.1",
            spill_owner=f"run.w{number}.1",
            number=number,
            ring=RingConsumer(theirs.result_ring),
            file=theirs,
            generation=theirs,
            wake_fd=None,
            spill=Spill(directory, owner="writer", bytes_max=1 << 20),
            on_broken=lambda _text: None,
        )

    def publish(self) -> bool:
        """Publish an outcome; returns whether the writer was woken for it."""
        assert self._producer.publish_success(1 << 32, 1, 1, 1, 1, 2, 3, b"1")
        self._producer.wake_sleeper()
        try:
            return os.eventfd_read(self._wake_fd) > 0
        except BlockingIOError:
            return False

    def read(self) -> int:
        ring = self.source.ring
        frames = ring.read(100)
        ring.release(ring.cursor)
        return len(frames)

    def close(self) -> None:
        os.close(self._wake_fd)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[list[End]]:
    made = [End(tmp_path, number) for number in range(3)]
    yield made
    for end in made:
        end.close()


@pytest.fixture
def attached(ends: list[End]) -> Attached:
    """All of them, read and armed."""
    made = Attached()
    for end in ends:
        made.add(end.source)
    assert list(made.astir) == [end.source for end in ends], "one that is new may hold something"
    assert made.arm()
    assert not made.astir
    return made


def test_who_publishes_is_read_and_wakes_nobody_a_second_time(attached: Attached, ends: list[End]) -> None:
    """The others stay armed over that turn, and wake the writer in it."""
    first, second, _third = ends
    assert first.publish()
    attached.look(company=False)
    assert list(attached.astir) == [first.source]
    assert not first.publish(), "the writer is awake and reads it"
    assert not attached.arm(), "there is something to read"
    assert first.read() == 2
    assert attached.arm()
    assert second.publish()
    attached.look(company=False)
    assert list(attached.astir) == [second.source]


def test_what_a_subworker_published_that_was_killed_before_it_could_wake_anybody_is_found(attached: Attached, ends: list[End]) -> None:
    """At the next turn, whatever brings it about."""
    ends[2]._producer.publish_success(1 << 32, 1, 1, 1, 1, 2, 3, b"1")
    attached.look(company=False)
    assert list(attached.astir) == [ends[2].source]


def test_company_is_whoever_runs_something(attached: Attached, ends: list[End]) -> None:
    """Its outcome is on its way: while some are held it is waited for, and looked at, without being woken for it."""
    ends[1].file.slots.states[0] = RUNNING
    attached.look(company=False)
    assert not attached.astir
    attached.look(company=True)
    assert [source.busy for source in attached.astir] == [True]
    assert not ends[1].publish()
    ends[1].file.slots.states[0] = FREE


def test_a_broken_ring_keeps_nobody_awake(attached: Attached, ends: list[End]) -> None:
    ends[0].publish()
    attached.look(company=False)
    ends[0].source.broken = True
    assert attached.arm()
    attached.look(company=False)
    attached.look(company=True)
    assert not attached.astir
    assert ends[0].source in attached.all, "whoever leaves last asks for it yet"


def test_one_that_is_taken_away_is_closed_quiet_or_not(attached: Attached, ends: list[End]) -> None:
    ends[0].publish()
    attached.look(company=False)
    for end in ends[:2]:
        attached.remove(end.source.name)
    attached.remove("w9.9")
    assert attached.all == [ends[2].source]
    assert not attached.astir
    with pytest.raises(ValueError, match="released"):
        _ = ends[0].source.ring.head
