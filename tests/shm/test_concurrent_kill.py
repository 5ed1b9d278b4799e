"""Two real subworkers with many jobs at once, under recalls, gates that close, and SIGKILLs at random, as in test_start_kill.py."""

from __future__ import annotations

import os
import random
from collections import deque
from pathlib import Path

import pytest

from farm.shm.frames import OUTCOME_HEAD, WHOLE, HeldJob, pack_jobs
from farm.shm.successes import VALUE_AT
from farm.subworker.concurrent import ConcurrentSubworker
from farm.subworker.order import Descriptors, ForkOrder
from tests.shm import counting
from tests.shm.test_start_kill import Crewman, run_farm

pytestmark = pytest.mark.kill

KILLS = 100
SLOTS = 8


class ConcurrentCrewman(Crewman):
    """The real thing, with a gate that closes and opens again."""

    slots = SLOTS
    _next_seq = 1
    _chance = random.Random(5)

    def serve(self, runs: memoryview) -> None:
        """Be the subworker, in the child."""
        counting.RUNS[:] = [runs]
        nowhere = os.eventfd(0)
        order = ForkOrder(
            name="w0.1",
            path=str(self.file.path),
            lane="default",
            concurrency=SLOTS,
            memory_bytes=1 << 30,
            keep_result=True,
            runners=(("python", {}),),
            env={},
            spill_directory=str(self.file.path.parent),
            spill_owner="test",
            spill_bytes_max=1 << 30,
            supervisor_pid=os.getppid(),
        )
        descriptors = Descriptors(wake=self._wakes, writer=nowhere, supervisor=nowhere, output=1, output_end=1)
        subworker = ConcurrentSubworker(order, descriptors, self.file)
        subworker.get_ready()
        subworker.serve()

    def put(self, batch: list[int]) -> int:
        """Put jobs into the ring, several to a frame."""
        jobs: list[HeldJob] = []
        for job in batch:
            task = b"tests.shm.counting:count" if job % 12 < 8 else b"tests.shm.counting:count_async"
            jobs.append((0, 1, job, 0, 0, 0, 0, 0, task, 0, b"[%d]" % job))
        written = 0
        for _flags, payload, count in pack_jobs(jobs, self._next_seq):
            if not self._jobs.put([payload]):
                break
            self.handed.update(zip(range(self._next_seq, self._next_seq + count), batch[written:], strict=False))
            self._next_seq += count
            written += count
        return written

    def seq_of(self, flags: int, outcome: bytes) -> int:
        """Read of which job a result tells."""
        head = OUTCOME_HEAD.size if flags & WHOLE else VALUE_AT
        assert outcome[head:] == b"null", outcome
        return int(OUTCOME_HEAD.unpack_from(outcome)[4]) if flags & WHOLE else int.from_bytes(outcome[8:16], "little")

    def send(self, jobs: deque[int]) -> None:
        """Hand over what fits, and close the gate once in a while."""
        self.file.gate_ns = 0 if self._chance.random() < 0.05 else 1 << 62
        super().send(jobs)


def test_every_job_is_in_one_place_and_none_runs_twice(directory: Path) -> None:
    run_farm(directory, ConcurrentCrewman, KILLS)
