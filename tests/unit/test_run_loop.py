"""The loop of a subworker with one job at a time, in this process."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

import runners
from farm.model import OutcomeKind
from farm.ports import Job
from farm.shm.frames import HeldJob, pack_jobs
from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.shm.slots import FREE, RUNNING
from farm.shm.successes import SuccessProducer
from farm.shm.tallies import bucket_of
from farm.subworker import process
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.process import Subworker
from farm.subworker.workbench import IDLE_SLEEP_S


class Watching:
    """A runner that looks, while a job runs, at what the writer would see."""

    look: Any = None

    def setup(self, options: Any, context: Any) -> None:
        pass

    def run(self, job: Job) -> Any:
        type(self).look(job)
        return job.args


@pytest.fixture
def generation(tmp_path: Path) -> GenerationFile:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    file.gate_ns, file.clock_us = 1 << 62, 10**15
    return file


class Bed:
    """A subworker in this process, with the eventfds of those whom it wakes."""

    def __init__(self, generation: GenerationFile, directory: Path) -> None:
        self.wakes = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3)]
        order = ForkOrder(
            name="w0.1",
            path=str(generation.path),
            lane="default",
            concurrency=1,
            memory_bytes=10**9,
            keep_result=True,
            runners=(("watching", {}),),
            env={},
            spill_directory=str(directory),
            spill_owner="w0",
            spill_bytes_max=10**6,
            supervisor_pid=os.getpid(),
        )
        wake, writer, supervisor = self.wakes
        descriptors = Descriptors(wake=wake, writer=writer, supervisor=supervisor, output=1, output_end=1)
        self.subworker = Subworker(order, descriptors, generation)
        self._jobs = RingProducer(generation.job_ring)

    def run(self, *all_args: bytes, since_us: int = 0) -> None:
        """Hand it a job with each of these arguments, which could be claimed since then, and have it run them."""
        held = [(0, 1 << 32, 10 + index, index, 0, 0, 0, 0, b"m:f", since_us, args) for index, args in enumerate(all_args)]
        self.hand(*held)
        self.subworker._run_all(self.subworker._jobs.take(16))

    def hand(self, *held: HeldJob) -> None:
        """Put jobs into its ring."""
        self._jobs.put_frames([(0, flags, payload) for flags, payload, _count in pack_jobs(list(held), 1)])

    def close(self) -> None:
        for descriptor in self.wakes:
            os.close(descriptor)


@pytest.fixture
def bed(generation: GenerationFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    monkeypatch.setattr(runners, "load", lambda _name: Watching)
    made = Bed(generation, tmp_path)
    yield made
    made.close()


def test_a_slot_is_free_only_when_its_outcome_is_published(generation: GenerationFile, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two, a job whose slot is free would be taken for one that never started, and run again."""
    states: list[int] = []

    def seen(name: str) -> None:
        publish = getattr(SuccessProducer, name)

        def look(*args: Any) -> Any:
            states.append(generation.slots.state(0))
            done = publish(*args)
            states.append(generation.slots.state(0))
            return done

        monkeypatch.setattr(SuccessProducer, name, look)

    def work(job: Job) -> None:
        assert job.args, "a job that fails"

    seen("publish_success")
    seen("publish")
    Watching.look = staticmethod(work)
    bed.run(b"1", b"0")
    assert states == [RUNNING] * 4
    assert generation.slots.state(0) == FREE


def test_a_writer_that_fell_asleep_after_a_short_job_is_woken_by_the_next(generation: GenerationFile, bed: Bed) -> None:
    """However soon that one starts: it may run for long, and the outcome of the short one must not wait for its end."""
    writer = RingConsumer(generation.result_ring)
    seen: list[tuple[bool, int]] = []

    def look(job: Job) -> None:
        seen.append((was_woken(bed.wakes[1]), writer.pending_bytes))
        writer.disarm()
        assert job.args or writer.arm(), "nothing is published yet: the writer sleeps again"

    Watching.look = staticmethod(look)
    assert writer.arm()
    bed.run(b"0", b"1")
    assert seen[0] == (True, 0)
    woken, unread = seen[1]
    assert woken
    assert unread > 0


def test_one_that_has_nothing_to_do_says_so_once(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again after each job; however often it looks, it wakes nobody for having found nothing."""
    writer = RingConsumer(bed.subworker._generation.result_ring)
    woken: list[tuple[bool, bool]] = []

    def rest(wait_s: float) -> None:
        assert wait_s == IDLE_SLEEP_S
        _wake, of_writer, of_supervisor = bed.wakes
        woken.append((was_woken(of_supervisor), was_woken(of_writer)))
        if len(woken) == 3:
            bed.hand((0, 1 << 32, 10, 0, 0, 0, 0, 0, b"m:f", 0, b"1"))
        elif len(woken) == 6:
            bed.subworker.gate.orphaned = True
        writer.arm()

    Watching.look = staticmethod(lambda _job: None)
    monkeypatch.setattr(bed.subworker, "_rest", rest)
    writer.arm()
    bed.subworker.serve()
    assert [supervisor for supervisor, _writer in woken] == [True, False, False, True, False, False]
    assert [of_writer for _supervisor, of_writer in woken] == [True, False, False, True, False, False]


def was_woken(descriptor: int) -> bool:
    try:
        return os.eventfd_read(descriptor) > 0
    except BlockingIOError:
        return False


def test_jobs_are_counted_with_their_times(generation: GenerationFile, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short ones count with their mean, together; one that takes 0.2 ms or more, or fails, for itself. Nothing is lost or counted twice."""
    now_ns = 10**12

    def work(job: Job) -> None:
        nonlocal now_ns
        now_ns += abs(job.args) * 1000
        assert job.args > 0

    monkeypatch.setattr(process, "monotonic_clock", lambda: now_ns)
    Watching.look = staticmethod(work)
    # The mean of ten is 11; the two behind them are longer than a look is away, the last of all longer than publishing closely takes.
    times_us = [10, 12] * 5 + [500] + [10] * 3 + [300, -10, 10, -4000, 20, 20, 5000]
    bed.run(*(b"%d" % time_us for time_us in times_us), since_us=10**15 + 10**9 - 7_000_000)
    tally = generation.tallies.read()["m:f"]
    assert tally.ended == {OutcomeKind.SUCCEEDED: 19, OutcomeKind.FAILED: 2}
    expected = Counter(map(bucket_of, [11] * 10 + [500] + [10] * 3 + [300, 10, 10, 4000, 20, 20, 5000]))
    assert {bucket: count for bucket, count in enumerate(tally.run.counts) if count} == expected
    assert tally.run.sum_s == pytest.approx(sum(map(abs, times_us)) / 1e6)
    # Each had waited for seven seconds and for those before it, less what the start of its stretch is early.
    starts_us = list(accumulate(map(abs, times_us), initial=0))[:-1]
    assert tally.queue.count == len(times_us)
    assert tally.queue.sum_s == pytest.approx(sum(7 + start_us / 1e6 for start_us in starts_us), abs=len(times_us) * 0.0002)


def test_of_jobs_that_come_back_no_wait_is_counted(generation: GenerationFile, bed: Bed) -> None:
    Watching.look = staticmethod(lambda _job: None)
    bed.run(b"1", b"2")
    tally = generation.tallies.read()["m:f"]
    assert (tally.run.count, tally.queue.count) == (2, 0)
