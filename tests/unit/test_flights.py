"""What the end of a job comes to, and the threads in which jobs block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from farm.ports import Job
from farm.shm.tallies import NOT_KNOWN, TALLIES_BYTES, TallyTable, TallyWriter
from farm.subworker.failures import FAILED, MEMORY
from farm.subworker.flights import AWAIT, SUCCEEDED, Flight, JobThreads, end_of
from farm.subworker.results import ResultError, drop_result, encode_result

WAIT_S = 20.0
NOWHERE = TallyWriter(TallyTable(memoryview(bytearray(TALLIES_BYTES)))).other


def flight(slot: int) -> Flight:
    return (slot, slot + 1, 1, slot, slot + 10, 0, 0, NOWHERE, NOT_KNOWN)


def throw(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize("error", [ValueError("so"), SystemExit("so"), KeyboardInterrupt("so"), GeneratorExit("so")])
def test_ends(error: BaseException) -> None:
    """Values are encoded; whatever is raised is a failure; coroutines are left, and so is a MemoryError, without what it holds."""

    async def later() -> int:
        return 1

    assert end_of(lambda: {"a": 1}, encode_result, skip_frames=0) == (SUCCEEDED, b'{"a":1}')
    assert end_of(lambda: None, encode_result, skip_frames=0) == (SUCCEEDED, b"null")
    kind, payload = end_of(partial(throw, error), encode_result, skip_frames=0)
    assert (kind, orjson.loads(payload)["message"]) == (FAILED, "so")
    assert "end_of" not in orjson.loads(payload)["traceback"]
    assert (
        end_of(lambda: {1, 2}, encode_result, skip_frames=0)[0]
        == end_of(partial(throw, ResultError("x")), encode_result, skip_frames=0)[0]
        == FAILED
    )
    assert end_of(lambda: {1, 2}, drop_result, skip_frames=0) == (SUCCEEDED, b"null")
    kind, left = end_of(later, encode_result, skip_frames=0)
    assert kind == AWAIT
    left.close()
    kind, left = end_of(partial(throw, MemoryError()), encode_result, skip_frames=0)
    assert (kind, left.__traceback__) == (MEMORY, None)


class Threads:
    """Threads under test, of which only so many can be started."""

    def __init__(self, startable: int) -> None:
        self._startable = startable
        self.woken = threading.Event()
        self.started: list[threading.Thread] = []
        self.threads = JobThreads(start=self._start, wake=self.woken.set, forked=lambda: False, encode=encode_result)

    def _start(self, thread: threading.Thread) -> None:
        if len(self.started) == self._startable:
            raise RuntimeError("can't start new thread")
        self.started.append(thread)
        thread.start()

    def run(self, slot: int, run: Callable[[Job], Any]) -> None:
        self.threads.run(flight(slot), run, Job(slot, "task", [], 1))

    def collect(self, number: int) -> dict[int, tuple[int, Any]]:
        """Wait for the ends of so many jobs, asleep as their loop would be; returns them by slot."""
        ends: dict[int, tuple[int, Any]] = {}
        while len(ends) < number:
            self.threads.asleep = True
            if not self.threads.ended:
                assert self.woken.wait(WAIT_S), "nobody woke the loop"
            self.woken.clear()
            while (back := self.threads.collect()) is not None:
                ends[back[0][0]] = back[1:]
        return ends


def test_as_many_threads_as_jobs() -> None:
    """Jobs that wait for each other get a thread each, and threads are used again; the loop is woken from its sleep."""
    under_test = Threads(startable=100)
    barrier = threading.Barrier(8)
    for _ in range(3):
        for slot in range(8):
            under_test.run(slot, lambda job: [job.id, barrier.wait(WAIT_S) >= 0])
        assert under_test.collect(8) == {slot: (SUCCEEDED, b"[%d,true]" % slot) for slot in range(8)}
    assert len(under_test.started) == 8


def test_fewer_threads_than_jobs() -> None:
    """Where no more threads can be made, jobs wait for those that there are; without any, that is the job's failure."""
    under_test = Threads(startable=2)
    for slot in range(10):
        under_test.run(slot, lambda job: job.id)
    assert under_test.collect(10) == {slot: (SUCCEEDED, b"%d" % slot) for slot in range(10)}
    with pytest.raises(RuntimeError, match="no thread can be started"):
        Threads(startable=0).run(1, lambda job: job.id)
