"""A generation file, seen from outside: everything is counted once, and nothing can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model import OutcomeKind
from farm.screen.attached import attach
from farm.shm.generation import GenerationFile
from farm.shm.tallies import TallyWriter, tally_of


def test_what_was_counted_is_told_once(tmp_path: Path) -> None:
    with_slots = GenerationFile.create(tmp_path / "w0.1", slots=3, host_id=1)
    writer = TallyWriter(with_slots.tallies)
    seen = attach(tmp_path / "w0.1")
    assert seen is not None
    assert (seen.count(), seen.take()) == (0, 0)
    for task in (b"a:b", b"c:d"):
        writer.row_of(task).add(OutcomeKind.SUCCEEDED, 2, 3_000_000)
    writer.row_of(b"a:b").add(OutcomeKind.FAILED, 1, 1_000_000)
    assert (seen.count(), seen.count(), seen.ended) == (5, 0, 5)
    assert tally_of("", seen.take()).ended == {OutcomeKind.SUCCEEDED: 4, OutcomeKind.FAILED: 1}
    assert seen.take() == 0

    for slot, started_ns in ((0, 500), (1, 100), (2, 300)):
        with_slots.slots.mark(slot, slot + 1, 9, 0, 70 + slot, 0, 0, started_ns, 0)
        with_slots.slots.set_running(slot)
    assert [slot.job_id for slot in seen.longest(2)] == [71, 72]
    with_slots.progress.write(1, 2, 0.5, "half")
    said = seen.progress(seen.longest(1)[0])
    assert said is not None
    assert (said.fraction, said.text, seen.running()) == (0.5, "half", 3)
    assert seen.ring_shares() == (0.0, 0.0)
    seen.close()
    with_slots.unlink()
    with_slots.close()
    assert attach(tmp_path / "w0.1") is None


def test_nothing_can_be_written_through_it(tmp_path: Path) -> None:
    made = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    seen = GenerationFile.open(tmp_path / "w0.1", read_only=True)
    with pytest.raises(TypeError, match="read-only"):
        seen.gate_ns = 1
    seen.close()
    made.close()
