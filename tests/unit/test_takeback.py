"""No job waits behind another while somebody is idle: the supervisor as it is, against subworkers that are played, by a clock of ours."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.config.model import Lane as LaneConfig
from farm.shm.frames import HeldJob, unpack_jobs
from farm.shm.generation import READY, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.start import StartGate
from farm.supervisor.burial import judge
from farm.supervisor.generation import FULL, Generation, Phase
from farm.supervisor.handover import Handover
from farm.supervisor.lane import Lane, share_out
from farm.supervisor.origins import Origins
from farm.supervisor.takeback import IDLE_S, PAUSE_S, STUCK_S, WORK_S, Balance, Load, TakeBack
from farm.supervisor.witness import Witness

WAIT_S_MAX = IDLE_S + WORK_S + PAUSE_S + 0.02
"""How long a job may wait in the ring of a busy subworker while another one has nothing to do: what is allowed for, and a little."""

QUICK = 3000
"""Jobs of a tenth of a millisecond that make the buffers deep."""


class Actor:
    """Plays a subworker of so many slots: what it does takes no time, jobs take as many milliseconds as their ids say."""

    def __init__(self, path: Path, number: int, slots: int) -> None:
        file = GenerationFile.create(path, slots=slots, host_id=1)
        wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.generation = Generation(name=path.name, number=number, lane="default", host_id=1, file=file, wake_fd=wake_fd)
        self.generation.phase = Phase.SERVING
        self._theirs = GenerationFile.open(path)
        self._theirs.ready = READY
        self._jobs = RingConsumer(self._theirs.job_ring)
        self._gate = StartGate(self._theirs, self._jobs)
        self._taken: list[tuple[int, int]] = []
        self._next_seq = 1
        self._running: dict[int, tuple[float, int]] = {}
        self._slots = slots
        self._answered = self._wish = 0
        self.started: list[int] = []
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
            assert self._gate.start(slot, seq, 1, 0, job, 0, 0, 1, 0)
            self._running[slot] = now + lengths_s[job], seq
            self.started.append(job)
            if self._wish != self._theirs.refill <= seq:
                self._wish = self._theirs.refill
                wakes = True
        return wakes

    def _take(self) -> list[tuple[int, int]]:
        """Take a frame out of the ring: (sequence, job) of each of its jobs."""
        taken: list[tuple[int, int]] = []
        for _seq, _kind, _flags, payload in self._jobs.take(1):
            jobs = unpack_jobs(payload)
            taken += enumerate(jobs.job_ids, jobs.first_seq)
            self._next_seq = jobs.first_seq + len(jobs.job_ids)
        return taken

    def close(self) -> None:
        self._gate.close()
        self._jobs.close()
        self._theirs.close()
        self.generation.close()


class Stage:
    """A lane, its subworkers, and the part under test."""

    def __init__(self, directory: Path, subworkers: int, slots: int) -> None:
        config = LaneConfig(name="default", queues=("*",), subworkers=subworkers, concurrency=slots, memory_bytes=1 << 28)
        self.lane = Lane(config, claim_max=2000, witness=Witness(hurry=lambda: None, wake=lambda: None))
        self.actors = [Actor(directory / f"w{number}.1", number, slots) for number in range(subworkers)]
        for actor in self.actors:
            self.lane.add(actor.generation)
        self.part = TakeBack([self.lane], Handover([self.lane], origins=Origins(in_use=lambda: ()), give_back=lambda jobs: None))
        self.begun = self.now = 100.0
        self.lengths_s: list[float] = []
        self.waited_s = 0.0
        """The longest that a job has waited in the ring of a busy one while another one had nothing to do."""
        self._since: dict[int, float] = {}
        self._woken = False
        self._look_at = float("inf")

    def arrive(self, lengths_s: Sequence[float]) -> None:
        """Have jobs arrive that take so long."""
        first = len(self.lengths_s)
        self.lengths_s.extend(lengths_s)
        self.lane.claimed += len(lengths_s)
        self.lane.arrive(len(lengths_s), [held(job) for job in range(first, len(self.lengths_s))])
        self._woken = True

    def turn(self, until: float = float("inf")) -> bool:
        """Do all that happens now, then let time pass to what happens next; False if nothing will, before that time.

        The supervisor does something only when it is woken, or when it said that it would.
        """
        self._work()
        while self._woken or self.now >= self._look_at:
            self._woken = False
            self.lane.finish_recalls()
            self.lane.dispatch(self.now)
            self._look_at = self.now + self.part.step(self.now)
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
        waiting = self._waiting() if any(actor.generation.spare for actor in self.actors) else set()
        self._since = {job: self._since.get(job, self.now) for job in waiting}
        self.waited_s = max([self.waited_s, *(self.now - since for since in self._since.values())])

    def _waiting(self) -> set[int]:
        found = set()
        for actor in self.actors:
            if actor.generation.waiting:
                handed = list(actor.generation.handed.items())
                found |= {job_of(job) for seq, job in handed if seq > actor.generation.file.marked}
        return found

    def close(self) -> None:
        for actor in self.actors:
            actor.close()


def held(job: int) -> HeldJob:
    return (0, 1, job, 0, 0, 0, 0, 0, b"chores:who", b"[]")


@contextmanager
def staged(subworkers: int, slots: int = 1) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="test-takeback-") as directory:
        stage = Stage(Path(directory), subworkers, slots)
        try:
            yield stage
        finally:
            stage.close()


LENGTHS_S = st.one_of(st.integers(1, 5), st.integers(1, 100), st.integers(1, 2000)).map(lambda ms: ms / 1000)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_job_waits_long_while_somebody_is_idle(data: st.DataObject) -> None:
    """Whatever the lengths of the jobs, from 1 ms to 2 s in any order and any bursts, and every job is started once."""
    bursts = data.draw(st.lists(st.lists(LENGTHS_S, min_size=1, max_size=40), min_size=1, max_size=4))
    gaps = data.draw(st.lists(st.floats(0, 1), min_size=len(bursts), max_size=len(bursts)))
    quick = data.draw(st.sampled_from([0, 300, QUICK]))
    """Jobs of a tenth of a millisecond ahead of them, which deepen the buffers."""
    with staged(4, data.draw(st.sampled_from([1, 1, 3]))) as stage:
        stage.arrive([0.0001] * quick)
        for gap, burst in zip(gaps, bursts, strict=True):
            begun = stage.now
            while stage.turn(begun + gap):
                pass
            stage.now = begun + gap
            stage.arrive(burst)
        while stage.turn():
            pass
        started = [job for actor in stage.actors for job in actor.started]
        assert sorted(started) == list(range(len(stage.lengths_s)))
        assert stage.waited_s <= WAIT_S_MAX
        assert [actor.generation.started for actor in stage.actors] == [len(actor.started) for actor in stage.actors]
        assert stage.lane.buffered == 0
        assert all(actor.recalls <= 1 + (stage.now - stage.begun) / PAUSE_S for actor in stage.actors)


def behind_a_long_one(stage: Stage, following: int) -> tuple[Actor, list[int]]:
    """Have a long job and others arrive where the rings are filled far ahead; returns who runs it, and what waits behind it."""
    stage.arrive([0.0001] * QUICK)
    while stage.turn():
        pass
    stage.arrive([60.0] + [0.005] * following)
    stage.turn()
    victim = next(actor for actor in stage.actors if actor.started[-1] == QUICK)
    waiting = [job for job in handed_to(victim) if job > QUICK]
    assert len(waiting) > 5
    return victim, waiting


def test_short_jobs_pass_a_long_one() -> None:
    """What was handed out behind a job that turns out long is run by the other one, as soon as that one is idle."""
    with staged(2) as stage:
        victim, _waiting = behind_a_long_one(stage, 100)
        while stage.turn(stage.begun + 30):
            pass
        assert victim.started[-1] == QUICK
        assert sum(len(actor.started) for actor in stage.actors) == len(stage.lengths_s)
        assert stage.waited_s <= WAIT_S_MAX


def test_jobs_behind_a_long_one_are_not_overtaken_for_ever() -> None:
    """Though the others always have work, what waits in a ring that does not move is held again, ahead of the rest."""
    with staged(2) as stage:
        victim, waiting = behind_a_long_one(stage, 2000)
        (other,) = [actor for actor in stage.actors if actor is not victim]
        begun = stage.now
        while not victim.generation.recall_active:
            assert other.busy
            assert stage.turn(begun + STUCK_S + 0.1)
        assert [job_of(job) for job in stage.lane.held][: len(waiting)] == waiting
        while stage.turn(begun + 30):
            pass
        assert set(waiting) <= set(other.started)


def test_one_that_dies_while_it_is_recalled() -> None:
    """What was taken from it runs elsewhere, what it ran has crashed, and nothing is done twice."""
    with staged(2) as stage:
        victim, waiting = behind_a_long_one(stage, 20)
        while not victim.generation.recall_active:
            assert stage.turn(stage.begun + 30)
        victim.generation.die(9)
        estate = judge(victim.generation)
        assert ([outcome.job_id for outcome in estate.outcomes], estate.back) == ([QUICK], [])
        assert set(waiting) <= {job for actor in stage.actors if actor is not victim for job in [*actor.started, *handed_to(actor)]}


def job_of(job: HeldJob) -> int:
    return job[2]


def handed_to(actor: Actor) -> list[int]:
    return [job_of(job) for job in actor.generation.handed.values()]


def load(number: int, *, spare: int = 0, waiting: int = 0, waiting_s: float = 0.0, started: int = 0) -> Load:
    return Load(number, spare, waiting, waiting_s, started)


def test_not_before_both_have_stood_for_a_while() -> None:
    """A slot that has just become free, and a ring that has just moved, are left alone; the next look comes when that is over."""
    balance = Balance()
    now = 1.0
    for started in range(3):
        victims, wait_s = balance.decide([load(0, spare=1), load(1, waiting=3, started=started)], now, held=False)
        assert victims == []
        assert wait_s == pytest.approx(IDLE_S)
        now += wait_s
    assert balance.decide([load(0, spare=1), load(1, waiting=3, started=2)], now, held=False)[0] == [1]
    victims, wait_s = balance.decide([load(0, spare=1), load(1, waiting=3, started=2)], now, held=False)
    assert victims == []
    assert wait_s == pytest.approx(PAUSE_S)


def test_a_ring_that_moves_is_left_alone_when_it_is_soon_empty() -> None:
    """A moment's work is not worth a round trip; more than that is."""
    balance = Balance()
    for tick in range(10):
        assert balance.decide([load(0, spare=1), load(1, waiting=9, waiting_s=WORK_S / 2, started=tick)], tick / 100, held=False)[0] == []
    assert balance.decide([load(0, spare=1), load(1, waiting=9, waiting_s=WORK_S * 2, started=11)], 0.2, held=False)[0] == [1]


