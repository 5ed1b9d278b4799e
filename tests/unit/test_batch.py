"""When the writer commits, and in which order it does what belongs to a commit. A fake clock, a fake store, real rings."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from farm.errors import StoreError, StoreUnavailable
from farm.model import CommitReport, FailedAttempt, Outcome, OutcomeKind, Outcomes
from farm.shm.frames import SPILLED, pack_outcome
from farm.shm.ring import RingConsumer, format_ring, ring_bytes
from farm.shm.spill import Spill
from farm.shm.successes import SuccessProducer
from farm.writer.batch import ACKS_A_FRAME_MAX, AWAITED_SHARE, IDLE_S, Batch
from farm.writer.sources import SPILL_GONE, Source

RING_BYTES = 1 << 18
MS = 1_000_000
AGE_S = 0.02


class NoFile:
    def close(self) -> None:
        pass


class FakeCommits:
    """Plays the store: remembers what it was given, fails when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], bool]] = []
        self.error: StoreError | None = None
        self.tails: list[int] = []
        self.watched: list[RingConsumer] = []
        self.failed: list[FailedAttempt] = []

    def commit(self, outcomes: Outcomes, *, now_ns: int, again: bool = False) -> CommitReport:
        self.calls.append((outcomes.job_ids(), again))
        self.tails = [ring.tail for ring in self.watched]
        if self.error is not None:
            raise self.error
        return CommitReport(len(outcomes), 0, 0, 0, 0)

    def take_failed(self) -> list[FailedAttempt]:
        failed, self.failed = self.failed, []
        return failed


class Desk:
    """One batch with its sources, and a producer for each."""

    def __init__(self, directory: Path, *, batch_max: int = 1000, sources: int = 1) -> None:
        self.store = FakeCommits()
        self.acks: list[tuple[int, list[int]]] = []
        self.reports: list[CommitReport] = []
        self.broken: list[str] = []
        self.failed: list[tuple[FailedAttempt, str]] = []
        self.directory = directory
        self.memories = [memoryview(bytearray(ring_bytes(RING_BYTES))) for _ in range(sources)]
        for memory in self.memories:
            format_ring(memory, RING_BYTES)
        self.producers = [SuccessProducer(memory) for memory in self.memories]
        self.attach(batch_max)
        self._frames = 0

    def attach(self, batch_max: int = 1000) -> None:
        """Be a new writer over the same rings."""
        self.batch = Batch(
            commits=self.store,
            acknowledge=self._acknowledge,
            batch_max=batch_max,
            age_max_s=AGE_S,
            report=self.reports.append,
            failed=lambda failed, lanes: self.failed.extend(zip(failed, lanes, strict=True)),
        )
        self.sources = [self.source_of(memory, f"w{index}.1", number=index + 1) for index, memory in enumerate(self.memories)]
        self.store.watched = [source.ring for source in self.sources]

    def source_of(self, memory: memoryview, name: str, *, number: int = 0, lane: str = "", lanes: dict[int, str] | None = None) -> Source:
        return Source(
            name=name,
            spill_owner=f"run.{name}",
            number=number,
            ring=RingConsumer(memory),
            file=NoFile(),
            generation=None,
            wake_fd=None,
            spill=Spill(self.directory, owner="writer", bytes_max=1 << 30),
            on_broken=self.broken.append,
            lane=lane,
            lanes=lanes,
        )

    def publish(self, job_id: int, *, at_ns: int, source: int = 0, payload: bytes = b"1", flags: int = 0) -> None:
        self._frames += 1
        if not flags:
            assert self.producers[source].publish_success(1 << 32, job_id, job_id, job_id, 1, 2, at_ns, payload)
            return
        outcome = Outcome(1 << 32, job_id, job_id, 0, OutcomeKind.SUCCEEDED, at_ns, at_ns, payload)
        assert self.producers[source].put_frames([(outcome.kind, flags, pack_outcome(outcome, job_id))]) == 1

    def fill(self) -> None:
        self.batch.fill(self.sources)

    def due_in_ms(self, now_ns: int) -> float:
        self.fill()
        return round(self.batch.due_in_s(now_ns, self.sources) * 1000, 3)

    def committed(self) -> list[int]:
        return [job_id for job_ids, _again in self.store.calls for job_id in job_ids]

    def _acknowledge(self, number: int, packed: bytes) -> None:
        assert all(source.ring.tail == tail for source, tail in zip(self.sources, self.store.tails, strict=True)), "acks before tails"
        words = array("Q")
        words.frombytes(packed)
        self.acks.append((number, list(words)))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def busy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "busy", True)


