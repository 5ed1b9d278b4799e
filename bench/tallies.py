"""What counting costs a subworker: its loop alone, no-op jobs through its ring, with what counts jobs and without, in turns.

One process, no farm and no database. In frames of 64 jobs, as a queue of one task has them, and with a frame for each job, which is what
tasks that alternate come to. The figure is the least of many rounds of each: whatever else the machine does only adds to one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.database import NOOP
from bench.report import print_table
from farm.shm.frames import FRAME_JOBS_MAX, HeldJob, pack_jobs
from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.subworker.order import Descriptors, ForkOrder
from farm.subworker.process import Subworker
from farm.subworker.stretch import Stretch

ROUNDS = 400
"""Of each, in turns: some ten seconds."""
JOBS = 256
"""In a round: what a job ring holds with a frame for each."""
ARGS = b'{"customer": 123456, "message": "hello", "tags": ["a", "b"], "n": 1}'
NOW_US, SINCE_US = 1_000 * 10**12, 999 * 10**12
SHARED_MEMORY = Path("/dev/shm")


class Uncounted(Stretch):
    """Counts nothing. To be put in the place of what does: it has the same layout."""

    __slots__ = ()

    def take_up(self, task: bytes) -> None:
        pass

    def end(self, seq: int, now_ns: int) -> None:
        pass

    def end_before(self, seq: int, kind: int, started_ns: int, finished_ns: int) -> None:
        pass


class Loop:
    """A subworker in this process, whose supervisor and writer we are."""

    def __init__(self, directory: Path) -> None:
        file = GenerationFile.create(directory / "w0.1", slots=1, host_id=1)
        file.gate_ns, file.clock_us = 1 << 62, NOW_US
        order = ForkOrder(
            name="w0.1",
            path=str(file.path),
            lane="default",
            concurrency=1,
            memory_bytes=10**9,
            keep_result=True,
            runners=(("python", {}),),
            env={},
            spill_directory=str(directory),
            spill_owner="w0",
            spill_bytes_max=10**6,
            supervisor_pid=os.getpid(),
        )
        wake, writer, supervisor = (os.eventfd(0, os.EFD_NONBLOCK) for _ in range(3))
        self._subworker = Subworker(order, Descriptors(wake=wake, writer=writer, supervisor=supervisor, output=1, output_end=1), file)
        self._jobs, self._results = RingProducer(file.job_ring), RingConsumer(file.result_ring)
        self._counting: Any = self._subworker._stretch
        self._next_seq = 1

    def round_us(self, frame_jobs: int, *, counted: bool) -> float:
        """Return the microseconds that a job takes, in frames of so many."""
        self._counting.__class__ = Stretch if counted else Uncounted
        first = self._next_seq
        # Jobs of one frame have the same timeout.
        held: list[HeldJob] = [
            (0, 1 << 32, first + place, place, 60_000 + place // frame_jobs % 2, 0, 0, 0, NOOP.encode(), SINCE_US, ARGS)
            for place in range(JOBS)
        ]
        put = self._jobs.put_frames([(0, flags, payload) for flags, payload, _count in pack_jobs(held, first)])
        assert put == JOBS // frame_jobs
        self._next_seq += JOBS
        took_ns = 0
        while frames := self._subworker._jobs.take(16):
            begun_ns = time.perf_counter_ns()
            self._subworker._run_all(frames)
            took_ns += time.perf_counter_ns() - begun_ns
        assert sum(1 for _ in iter(lambda: self._results.take(JOBS), [])), "there are results"
        return took_ns / JOBS / 1000


def main() -> None:
    """Run the measurement and print it."""
    print(f"\ntallies: {NOOP} in the loop of a subworker, {ROUNDS} rounds of {JOBS} jobs each, in turns", flush=True)
    rows = []
    with _loop() as loop:
        for frame_jobs in (FRAME_JOBS_MAX, 1):
            found: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(ROUNDS):
                for counted, times_us in found.items():
                    times_us.append(loop.round_us(frame_jobs, counted=counted))
            with_us, without_us = min(found[True]), min(found[False])
            rows.append((f"{frame_jobs} in a frame", f"{without_us:.3f}", f"{with_us:.3f}", f"{with_us / without_us:.3f}"))
    print_table(("no-op jobs", "us a job", "counted", "ratio"), rows)


@contextmanager
def _loop() -> Iterator[Loop]:
    with tempfile.TemporaryDirectory(prefix="farm-measure-", dir=SHARED_MEMORY) as directory:
        yield Loop(Path(directory))


if __name__ == "__main__":
    main()
