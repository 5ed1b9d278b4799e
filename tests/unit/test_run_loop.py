"""The loop of a subworker with one job at a time, in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import runners
from farm.ports import Job
from farm.shm.frames import pack_jobs
from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.process import Subworker


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


def test_a_writer_that_fell_asleep_after_a_short_job_is_woken_by_the_next(
    generation: GenerationFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon that one starts: it may run for long, and the outcome of the short one must not wait for its end."""
    monkeypatch.setattr(runners, "load", lambda _name: Watching)
    wakes = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3)]
    order = ForkOrder(
        name="w0.1",
        path=str(generation.path),
        lane="default",
        concurrency=1,
        memory_bytes=10**9,
        keep_result=True,
        runners=(("watching", {}),),
        env={},
        spill_directory=str(tmp_path),
        spill_owner="w0",
        spill_bytes_max=10**6,
        supervisor_pid=os.getpid(),
    )
    subworker = Subworker(order, Descriptors(wake=wakes[0], writer=wakes[1], supervisor=wakes[2], output=1, output_end=1), generation)
    writer, jobs = RingConsumer(generation.result_ring), RingProducer(generation.job_ring)
    seen: list[tuple[bool, int]] = []

    def look(job: Job) -> None:
        seen.append((was_woken(wakes[1]), writer.pending_bytes))
        writer.disarm()
        assert job.args or writer.arm(), "nothing is published yet: the writer sleeps again"

    Watching.look = staticmethod(look)
    assert writer.arm()
    held = [(0, 1 << 32, 10 + index, index, 0, 0, 0, 0, b"m:f", str(index).encode()) for index in range(2)]
    jobs.put_frames([(0, flags, payload) for flags, payload, _count in pack_jobs(held, 1)])
    subworker._run_all(subworker._jobs.take(16))
    assert seen[0] == (True, 0)
    woken, unread = seen[1]
    assert woken
    assert unread > 0
    for descriptor in wakes:
        os.close(descriptor)


def was_woken(descriptor: int) -> bool:
    try:
        return os.eventfd_read(descriptor) > 0
    except BlockingIOError:
        return False