def test_nothing_to_do(desk: Desk) -> None:
    """Without an outcome the writer sleeps long."""
    assert desk.due_in_ms(0) == IDLE_S * 1000


def test_a_single_outcome_after_a_pause(desk: Desk) -> None:
    """An outcome that comes when nothing else runs and the last commit is long ago is committed at once."""
    desk.publish(1, at_ns=1000 * MS)
    assert desk.due_in_ms(1000 * MS) == 0


def test_a_single_outcome_soon_after_a_commit(desk: Desk) -> None:
    """Soon after a commit an outcome waits until that is long enough ago: commits come no faster than that, unless somebody waits."""
    desk.publish(1, at_ns=1000 * MS)
    desk.fill()
    assert desk.batch.commit(1000 * MS)
    desk.publish(2, at_ns=1005 * MS)
    assert desk.due_in_ms(1006 * MS) == 14
    assert desk.due_in_ms(1020 * MS) == 0, "the last commit is long enough ago, and nothing runs"
    desk.batch.awaited = True
    assert desk.due_in_ms(1006 * MS) == 0


def test_outcomes_wait_for_company(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While other jobs run an outcome waits, until the oldest one is of age: sooner if somebody waits for a job."""
    busy(desk, monkeypatch)
    desk.publish(1, at_ns=1000 * MS)
    assert desk.due_in_ms(1004 * MS) == 16
    desk.batch.awaited = True
    assert desk.due_in_ms(1000 * MS) == 20 / AWAITED_SHARE
    assert desk.due_in_ms(1004 * MS) == 0
    desk.batch.awaited = False
    desk.publish(2, at_ns=1010 * MS)
    assert desk.due_in_ms(1010 * MS) == 10
    assert desk.due_in_ms(1020 * MS) == 0


def test_age_goes_by_the_oldest_of_all_rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest outcome counts, in whichever ring it stood."""
    desk = Desk(tmp_path, sources=2)
    busy(desk, monkeypatch)
    desk.publish(1, at_ns=1015 * MS, source=0)
    desk.publish(2, at_ns=1001 * MS, source=1)
    assert desk.due_in_ms(1016 * MS) == 5


def test_clocks_of_foreign_code(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finish time in the future holds up nothing for longer than the age."""
    busy(desk, monkeypatch)
    desk.publish(1, at_ns=10**15)
    assert desk.due_in_ms(1000 * MS) == 20


def test_a_full_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch is due at once and takes no more; rings take turns."""
    desk = Desk(tmp_path, batch_max=5, sources=2)
    busy(desk, monkeypatch)
    for job_id in range(10):
        desk.publish(job_id, at_ns=1000 * MS, source=job_id % 2)
    assert desk.due_in_ms(1000 * MS) == 0
    assert desk.batch.full
    assert len(desk.batch) == 5
    while len(desk.batch):
        assert desk.batch.commit(1000 * MS)
        desk.fill()
    assert sorted(desk.committed()) == list(range(10))
    assert all(source.drained for source in desk.sources)


def test_draining(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A farm that drains commits whatever is there."""
    busy(desk, monkeypatch)
    desk.publish(1, at_ns=1000 * MS)
    desk.batch.draining = True
    assert desk.due_in_ms(1000 * MS) == 0


def test_order_of_a_commit(tmp_path: Path) -> None:
    """First the commit, then the acks by ring, then the tails; frames that were not read stay."""
    desk = Desk(tmp_path, sources=2, batch_max=3)
    for job_id in (11, 12, 13, 14):
        desk.publish(job_id, at_ns=0, source=0)
    desk.publish(21, at_ns=0, source=1)
    desk.fill()
    assert desk.batch.commit(1000 * MS)
    assert desk.store.tails == [0, 0]
    assert desk.acks == [(1, [11, 12, 13])]
    assert not any(source.drained for source in desk.sources)
    desk.fill()
    assert desk.batch.commit(1000 * MS)
    assert desk.acks[1:] == [(1, [14]), (2, [21])]
    assert all(source.drained for source in desk.sources)
    assert [report.written for report in desk.reports] == [3, 2]


def test_many_acks(tmp_path: Path) -> None:
    """Acks of a large batch are cut into frames that fit."""
    count = ACKS_A_FRAME_MAX + 10
    desk = Desk(tmp_path, batch_max=count)
    for job_id in range(1, count + 1):
        while not desk.producers[0].has_space(200):
            desk.fill()
            desk.sources[0].ring.release(desk.sources[0].ring.cursor)
        desk.publish(job_id, at_ns=0)
    desk.fill()
    desk.store.watched = []
    desk.store.tails = []
    desk.sources, sources = [], desk.sources
    assert desk.batch.commit(1000 * MS)
    assert [len(words) for _number, words in desk.acks] == [ACKS_A_FRAME_MAX, 10]
    assert len(sources[0].acks) == 0


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("permission denied")])
def test_a_commit_that_fails(desk: Desk, error: StoreError, caplog: pytest.LogCaptureFixture) -> None:
    """The same outcomes are offered again, said to be a retry, and nothing is read, acked or given back meanwhile."""
    desk.publish(1, at_ns=0)
    desk.fill()
    desk.store.error = error
    for tries in range(1, 4):
        assert not desk.batch.commit(1000 * MS)
        assert desk.batch.held
        desk.publish(1 + tries, at_ns=0)
        assert 0 < desk.due_in_ms(1000 * MS) <= 500
    assert desk.acks == []
    assert desk.sources[0].ring.tail == 0
    desk.store.error = None
    assert desk.due_in_ms(2000 * MS) == 0
    assert desk.batch.commit(2000 * MS)
    assert desk.store.calls == [([1], False), ([1], True), ([1], True), ([1], True)]
    desk.fill()
    assert desk.batch.commit(2000 * MS)
    assert desk.store.calls[-1] == ([2, 3, 4], False)
    assert desk.batch.tally.failures == 3
    complaints = [record for record in caplog.records if "cannot be committed" in record.message]
    assert len(complaints) == (0 if isinstance(error, StoreUnavailable) else 1), "an outage is the heartbeat's to tell; all else once"


def test_a_new_writer(desk: Desk) -> None:
    """What stood in a ring when a new writer came may be committed already: until it is through, commits count as retries."""
    desk.publish(1, at_ns=0)
    desk.publish(2, at_ns=0)
    desk.fill()
    desk.attach(batch_max=1)
    desk.publish(3, at_ns=0)
    for _ in range(3):
        desk.fill()
        assert desk.batch.commit(1000 * MS)
    assert desk.store.calls == [([1], True), ([2], True), ([3], False)]


def test_a_broken_ring(tmp_path: Path) -> None:
    """A ring that makes no sense is told once and left alone; what was read before and all others go on."""
    desk = Desk(tmp_path, sources=2)
    desk.publish(1, at_ns=0, source=0)
    desk.producers[0].put([b"short"])
    desk.publish(3, at_ns=0, source=0)
    desk.publish(2, at_ns=0, source=1)
    for _ in range(3):
        desk.fill()
    assert desk.batch.commit(1000 * MS)
    assert desk.committed() == [1, 2]
    assert len(desk.broken) == 1
    assert desk.sources[0].drained
    assert not desk.sources[0].busy


def test_spilled_results(desk: Desk) -> None:
    """A spilled result is read for the commit and removed after it; one that is gone was committed before, so anything does."""
    spill = Spill(desk.directory, owner="run.w0.1", bytes_max=1 << 30)
    names = [spill.write(b'"large"', wait=False), spill.write(b'"gone"', wait=False)]
    assert names[0] is not None
    assert names[1] is not None
    spill.remove(names[1])
    for job_id, name in enumerate(names):
        desk.publish(job_id, at_ns=0, payload=name or b"", flags=SPILLED)
    outcomes = Outcomes()
    assert desk.sources[0].read_into(outcomes, 10) == 2
    assert [(outcome.kind, outcome.payload) for outcome in outcomes.others] == [
        (OutcomeKind.SUCCEEDED, b'"large"'),
        (OutcomeKind.FAILED, SPILL_GONE),
    ]
    assert len(list(desk.directory.iterdir())) == 1
    desk.sources[0].release()
    assert list(desk.directory.iterdir()) == []


@pytest.mark.parametrize("name", [b"run.w1.1-1", b"../run.w0.1-1", b"writer-1"])
def test_spill_files_of_others(desk: Desk, name: bytes) -> None:
    """A frame that names a file which is not its subworker's breaks its ring: it could make the writer remove it."""
    (desk.directory / "run.w1.1-1").write_bytes(b"1")
    desk.publish(1, at_ns=0, payload=name, flags=SPILLED)
    desk.fill()
    assert len(desk.broken) == 1
    assert len(desk.batch) == 0
    assert (desk.directory / "run.w1.1-1").exists()


def test_a_full_ring_is_committed_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its subworker waits for room, which only a commit gives back."""
    busy(desk, monkeypatch)
    desk.publish(1, at_ns=1000 * MS)
    assert desk.due_in_ms(1000 * MS) == 20
    producer = desk.producers[0]
    assert producer.want_space(producer.capacity)
    assert desk.due_in_ms(1000 * MS) == 0
    assert desk.batch.commit(1000 * MS)
    assert desk.due_in_ms(1000 * MS) == IDLE_S * 1000


def test_what_failed_is_told_after_the_commit_with_the_lane_that_it_ran_in(desk: Desk) -> None:
    """Of a subworker's ring its lane is known; what comes over the desk says by the number of a subworker whose it was."""
    lanes = {7: "slow"}
    memory = memoryview(bytearray(ring_bytes(RING_BYTES)))
    format_ring(memory, RING_BYTES)
    producer = SuccessProducer(memory)
    desk.sources = [desk.source_of(desk.memories[0], "w0.1", number=1, lane="fast"), desk.source_of(memory, "desk", lanes=lanes)]
    desk.store.watched = [source.ring for source in desk.sources]
    desk.publish(1, at_ns=5 * MS)
    ran = [Outcome(1 << 32, place, place, 0, OutcomeKind.FAILED, 1, 5 * MS, b"{}") for place in range(2, 6)]
    desk.producers[0].put_frames([(OutcomeKind.FAILED, 0, pack_outcome(ran[0], 2))])
    producer.put_frames([(OutcomeKind.CRASHED, 0, pack_outcome(one, number)) for one, number in zip(ran[1:], (9, 7, 0), strict=True)])
    desk.fill()
    desk.store.failed = [FailedAttempt(one, 0, "t", 1, None) for one in ran]
    desk.store.error = StoreUnavailable("away")
    assert not desk.batch.commit(20 * MS)
    assert desk.failed == []
    desk.store.error = None
    assert desk.batch.commit(30 * MS)
    assert [(failed.outcome.position, lane) for failed, lane in desk.failed] == [(2, "fast"), (3, ""), (4, "slow"), (5, "")]


def test_how_it_stands_is_told(desk: Desk) -> None:
    desk.publish(1, at_ns=5 * MS)
    desk.fill()
    desk.store.error = StoreUnavailable("away")
    desk.batch.commit(20 * MS)
    told = desk.batch.told()
    assert (told.standing.held, told.standing.failing_since_ns > 0, told.standing.committed_ns, told.counts.failures) == (1, True, 0, 1)
    desk.store.error = None
    desk.batch.commit(30 * MS)
    told = desk.batch.told()
    assert (told.standing.held, told.standing.failing_since_ns, told.standing.committed_ns > 0) == (0, 0, True)
    assert (told.times.count, told.sizes.count, told.sizes.total) == (1, 1, 1)
