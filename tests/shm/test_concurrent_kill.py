"""Two real subworkers with many jobs at once, under recalls, gates that close, and SIGKILLs at random, as in test_start_kill.py."""

from __future__ import annotations

import os
import random
from collections import deque
from pathlib import Path

import pytest

from farm.shm.frames import OUTCOME_HEAD, pack_job
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

    def pack(self, job: int) -> bytes:
        """Return the payload of a job's frame."""
        task = b"tests.shm.counting:count" if job % 3 else b"tests.shm.counting:count_async"
        return pack_job(1, job, 0, 0, 0, 0, 0, task, b"[%d]" % job)

    def seq_of(self, outcome: bytes) -> int:
        """Read of which frame a result tells."""
        assert outcome[OUTCOME_HEAD.size :] == b"null", outcome
        return int(OUTCOME_HEAD.unpack_from(outcome)[4])

    def send(self, jobs: deque[int]) -> None:
        """Hand over what fits, and close the gate once in a while."""
        self.file.gate_ns = 0 if self._chance.random() < 0.05 else 1 << 62
        super().send(jobs)


def test_every_job_is_in_one_place_and_none_runs_twice(directory: Path) -> None:
    run_farm(directory, ConcurrentCrewman, KILLS)
