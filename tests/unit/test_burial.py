"""What becomes of the jobs of a dead subworker, judged from what it left in shared memory."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from farm.model import OutcomeKind
from farm.shm.frames import HeldJob
from farm.shm.generation import READY, GenerationFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.shm.start import StartGate
from farm.supervisor.crew.burial import judge
from farm.supervisor.limits.deadlines import end_job, follow
from farm.supervisor.processes.generation import NONE_OF_THEM, Doom, Generation, Phase, signal_group, timed_out

EXIT_9 = 9 << 8
SIGKILL = 9


def held(job_id: int) -> HeldJob:
    return (0, (1 << 32) + 1, job_id, job_id, 0, 0, 0, 0, b"chores:who", 0, b"[]")


class Subject:
    """Both sides of one generation file: the supervisor's record, and what its subworker does."""

    def __init__(self, path: Path, slots: int = 1) -> None:
        self._file = GenerationFile.create(path, slots=slots, host_id=1)
        self.generation = Generation(
            name="w0.1", number=1, lane="default", host_id=1, file=self._file, wake_fd=os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        )
        self._theirs = GenerationFile.open(path)
        self._jobs = RingConsumer(self._theirs.job_ring)
        self._results = RingProducer(self._theirs.result_ring)
        self._writer = RingConsumer(self._file.result_ring)
        self._gate = StartGate(self._theirs, self._jobs)
        self._theirs.ready = READY
        self.generation.phase = Phase.SERVING

    def give(self, *job_ids: int) -> None:
        assert self.generation.give([held(job_id) for job_id in job_ids]) == len(job_ids)

    def start(self, seq: int, slot: int = 0, deadline_ns: int = 0) -> bool:
        """Mark and start the job of a frame."""
        return self._gate.start(slot, seq, (1 << 32) + 1, seq, seq, 0, 0, 1000 + seq, deadline_ns)

    def block(self, seq: int, slot: int) -> None:
        """Say that the job runs in a thread, where others are awaited."""
        self._theirs.stops.otherwise[slot] = seq

    def publish(self) -> None:
        self._results.put([b"outcome"])

    def clear(self) -> None:
        self._gate.finish(0)

    def run(self, seq: int) -> None:
        assert self.start(seq)
        self.publish()
        self.clear()

    def commit(self, *acked: int) -> None:
        """Consume the result ring; the acks of these frames reach the supervisor."""
        self._writer.read(1000)
        self._writer.release(self._writer.cursor)
        self.generation.settle(acked)

    def die(self, status: int = SIGKILL) -> None:
        self.generation.die(status)

    def close(self) -> None:
        self._gate.close()
        for ring in (self._jobs, self._results, self._writer):
            ring.close()
        self._theirs.close()
        self.generation.close()


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Subject]:
    made = Subject(tmp_path / "w0.1")
    yield made
    made.close()


def test_nothing_started(subject: Subject) -> None:
    """Frames that were never marked go back, in their order."""
    subject.give(1, 2, 3)
    subject.die()
    estate = judge(subject.generation)
    assert (estate.back, estate.outcomes, estate.over) == ([held(1), held(2), held(3)], [], [])


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (SIGKILL, "killed by SIGKILL"),
        (EXIT_9, "exited with code 9 without a result"),
        (0, "exited with code 0"),
        (63, "killed by signal 63"),
    ],
)
def test_running(subject: Subject, status: int, words: str) -> None:
    """A started job without an outcome has crashed, with the reason in words; what stood behind it goes back."""
    subject.give(1, 2, 3)
    subject.run(1)
    subject.commit(1)
    subject.start(2)
    subject.die(status)
    estate = judge(subject.generation)
    assert estate.back == [held(3)]
    assert estate.over == [held(2)]
    (outcome,) = estate.outcomes
    assert (outcome.kind, outcome.job_id, outcome.started_ns) == (OutcomeKind.CRASHED, 2, 1002)
    assert words in orjson.loads(outcome.payload)["message"]


def test_published_and_not_cleared(subject: Subject) -> None:
    """A job whose outcome was published before its slot was cleared has that outcome: its ack has removed it."""
    subject.give(1, 2)
    subject.start(1)
    subject.publish()
    subject.commit(1)
    subject.die()
    estate = judge(subject.generation)
    assert (estate.back, estate.outcomes) == ([held(2)], [])


def test_not_before_the_ring_is_consumed(subject: Subject) -> None:
    """Nothing is judged while a published outcome may be on its way."""
    subject.give(1)
    subject.run(1)
    subject.die()
    assert not subject.generation.consumed
    with pytest.raises(AssertionError, match="on its way"):
        judge(subject.generation)


def test_killed_for_its_time(subject: Subject) -> None:
    """A job that was killed on purpose has the outcome that was noted before the kill."""
    subject.give(1, 2)
    subject.start(1)
    (slot,) = subject.generation.running()
    end_job(subject.generation, slot, Doom(OutcomeKind.TIMED_OUT, "too long", slot.seq))
    assert subject.generation.phase is Phase.DOOMED
    subject.die()
    estate = judge(subject.generation)
    assert [(outcome.kind, outcome.job_id) for outcome in estate.outcomes] == [(OutcomeKind.TIMED_OUT, 1)]
    assert orjson.loads(estate.outcomes[0].payload)["type"] == "TimedOut"
    assert estate.back == [held(2)]


def test_a_kill_never_hits_the_next_job(subject: Subject) -> None:
    """A job that has ended meanwhile is not killed for, and the next one does not start: the recall came first."""
    subject.give(1, 2)
    subject.start(1)
    (slot,) = subject.generation.running()
    subject.publish()
    subject.clear()
    end_job(subject.generation, slot, Doom(OutcomeKind.TIMED_OUT, "too long", slot.seq))
    assert subject.generation.phase is Phase.SERVING
    assert not subject.start(2)
    assert subject.generation.recalled() == [held(2)]


