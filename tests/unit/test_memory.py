"""What is said of those that ended for want of memory, and what is known of how much they had."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from farm.model import Outcome, OutcomeKind
from farm.shm.frames import pack_outcome, unpack_outcome
from farm.shm.generation import CROWDED_MAX, CROWDED_WORD
from farm.subworker.limits import EXHAUSTED, LEAVES_FULL, MemoryLimit, Peak
from farm.supervisor.crew.burial import exhausted, how_it_ended, judge, why_it_ended
from farm.supervisor.limits.memory import Holder, MemoryWatch
from farm.supervisor.processes.generation import ALL_THAT_RUN, NONE_OF_THEM, Doom, Phase
from tests.unit.test_burial import Subject

MB = 1_000_000


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Subject]:
    subject = Subject(tmp_path / "w0.1")
    subject.generation.memory_bytes, subject.generation.footprint_bytes = 300 * MB, 20 * MB
    yield subject
    subject.close()


@pytest.mark.parametrize(
    ("status", "peak_mb", "by_kernel", "words"),
    [
        (signal.SIGSEGV, 319, False, "killed by SIGSEGV, probably for want of memory; memory limit 300 MB, peak 319 MB"),
        (signal.SIGABRT, 180, False, "killed by SIGABRT, probably for want of memory; memory limit 300 MB, peak 180 MB"),
        (signal.SIGSEGV, 100, False, "killed by SIGSEGV"),
        (signal.SIGKILL, 319, False, "killed by SIGKILL"),
        (signal.SIGKILL, 50, True, "killed by SIGKILL, probably by the kernel, which ran out of memory; memory limit 300 MB, peak 50 MB"),
    ],
)
def test_an_end_that_may_have_been_for_memory(subject: Subject, status: int, peak_mb: int, by_kernel: bool, words: str) -> None:
    """A crash of code in C after half of the memory was used, or while the kernel was killing, is told as such, with limit and peak."""
    subject.give(1)
    subject.start(1)
    subject.generation.peak_bytes, subject.generation.killed_by_kernel = peak_mb * MB, by_kernel
    subject.die(status)
    assert why_it_ended(subject.generation) == f"its subworker was {words}"
    (outcome,) = judge(subject.generation).outcomes
    assert (outcome.kind, outcome.peak_bytes) == (OutcomeKind.CRASHED, peak_mb * MB)
    assert orjson.loads(outcome.payload)["message"].endswith(words)


def test_the_peak_that_the_watch_has_seen(subject: Subject) -> None:
    """That of all processes of a job counts, and not that of the largest."""
    subject.give(1)
    subject.start(1)
    subject.generation.kill(Doom(OutcomeKind.MEMORY, "too much", 1, peak_bytes=470 * MB))
    subject.generation.peak_bytes = 90 * MB
    subject.die()
    assert [one.peak_bytes for one in judge(subject.generation).outcomes] == [470 * MB]


def test_one_without_memory_for_itself(tmp_path: Path) -> None:
    """Its only job has taken it; of several nobody knows which."""
    subject = Subject(tmp_path / "w0.1", slots=3)
    subject.generation.memory_bytes, subject.generation.peak_bytes = 300 * MB, 319 * MB
    subject.give(1, 2)
    subject.start(1)
    assert exhausted(subject.generation) is None
    subject.die(EXHAUSTED << 8)
    assert exhausted(subject.generation) == Doom(OutcomeKind.MEMORY, "memory limit of 300 MB reached; peak 319 MB", ALL_THAT_RUN)
    subject.start(2, 1)
    doom = exhausted(subject.generation)
    assert doom is not None
    assert doom.seq == NONE_OF_THEM
    assert doom.message.endswith("by 2 jobs beside each other: each is to run alone")
    subject.die(1 << 8)
    assert exhausted(subject.generation) is None
    assert "made room" in how_it_ended(LEAVES_FULL << 8)
    subject.close()


@pytest.mark.parametrize(("slots", "culprit"), [(1, ALL_THAT_RUN), (2, NONE_OF_THEM)])
def test_one_that_its_control_group_has_ended(tmp_path: Path, slots: int, culprit: int) -> None:
    """It is told as over its limit, with the peak of all its processes; of several jobs none is blamed. Any other kill is a crash."""
    subject = Subject(tmp_path / "w0.1", slots=slots)
    subject.generation.memory_bytes, subject.generation.peak_bytes = 300 * MB, 90 * MB
    subject.give(*range(1, slots + 1))
    for seq in range(1, slots + 1):
        assert subject.start(seq, slot=seq - 1)
    subject.die(signal.SIGKILL)
    new_kills = iter((0, 1))
    subject.generation.group = SimpleNamespace(new_kills=lambda: next(new_kills), peak_bytes=430 * MB)  # type: ignore[assignment]
    assert exhausted(subject.generation) is None
    doom = exhausted(subject.generation)
    assert doom is not None
    assert (doom.kind, doom.seq) == (OutcomeKind.MEMORY, culprit)
    assert doom.message.startswith("memory limit of 300 MB reached; peak 430 MB (ended by the kernel)")
    subject.close()


def test_relief_from_one_whose_job_has_just_ended(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is ended for it, and nothing was taken that would have to be waited for."""
    subject.give(1)
    subject.run(1)
    watch = MemoryWatch(SimpleNamespace(generations=[]))  # type: ignore[arg-type]
    lane: Any = SimpleNamespace()
    monkeypatch.setattr(watch, "_holders", lambda: [Holder(subject.generation, lane, 500 * MB, 480 * MB, {1})])
    assert watch.relieve(100.0) == 0
    assert subject.generation.phase is Phase.SERVING


