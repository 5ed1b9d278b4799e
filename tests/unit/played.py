"""Subworkers that are played, and a supervisor's lanes as they are, by a clock of the test's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from farm.config.model import Lane as LaneConfig
from farm.shm.frames import HeldJob, unpack_jobs
from farm.shm.generation import READY, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.start import StartGate
from farm.supervisor.lanes.handover import Handover
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.origins import Origin, Origins
from farm.supervisor.lanes.takeback import TakeBack
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.processes.generation import Generation, Phase


class Actor:
    """Plays a subworker of so many slots: what it does takes no time, jobs take as many milliseconds as their ids say."""

    def __init__(self, path: Path, number: int, lane: str, slots: int) -> None:
        file = GenerationFile.create(path, slots=slots, host_id=1)
        wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.generation = Generation(name=path.name, number=number, lane=lane, host_id=1, file=file, wake_fd=wake_fd)
        self.generation.phase = Phase.SERVING
        self._theirs = GenerationFile.open(path)
        self._theirs.ready = READY
        self._jobs = RingConsumer(self._theirs.job_ring)
        self._gate = StartGate(self._theirs, self._jobs)
        self._taken: list[tuple[int, int]] = []
        self._timeouts: dict[int, int] = {}
        self._next_seq = 1
        self._running: dict[int, tuple[float, int]] = {}
        self._slots = slots
        self._answered = self._wish = 0
        self.started: list[int] = []
        self.timeouts: list[int] = []
        """In milliseconds, of each that was started."""
        self.recalls = 0
        self._asleep = False

    @property
    def next_end(self) -> float:
        return min((end for end, _seq in self._running.values()), default=float("inf"))

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def work(self, now: float, lengths_s: Sequence[float]) -> bool:
        """End and start what is due. True if the supervisor is woken for it."""
        for slot, (end, seq) in list(self._running.items()):
            if end <= now:
                self._asleep = False
                self._gate.finish(slot)
                self.generation.settle([seq])
                del self._running[slot]
        wakes = False
        while len(self._running) < self._slots:
            self._taken = self._taken or self._take()
            if recall := self._gate.recall_number:
                if recall != self._answered:
                    first = self._taken[0][0] if self._taken else self._next_seq
                    self._gate.acknowledge(first)
                    self._taken, self._answered = [], recall
                    self.recalls += 1
                    wakes = True
                return wakes
            if not self._taken:
                asleep, self._asleep = self._asleep, True
                return wakes or not asleep
            self._asleep = False
            seq, job = self._taken.pop(0)
            slot = min(set(range(self._slots)) - set(self._running))
            assert self._gate.start(slot, seq, 1, 0, job, 0, 0, int(now * 1e9), 0)
            self._running[slot] = now + lengths_s[job], seq
            self.started.append(job)
            self.timeouts.append(self._timeouts[seq])
            if self._wish != self._theirs.refill <= seq:
                self._wish = self._theirs.refill
                wakes = True
        return wakes

    def _take(self) -> list[tuple[int, int]]:
        """Take a frame out of the ring: (sequence, job) of each of its jobs."""
        taken: list[tuple[int, int]] = []
        for _seq, _kind, _flags, payload in self._jobs.take(1):
            jobs = unpack_jobs(payload)
            self._timeouts.update(dict.fromkeys(range(jobs.first_seq, jobs.first_seq + len(jobs.job_ids)), jobs.timeout_ms))
            taken += enumerate(jobs.job_ids, jobs.first_seq)
            self._next_seq = jobs.first_seq + len(jobs.job_ids)
        return taken

    def close(self) -> None:
        self._gate.close()
        self._jobs.close()
        self._theirs.close()
        self.generation.close()


class Stage:
    """Lanes, their subworkers, and the parts under test."""

    def __init__(self, directory: Path, configs: Sequence[LaneConfig]) -> None:
        witness = Witness(hurry=lambda: None, wake=lambda: None)
        self.lanes = [Lane(config, claim_max=2000, witness=witness) for config in configs]
        self.lane = self.lanes[0]
        self.actors: list[Actor] = []
        for lane in self.lanes:
            for _ in range(lane.config.subworkers):
                number = len(self.actors)
                actor = Actor(directory / f"w{number}.1", number, lane.name, lane.config.concurrency)
                self.actors.append(actor)
                lane.add(actor.generation)
        self.given_back: list[int] = []
        """Jobs that were released."""
        self.origins = Origins(in_use=lambda: set[int]().union(*(lane.leases() for lane in self.lanes)))
        self.handover = Handover(self.lanes, origins=self.origins, give_back=lambda jobs: self.given_back.extend(map(job_of, jobs)))
        self.part = TakeBack(self.lanes, self.handover)
        self.begun = self.now = 100.0
        self.lengths_s: list[float] = []
        self.waited_s = 0.0
        """The longest that a job has waited in a lane or the ring of a busy one while another one that may have it had nothing to do."""
        self._since: dict[int, float] = {}
        self._leases = 0
        self.queues: list[str] = []
        """Of each job."""
        self._woken = False
        self._look_at = float("inf")

    def arrive(self, lengths_s: Sequence[float], lane: Lane | None = None, queue: str = "default") -> None:
        """Have jobs arrive that take so long, claimed by a lane from a queue."""
        lane = lane or self.lane
        first = len(self.lengths_s)
        self._leases += 1
        self.origins.note(self._leases, Origin(frozenset({queue})))
        self.lengths_s.extend(lengths_s)
        self.queues.extend([queue] * len(lengths_s))
        lane.claimed += len(lengths_s)
        lane.arrive(len(lengths_s), [held(job, self._leases) for job in range(first, len(self.lengths_s))])
        self._woken = True

    @staticmethod
    def is_settled(lane: Lane) -> bool:
        """Tell whether it has no job any more, nor any under way."""
        return lane.claimed == lane.arrived and not lane.waiting and not any(generation.handed for generation in lane.generations)

    def queue_of(self, job: int) -> str:
        return self.queues[job]

    def actors_of(self, lane: Lane) -> list[Actor]:
        return [actor for actor in self.actors if actor.generation in lane.generations]

    def wake(self) -> None:
        """Have the supervisor look."""
        self._woken = True

    def turn(self, until: float = float("inf")) -> bool:
        """Do all that happens now, then let time pass to what happens next; False if nothing will, before that time.

        The supervisor does something only when it is woken, or when it said that it would.
        """
        self._work()
        while self._woken or self.now >= self._look_at:
            self._woken = False
            for lane in self.lanes:
                lane.finish_recalls()
                lane.dispatch(self.now)
                for generation in lane.astir:
                    if generation.may_rest:
                        lane.let_rest(generation)
            self._look_at = self.now + min(self.handover.step(self.now), self.part.step(self.now))
            self._work()
        self._note_waiting()
        coming = min(self._look_at, *(actor.next_end for actor in self.actors))
        if coming < until:
            self.now = coming
        return coming < until

    def _work(self) -> None:
        for actor in self.actors:
            self._woken |= actor.work(self.now, self.lengths_s)

    def _note_waiting(self) -> None:
        idle = [lane for lane in self.lanes if any(actor.generation.spare for actor in self.actors_of(lane)) and not lane.held_by]
        waiting = [job for job in self._waiting() if any(lane.serves(Origin(frozenset({self.queues[job]}))) for lane in idle)]
        self._since = {job: self._since.get(job, self.now) for job in waiting}
        self.waited_s = max([self.waited_s, *(self.now - since for since in self._since.values())])

    def _waiting(self) -> set[int]:
        found = {job_of(job) for lane in self.lanes for job in lane.held}
        for actor in self.actors:
            if actor.generation.waiting:
                found |= set(map(job_of, actor.generation.unstarted_jobs()))
        return found

    def close(self) -> None:
        for actor in self.actors:
            actor.close()


def held(job: int, lease_id: int = 1) -> HeldJob:
    return (0, lease_id, job, 0, 0, 0, 0, 0, b"chores:who", 0, b"[]")


def job_of(job: HeldJob) -> int:
    return job[2]


def handed_to(actor: Actor) -> list[int]:
    return [job_of(job) for job in actor.generation.handed.values()]


def lane_config(name: str = "default", queues: Sequence[str] = ("*",), subworkers: int = 1, slots: int = 1) -> LaneConfig:
    return LaneConfig(name=name, queues=tuple(queues), subworkers=subworkers, concurrency=slots, memory_bytes=1 << 28)


@contextmanager
def staged(*configs: LaneConfig) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="test-lanes-") as directory:
        stage = Stage(Path(directory), configs)
        try:
            yield stage
        finally:
            stage.close()
