"""farm.progress: heard in the slot of the job that calls it, from its coroutines and threads; elsewhere it does nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import farm
from farm import headway
from farm.shm.generation import GenerationFile
from farm.subworker.reports import job_of_caller, reporter, sole_reporter


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Nobody listens after a test."""
    yield
    headway.listen(None)


def test_outside_of_a_farm_it_does_nothing() -> None:
    farm.progress(0.4, "text")
    farm.progress(None)


@pytest.mark.parametrize("fraction", ["0.4", b"1", True, [], {}, object(), 1j])
def test_a_fraction_must_be_a_number(fraction: Any) -> None:
    with pytest.raises(TypeError, match=r"^progress: fraction: expected a number from 0 to 1, or None, got "):
        farm.progress(fraction)


@pytest.mark.parametrize("text", [None, 3, b"x"])
def test_a_text_must_be_one(text: Any) -> None:
    with pytest.raises(TypeError, match=r"^progress: text: expected a str, got "):
        farm.progress(0.4, text)


def test_of_one_job_whoever_speaks_is_heard(tmp_path: Path) -> None:
    """Threads too; but not when nothing runs, and the next job has said nothing."""
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    headway.listen(sole_reporter(file))
    farm.progress(0.1)
    file.slots.mark(0, 5, 1, 0, 9, 0, 0, 1, 0)
    farm.progress(0.1)
    assert file.progress.read(0, 5) is None
    file.slots.set_running(0)
    farm.progress(Decimal("0.25"), "a")
    assert file.progress.read(0, 5) == (0.25, "a")
    thread = threading.Thread(target=farm.progress, args=(1, "b"))
    thread.start()
    thread.join()
    assert file.progress.read(0, 5) == (1.0, "b")
    file.slots.clear(0)
    file.slots.mark(0, 6, 1, 0, 10, 0, 0, 1, 0)
    file.slots.set_running(0)
    assert file.progress.read(0, 6) is None


def test_of_many_jobs_each_speaks_for_itself(tmp_path: Path) -> None:
    """In its task, in the tasks that it makes, in what it has run in threads. What it leaves behind is not heard after its end."""
    file = GenerationFile.create(tmp_path / "w0.1", slots=3, host_id=1)
    headway.listen(reporter(file))
    for slot in range(3):
        file.slots.mark(slot, 10 + slot, 1, slot, 20 + slot, 0, 0, 1, 0)
        file.slots.set_running(slot)

    async def job(slot: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(farm.progress, slot / 10, f"in slot {slot}"))

    async def all_jobs() -> None:
        tasks = []
        for slot in range(3):
            job_of_caller.set((slot, 10 + slot, 0))
            tasks.append(asyncio.create_task(job(slot)))
        await asyncio.gather(*tasks)

    farm.progress(0.9, "whose?")
    asyncio.run(all_jobs())
    assert [file.progress.read(slot, 10 + slot) for slot in range(3)] == [(slot / 10, f"in slot {slot}") for slot in range(3)]
    file.slots.clear(1)
    file.slots.mark(1, 30, 1, 0, 40, 0, 0, 1, 0)
    file.slots.set_running(1)
    context = copy_context()
    context.run(job_of_caller.set, (1, 11, 0))
    context.run(farm.progress, 0.8, "left behind")
    assert file.progress.read(1, 30) is None
