"""Two real subworkers, recalls and SIGKILLs at random: every job is in one place at the end, and none has run twice."""

from __future__ import annotations

import mmap
import os
import random
import select
import time
from collections import deque
from pathlib import Path

import pytest

from farm.shm.generation import GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.shm.start import Recall, SoleGate
from tests.shm.child import Child

pytestmark = pytest.mark.kill

KILLS = 600
BATCH = 32
JOBS_AHEAD = 200
SLEEP_MS_MAX = 30_000
"""Longer than the test may take: a wake that is lost shows itself as a test that does not end."""


class Crewman:
    """A subworker as a child process: its file, what it holds, and what its supervisor does with it."""

    slots = 1

    def __init__(self, path: Path, runs: memoryview, kill_at: int) -> None:
        self.kill_at = kill_at
        """Marked sequence at which it is to be killed."""
        self.file = GenerationFile.create(path, slots=self.slots, host_id=1, job_bytes=16 << 10, result_bytes=16 << 10)
        self.file.gate_ns = 1 << 62
        self._wakes = os.eventfd(0, os.EFD_NONBLOCK)
        self._jobs = RingProducer(self.file.job_ring, wake=self._wake)
        self._results = RingConsumer(self.file.result_ring, wake_producer=self._wake)
        self.handed: dict[int, int] = {}
        self.recall = Recall(self.file, wake=self._wake)
        self.child = Child(lambda: self.serve(runs))

    def serve(self, runs: memoryview) -> None:
        """Be the subworker, in the child."""
        run_subworker(self.file, self._wakes, runs)

    def seq_of(self, flags: int, outcome: bytes) -> int:
        """Read of which frame a result tells."""
        return int.from_bytes(outcome[:8], "little")

    def send(self, jobs: deque[int]) -> None:
        """Hand over what fits, but nothing during a recall."""
        if self.recall.active or len(self.handed) > JOBS_AHEAD:
            return
        batch = [jobs.popleft() for _ in range(min(BATCH, len(jobs)))]
        written = self.put(batch)
        jobs.extendleft(reversed(batch[written:]))

    def put(self, batch: list[int]) -> int:
        """Put jobs into the ring; returns how many fitted."""
        seq = self._jobs.next_seq
        written = self._jobs.put([job.to_bytes(8, "little") for job in batch])
        self.handed.update(zip(range(seq, seq + written), batch, strict=False))
        return written

    def collect(self) -> list[int]:
        """Return the jobs whose results have come, as the writer and its acks would tell."""
        ended = []
        for _, _, flags, payload in self._results.take(BATCH):
            seq = self.seq_of(flags, payload)
            assert self.slots > 1 or next(iter(self.handed), None) == seq, "an earlier frame was handed over and never started"
            ended.append(self.handed.pop(seq))
        return ended

    def take_back(self) -> list[int]:
        """Return the jobs that a recall has brought back so far; lift it when it is answered."""
        taken = self.recall.state()
        back = [self.handed.pop(seq) for seq in sorted(self.handed) if seq >= taken.mine_from]
        if taken.finished:
            self.recall.end()
        return back

    def bury(self) -> tuple[list[int], list[int], list[int]]:
        """Judge what a dead subworker held: (ended, crashed, not started)."""
        ended: list[int] = []
        while more := self.collect():
            ended += more
        crashed = [self.handed.pop(row.seq) for row in self.file.slots.running() if row.seq in self.handed]
        back = list(self.handed.values())
        if self.recall.active:
            self.recall.end(dead=True)
        os.close(self._wakes)
        self._jobs.close()
        self._results.close()
        self.file.close()
        self.file.unlink()
        return ended, crashed, back

    def _wake(self) -> None:
        os.eventfd_write(self._wakes, 1)


def run_subworker(file: GenerationFile, wakes: int, runs: memoryview) -> None:
    """What a subworker does, with a count in shared memory as its only job."""
    jobs, results = RingConsumer(file.job_ring), RingProducer(file.result_ring)
    gate = SoleGate(file, jobs)
    sleeper = select.poll()
    sleeper.register(wakes, select.POLLIN)

    def sleep() -> None:
        assert sleeper.poll(SLEEP_MS_MAX), "nobody woke this subworker"
        os.eventfd_read(wakes)

    while True:
        first = jobs.next_seq
        frames = jobs.take(BATCH)
        for seq, _, _, payload in frames:
            if gate.blocked(time.clock_gettime_ns(time.CLOCK_BOOTTIME)):
                first = seq
                break
            job = int.from_bytes(payload, "little")
            if not gate.start(0, seq, 1, 0, job, 0, 0, 0, 0):
                break
            runs[job] += 1
            while not results.publish(1, 0, seq.to_bytes(8, "little") + payload):
                if results.want_space(16):
                    sleep()
            gate.finish(0)
        else:
            first = jobs.next_seq
        while gate.recall_number:
            gate.acknowledge(first)
            if jobs.arm():
                sleep()
        if not frames and jobs.arm() and not gate.recall_number:
            sleep()


class Farm:
    """A crew of two, and the books of a supervisor that hands out numbered jobs without end."""

    def __init__(self, directory: Path, runs: memoryview, crewman: type[Crewman] = Crewman) -> None:
        self._crewman = crewman
        self._directory = directory
        self._runs = runs
        self._chance = random.Random(3)
        self.jobs = self.kills = self.recalls = self.taken_back = 0
        self.waiting: deque[int] = deque()
        self.ended: list[int] = []
        self.crashed: list[int] = []
        self.crew = [self._hire(0), self._hire(1)]

    def step(self) -> None:
        """Hand out, collect, and by chance recall or kill."""
        while len(self.waiting) < 4 * BATCH and self.jobs < len(self._runs):
            self.waiting.append(self.jobs)
            self.jobs += 1
        for k, man in enumerate(self.crew):
            assert man.child.alive
            man.send(self.waiting)
            self.ended += man.collect()
            if man.recall.active:
                back = man.take_back()
                self.taken_back += len(back)
                self.waiting.extendleft(back)
            elif self._chance.random() < 0.02:
                man.recall.begin()
                self.recalls += 1
            if man.file.marked >= man.kill_at:
                self.kill(man)
                self.crew[k] = self._hire(k)

    def kill(self, man: Crewman) -> None:
        """Kill a subworker and judge what it held."""
        man.child.kill()
        self.kills += 1
        ended, crashed, back = man.bury()
        self.ended += ended
        self.crashed += crashed
        self.waiting.extend(back)

    def _hire(self, k: int) -> Crewman:
        return self._crewman(self._directory / f"w{k}.{self.kills}", self._runs, self._chance.randrange(1, 800))


def test_every_job_is_in_one_place_and_none_runs_twice(directory: Path) -> None:
    run_farm(directory, Crewman, KILLS)


def run_farm(directory: Path, crewman: type[Crewman], kills: int) -> None:
    """Kill so many, then look into the books."""
    runs = memoryview(mmap.mmap(-1, 16 << 20))
    farm = Farm(directory, runs, crewman)
    try:
        while farm.kills < kills:
            farm.step()
    finally:
        for man in farm.crew:
            farm.kill(man)
    assert list(directory.iterdir()) == []
    assert sorted([*farm.ended, *farm.crashed, *farm.waiting]) == list(range(farm.jobs))
    assert {runs[job] for job in farm.ended} == {1}
    assert {runs[job] for job in farm.crashed} <= {0, 1}, "killed between the start and the first line of the job: it has not run"
    assert {runs[job] for job in farm.waiting} <= {0}
    assert farm.recalls > 50
    assert farm.taken_back > farm.recalls
    runs.release()