def test_the_crowded_are_heard_of_once(subject: Subject) -> None:
    """Each one since the last look, in order; of more than there is room for, the last ones."""
    words = subject.generation.file.words

    def note(*job_ids: int) -> None:
        for job_id in job_ids:
            words[CROWDED_WORD + 1 + words[CROWDED_WORD] % CROWDED_MAX] = job_id
            words[CROWDED_WORD] += 1

    assert subject.generation.crowded() == []
    note(7, 8)
    assert subject.generation.crowded() == [7, 8]
    assert subject.generation.crowded() == []
    note(*range(100, 100 + CROWDED_MAX + 3))
    assert subject.generation.crowded() == list(range(103, 103 + CROWDED_MAX))


def test_an_outcome_keeps_its_peak() -> None:
    outcome = Outcome(1 << 32, 3, 4, 0, OutcomeKind.FAILED, 5, 6, b"{}", 470 * MB)
    assert unpack_outcome(OutcomeKind.FAILED, pack_outcome(outcome, 9)) == (outcome, 9)


def test_a_peak_begins_anew() -> None:
    """It tells of what was given back since, and nothing of what was before; where it cannot begin anew it tells nothing."""
    peak = Peak()
    peak.reset()
    before = peak.read()
    held = b"x" * (64 * MB)
    del held
    assert peak.read() >= before + 50 * MB
    peak.reset()
    assert peak.read() < before + 50 * MB
    os.close(peak._clear_refs)
    peak.reset()
    assert peak.read() == 0


def test_a_peak_writes_into_no_file_of_a_job(tmp_path: Path) -> None:
    """A job closes all descriptors that it may not know, and keeps those that it opens then."""
    child = os.fork()
    if not child:
        try:
            peak = Peak()
            os.closerange(3, 65536)
            for name in range(20):
                os.open(tmp_path / str(name), os.O_CREAT | os.O_WRONLY)
            peak.reset()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b""] * 20


def test_a_process_that_is_full() -> None:
    """More than a quarter of what jobs may allocate is still there."""
    limit = MemoryLimit(100 * MB)
    seen = [limit.is_full]
    held = b"x" * (40 * MB)
    seen.append(limit.is_full)
    del held
    assert [*seen, limit.is_full] == [False, True, False]