def test_killed_for_another_job(subject: Subject) -> None:
    """A job in the slot of a process that was killed for another one is released: it is not its fault."""
    subject.give(1)
    subject.start(1)
    subject.generation.kill(Doom(OutcomeKind.TIMED_OUT, "too long", 77))
    subject.die()
    (outcome,) = judge(subject.generation).outcomes
    assert outcome.kind == OutcomeKind.RELEASED


def test_many_over_their_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of many in one process, those over their time at the look that killed it are timed out, the others released; one line tells."""
    subject = Subject(tmp_path / "w0.1", slots=5)
    subject.give(1, 2, 3, 4, 5)
    for slot, deadline_ns in enumerate((5000, 0, 9000, 4000)):
        subject.start(slot + 1, slot, deadline_ns)
        subject.block(slot + 1, slot)
    overdue = subject.generation.file.slots.overdue(5000)
    assert [row.seq for row in overdue] == [1, 4]
    for row in overdue:
        end_job(subject.generation, row, timed_out(row, 5000))
    subject.die()
    estate = judge(subject.generation)
    kinds = {outcome.job_id: outcome.kind for outcome in estate.outcomes}
    assert kinds == {1: OutcomeKind.TIMED_OUT, 2: OutcomeKind.RELEASED, 3: OutcomeKind.RELEASED, 4: OutcomeKind.TIMED_OUT}
    assert estate.back == [held(5)]
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["w0 (default), while it ran job 1 and 3 more"]
    subject.close()


def test_asked_first(tmp_path: Path) -> None:
    """A job that can be cancelled is asked, once; if it is in vain, and it has not ended meanwhile, its subworker is ended for it."""
    subject = Subject(tmp_path / "w0.1", slots=3)
    generation = subject.generation
    subject.give(1, 2, 3)
    for seq in (1, 2):
        subject.start(seq, seq - 1)
    first, second = generation.running()
    for _ in range(2):
        end_job(generation, first, Doom(OutcomeKind.TIMED_OUT, "too long", 1))
    end_job(generation, second, Doom(OutcomeKind.CANCELLED, "nobody wants it", 2))
    assert generation.file.stopping == 2
    assert generation.file.stops.of(1, 2) == (2, OutcomeKind.CANCELLED, "nobody wants it")
    assert (generation.file.stops.of(1, 1), generation.phase, generation.recall_active) == (None, Phase.SERVING, False)
    subject.publish()
    subject.clear()
    follow(generation, 0.0)
    assert list(generation.asked) == [2]
    follow(generation, float("inf"))
    assert (generation.phase, generation.recall_active) == (Phase.DOOMED, True)
    subject.commit(1)
    subject.die()
    estate = judge(generation)
    (outcome,) = estate.outcomes
    assert (outcome.job_id, outcome.kind) == (2, OutcomeKind.CANCELLED)
    assert orjson.loads(outcome.payload) == {"type": "Cancelled", "message": "nobody wants it", "traceback": ""}
    assert estate.back == [held(3)]
    subject.close()


def test_a_doom_for_each(tmp_path: Path) -> None:
    """Of jobs in a subworker that was told to end, one that is to end for another reason does so; nobody's fault releases all."""
    subject = Subject(tmp_path / "w0.1", slots=3)
    subject.give(1, 2, 3)
    for seq in (1, 2, 3):
        subject.start(seq, seq - 1)
    generation = subject.generation
    generation.kill(Doom(OutcomeKind.MEMORY, "too much", NONE_OF_THEM))
    end_job(generation, generation.running()[1], Doom(OutcomeKind.CANCELLED, "nobody wants it", 2))
    subject.die()
    kinds = [outcome.kind for outcome in judge(generation).outcomes]
    assert kinds == [OutcomeKind.RELEASED, OutcomeKind.CANCELLED, OutcomeKind.RELEASED]
    subject.close()


def test_broken_ring(subject: Subject) -> None:
    """With a result ring that was overwritten nobody can tell what had ended: all that was marked counts as crashed."""
    subject.give(1, 2, 3)
    subject.run(1)
    subject.run(2)
    subject.generation.file.broken = 1
    subject.die()
    estate = judge(subject.generation)
    assert [(outcome.kind, outcome.job_id) for outcome in estate.outcomes] == [(OutcomeKind.CRASHED, 1), (OutcomeKind.CRASHED, 2)]
    assert estate.back == [held(3)]
    assert estate.over == [held(1), held(2)]


def test_others_may_still_look_at_the_buried(tmp_path: Path) -> None:
    """A buried generation can be read by a thread that is just doing so; its memory goes with the last one who holds it."""
    gc.disable()
    try:
        buried = Subject(tmp_path / "w0.1")
        buried.give(1)
        buried.start(1)
        buried.die()
        generation, file = buried.generation, weakref.ref(buried.generation.file)
        buried.close()
        del buried
        assert not (tmp_path / "w0.1").exists()
        assert [slot.job_id for slot in generation.running()] == [1]
        assert (generation.started, generation.unstarted) == (1, 0)
        del generation
        assert file() is None
    finally:
        gc.enable()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a process another user's")
def test_a_child_that_is_another_users() -> None:
    """A child that may not be signalled is passed over: an unhandled error would end the supervisor."""
    child = os.fork()
    if not child:
        os.setresuid(12345, 12345, 12345)
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            os.kill(child, 0)
        signal_group(child, signal.SIGKILL)
    finally:
        os.seteuid(0)
        os.waitpid(child, 0)
