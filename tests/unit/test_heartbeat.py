"""The gate: which subworkers may start jobs, and until when; and what a beat tells, when it is new."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from farm import linux
from farm.errors import StoreUnavailable
from farm.headway import Progress
from farm.model import CancelRequest
from farm.shm.generation import GenerationFile
from farm.shm.slots import FREE, MARKED, RUNNING
from farm.store.hosts import Answer
from farm.supervisor.host.heartbeat import Heartbeat
from farm.supervisor.host.progress import JOBS_MAX
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.processes.generation import Generation


class Row:
    """A host row that lives until it is retired."""

    def __init__(self) -> None:
        self.live = True
        self.waiters = False
        self.requests: list[CancelRequest] = []
        self.is_asked = False
        self.exchanges: list[tuple[int, bool]] = []
        self.running: list[int] = []
        """What the last beat has listed."""
        self.asked_ns = 0
        """CLOCK_BOOTTIME while it was under way."""
        self.away = False
        self.lanes: list[str | None] = []
        self.paused: list[Sequence[str] | None] = []
        self.said: list[tuple[int, Mapping[int, Progress]]] = []
        self.descriptions: list[tuple[int, Mapping[str, Any]]] = []

    def beat(
        self, host_id: int, running: Sequence[int], ages_s: Sequence[float], lanes: str | None, paused_queues: Sequence[str] | None
    ) -> Answer | None:
        if self.away:
            raise StoreUnavailable("it is away")
        self.lanes.append(lanes)
        self.paused.append(paused_queues)
        self.running, self.asked_ns = list(running), linux.boottime_ns()
        return Answer(1, self.waiters, bool(self.requests), self.is_asked) if self.live else None

    def exchange(self, host_id: int, any_new: bool) -> None:
        self.exchanges.append((host_id, any_new))
        if any_new:
            raise StoreUnavailable

    def cancels(self, host_id: int) -> Sequence[CancelRequest]:
        return self.requests

    def tell_progress(self, host_id: int, said: Mapping[int, Progress]) -> None:
        if self.away:
            raise StoreUnavailable("it is away")
        self.said.append((host_id, said))

    def describe(self, host_id: int, **description: Any) -> None:
        self.descriptions.append((host_id, description))


def made(path: Path, host_id: int) -> Generation:
    file = GenerationFile.create(path, slots=1, host_id=host_id)
    return Generation(name=path.name, number=host_id, lane="default", host_id=host_id, file=file, wake_fd=os.eventfd(0, os.EFD_CLOEXEC))


def beating(
    row: Row,
    crew: Sequence[Generation],
    retired: list[int],
    waited: list[bool],
    unwanted: list[CancelRequest] | None = None,
    *,
    lanes: Sequence[str] | None = ("{}",),
    paused: Sequence[str] = (),
    witness: Witness | None = None,
) -> Heartbeat:
    return Heartbeat(
        store=row,
        host_id=1,
        every_s=1.0,
        gate_s=8.0,
        generations=lambda: crew,
        retired=retired.append,
        registered_boot_ns=1,
        clock_us=5,
        revive=None,
        retry_s_max=2.0,
        waiters=lambda: waited.append(True),
        unwanted=([] if unwanted is None else unwanted).extend,
        exchange=row.exchange,
        witness=witness or Witness(hurry=lambda: None, wake=lambda: None),
        lanes=lambda _now_ns, spans: json.dumps(spans) if lanes is None else lanes[-1],
        paused_queues=lambda: frozenset(paused),
    )


def test_a_beat_lists_what_has_started_and_nothing_else(tmp_path: Path) -> None:
    """A job that is marked may yet be taken back: were its host lost, it would be counted as started."""
    crew = [made(tmp_path / f"w{number}.1", 1) for number in range(3)]
    for number, state in enumerate((RUNNING, MARKED, FREE)):
        slots = crew[number].file.slots
        slots.mark(0, 1, 1, 0, 100 + number, 0, 0, 1, 0)
        slots.states[0] = state
    row = Row()
    beating(row, crew, [], []).step(0.0)
    assert row.running == [100]
    for generation in crew:
        os.close(generation.wake_fd)


def test_running_jobs_stand_lane_by_lane_and_each_lane_is_told_where(tmp_path: Path) -> None:
    """Whoever was named before it started, so that its loss is counted, runs in no lane yet."""
    crew = [made(tmp_path / f"w{number}.1", 1) for number in range(4)]
    for number, lane in enumerate(("slow", "fast", "slow", "none")):
        crew[number].lane = lane
        slots = crew[number].file.slots
        slots.mark(0, 1, 1, 0, 100 + number, 0, 0, 1, 0)
        slots.states[0] = MARKED if lane == "none" else RUNNING
    row, witness = Row(), Witness(hurry=lambda: None, wake=lambda: None)
    witness.ask("slow", [7, 100], now=False)
    beating(row, crew, [], [], lanes=None, witness=witness).step(0.0)
    assert row.running == [101, 100, 102, 7]
    assert [json.loads(lanes or "") for lanes in row.lanes] == [{"fast": [1, 1], "slow": [2, 3]}]
    for generation in crew:
        os.close(generation.wake_fd)


def test_the_gate_counts_from_before_the_beat_was_sent(tmp_path: Path) -> None:
    """Who watches the row may have seen that beat at any moment after it was sent, and counts the lease from there."""
    row = Row()
    heartbeat = beating(row, [], [], [])
    heartbeat.step(0.0)
    assert 0 < heartbeat.gate_ns <= row.asked_ns + 8 * 10**9


def test_the_gate_of_a_retired_host_stays_closed(tmp_path: Path) -> None:
    """What was handed out for a row that was retired is not started when the host begins again as another."""
    crew = [made(tmp_path / "w0.1", 1)]
    row, retired, waited, unwanted = Row(), list[int](), list[bool](), list[CancelRequest]()
    heartbeat = beating(row, crew, retired, waited, unwanted)
    heartbeat.step(0.0)
    opened = crew[0].file.gate_ns
    assert opened == heartbeat.gate_ns
    assert not waited
    row.waiters = True
    row.requests = [CancelRequest(7, "enough", False)]
    heartbeat.step(0.5)
    assert waited
    assert unwanted == row.requests
    opened = crew[0].file.gate_ns
    row.live = False
    heartbeat.step(1.0)
    assert retired == [1]
    crew.append(made(tmp_path / "w0.2", 2))
    heartbeat.begin_as(2, opened + 10**12)
    assert crew[0].file.gate_ns == opened
    assert crew[1].file.gate_ns == heartbeat.gate_ns > opened
    for generation in crew:
        os.close(generation.wake_fd)


def test_lanes_are_told_when_they_do_otherwise_than_before() -> None:
    """And again to a new row, and after a beat that may not have got through."""
    row, lanes, paused = Row(), ["{}"], list[str]()
    heartbeat = beating(row, [], [], [], lanes=lanes, paused=paused)
    heartbeat.step(0.0)
    heartbeat.step(1.0)
    lanes.append('{"fast":{}}')
    heartbeat.step(2.0)
    paused.append("mail")
    row.away = True
    heartbeat.step(3.0)
    row.away = False
    heartbeat.step(4.0)
    heartbeat.begin_as(2, 1)
    heartbeat.step(5.0)
    assert row.lanes == ["{}", None, lanes[1], None, lanes[1]]
    assert row.paused == [[], None, None, ["mail"], ["mail"]]


def test_a_description_is_told_once() -> None:
    row = Row()
    heartbeat = beating(row, [], [], [])
    heartbeat.step(0.0)
    heartbeat.describe({"lanes": {}, "runners": ["python"], "capacity": 1, "memory_bytes": 2})
    heartbeat.step(1.0)
    heartbeat.step(2.0)
    assert row.descriptions == [(1, {"lanes": {}, "runners": ["python"], "capacity": 1, "memory_bytes": 2})]


def test_progress_is_told_when_it_has_changed(tmp_path: Path) -> None:
    """Of jobs that run. Nothing is told while nobody says anything, and nothing twice; what the store did not take is told again."""
    generation, row = made(tmp_path / "w0.1", 1), Row()
    heartbeat = beating(row, [generation], [], [])
    file = generation.file

    def start(seq: int, job_id: int) -> None:
        file.slots.mark(0, seq, 1, 0, job_id, 0, 0, 1, 0)
        file.slots.set_running(0)

    start(1, 100)
    heartbeat.step(0.0)
    assert row.said == []
    file.progress.write(0, 1, 0.5, "half")
    row.away = True
    heartbeat.step(1.0)
    row.away = False
    heartbeat.step(2.0)
    heartbeat.step(3.0)
    assert row.said == [(1, {100: (0.5, "half")})]
    start(2, 101)
    heartbeat.step(4.0)
    heartbeat.step(5.0)
    assert row.said[1:] == [(1, {})], "the job that said so has ended"
    file.progress.write(0, 2, None, "again")
    heartbeat.begin_as(2, 1)
    heartbeat.step(6.0)
    assert row.said[2:] == [(2, {101: (None, "again")})]
    os.close(generation.wake_fd)


def test_progress_of_more_jobs_than_a_row_may_hold_is_that_of_the_oldest(tmp_path: Path) -> None:
    file = GenerationFile.create(tmp_path / "w0.1", slots=JOBS_MAX + 5, host_id=1)
    generation = Generation(name="w0.1", number=1, lane="default", host_id=1, file=file, wake_fd=os.eventfd(0, os.EFD_CLOEXEC))
    for slot in range(JOBS_MAX + 5):
        file.slots.mark(slot, slot + 1, 1, 0, slot, 0, 0, 10_000 - slot, 0)
        file.slots.set_running(slot)
        file.progress.write(slot, slot + 1, 0.1, "")
    row = Row()
    beating(row, [generation], [], []).step(0.0)
    assert sorted(row.said[0][1]) == list(range(5, JOBS_MAX + 5))
    os.close(generation.wake_fd)


def test_what_is_asked_of_a_host_is_exchanged_with_every_good_beat() -> None:
    """A database that goes away in the middle of it is told of by the next beat."""
    row, retired = Row(), list[int]()
    heartbeat = beating(row, [], retired, [])
    heartbeat.step(0.0)
    row.is_asked = True
    heartbeat.step(1.0)
    row.live = False
    heartbeat.step(2.0)
    assert row.exchanges == [(1, False), (1, True)]
    assert retired == [1]