def test_no_more_are_recalled_than_it_takes() -> None:
    """The fullest ring first, and as many as there are idle slots."""
    balance = Balance()
    loads = [load(0, spare=2), load(1, waiting=1), load(2, waiting=3), load(3, waiting=2), load(4, spare=2)]
    assert balance.decide(loads, 1.0, held=False)[0] == []
    assert balance.decide(loads, 1.1, held=False)[0] == [2, 3]


def test_nobody_is_idle_while_jobs_are_held() -> None:
    """With held jobs only a ring that has not moved for long is recalled, and not if its subworker is the only one."""
    balance, alone = Balance(), Balance()
    loads = [load(0, spare=1), load(1, waiting=3)]
    for now in (1.0, 1.0 + STUCK_S / 2):
        assert balance.decide(loads, now, held=True)[0] == []
        assert alone.decide(loads[1:], now, held=True)[0] == []
    assert balance.decide(loads, 1.1 + STUCK_S, held=True)[0] == [1]
    assert alone.decide(loads[1:], 1.1 + STUCK_S, held=True)[0] == []


def test_who_is_recalled_has_nothing_to_give_and_takes_nothing() -> None:
    """Until it answers, it is neither idle nor busy, and frames are not given to it."""
    with staged(2) as stage:
        generation = stage.actors[0].generation
        generation.give([held(0), held(1)])
        generation.recall()
        assert (generation.spare, generation.waiting, generation.appetite(stage.now)) == (0, 0, FULL)
        assert generation.recall_now() == [held(0), held(1)]
        assert generation.recalled() is None
        stage.actors[0].work(stage.now, [1.0, 1.0])
        assert generation.recalled() == []
        generation.lift_recall()
        assert (generation.spare, generation.waiting, generation.started) == (1, 0, 0)


@given(st.integers(0, 100), st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8))
def test_shares(jobs: int, appetites: list[tuple[int, int]]) -> None:
    """Nobody gets more than it asked for; idle slots come before buffers, and no buffer is filled while another one gets nothing."""
    shares = share_out(jobs, appetites)
    spares = sum(spare for spare, _behind in appetites)
    behind = [share - spare for share, (spare, wanted) in zip(shares, appetites, strict=True) if wanted]
    assert all(0 <= share <= sum(appetite) for share, appetite in zip(shares, appetites, strict=True))
    assert sum(shares) <= jobs
    assert sum(min(share, spare) for share, (spare, _behind) in zip(shares, appetites, strict=True)) == min(jobs, spares)
    if jobs >= spares + len(behind):
        assert min(behind, default=1) >= 1
    else:
        assert all(extra <= 0 for extra in behind)
