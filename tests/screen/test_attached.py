"""A generation file, seen from outside: everything is counted once, and nothing can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.model import OutcomeKind
from farm.screen.attached import AGAIN_S, SETTLE_S, attach
from farm.shm.generation import GenerationFile
from farm.shm.slottime import SlotClock
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

    assert seen.look(1.0), "nobody has looked before"
    assert (seen.running, seen.longest, seen.is_settled) == (0, [], False)
    for slot, started_ns in ((0, 500), (1, 100), (2, 300)):
        with_slots.slots.mark(slot, slot + 1, 9, 0, 70 + slot, 0, 0, started_ns, 0)
        with_slots.slots.set_running(slot)
    assert seen.look(2.0)
    assert [slot.job_id for slot in seen.longest] == [71, 72, 70]
    assert [seen.started_before(moment_ns) for moment_ns in (100, 301, 501)] == [0, 2, 3]
    with_slots.progress.write(1, 2, 0.5, "half")
    said = seen.progress(seen.longest[0])
    assert said is not None
    assert (said.fraction, said.text, seen.running) == (0.5, "half", 3)
    assert seen.ring_shares == (0.0, 0.0)
    seen.close()
    with_slots.unlink()
    with_slots.close()
    assert attach(tmp_path / "w0.1") is None


def test_one_that_does_nothing_new_is_let_be(tmp_path: Path) -> None:
    made = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    writer = TallyWriter(made.tallies)
    seen = attach(tmp_path / "w0.1")
    assert seen is not None
    now = 100.0
    assert seen.look(now)
    made.slots.mark(0, 1, 9, 0, 70, 0, 0, 500, 0)
    made.slots.set_running(0)
    assert (seen.look(now + 0.2), seen.running, seen.is_settled) == (True, 1, False)
    assert seen.look(now + 0.2 + SETTLE_S / 2), "what came of the one before may be told a moment later"
    settled = now + 0.2 + SETTLE_S
    assert (seen.look(settled), seen.is_settled) == (True, True)
    assert seen.take_news() == 0
    assert not seen.look(settled + AGAIN_S / 2)
    writer.row_of(b"a:b").add(OutcomeKind.SUCCEEDED, 1, 1_000_000)
    assert seen.take_news() == 0, "nothing has changed in its slots"
    assert seen.look(settled + AGAIN_S), "now and then it is looked at all the same"
    assert (seen.count(), tally_of("", seen.take_news()).ended) == (1, {OutcomeKind.SUCCEEDED: 1})

    made.slots.clear(0)
    assert (seen.look(settled + AGAIN_S + 0.1), seen.running, seen.longest) == (True, 0, [])
    made.slots.mark(0, 2, 9, 1, 71, 0, 0, 600, 0)
    made.slots.set_running(0)
    assert seen.look(settled + AGAIN_S + 0.2)
    assert [slot.job_id for slot in seen.longest] == [71]
    seen.close()
    made.close()


def test_the_time_of_its_slots_goes_on_while_nothing_changes(tmp_path: Path) -> None:
    made = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    clock = SlotClock(made.words)
    clock.begin(1_000)
    clock.note(1, 2_000)
    made.slots.mark(0, 1, 9, 0, 70, 0, 0, 2_000, 0)
    made.slots.set_running(0)
    seen = attach(tmp_path / "w0.1")
    assert seen is not None
    seen.look(100.0)
    first = seen.slot_time(5_000)
    seen.take_news()
    later = seen.slot_time(9_000)
    assert first is not None
    assert later is not None
    assert (first.busy_ns, later.busy_ns, later.slots, later.since_ns) == (3_000, 7_000, 1, 1_000)
    seen.close()
    made.close()


def test_nothing_can_be_written_through_it(tmp_path: Path) -> None:
    made = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    seen = GenerationFile.open(tmp_path / "w0.1", read_only=True)
    with pytest.raises(TypeError, match="read-only"):
        seen.gate_ns = 1
    seen.close()
    made.close()
