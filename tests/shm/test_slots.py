"""The slot table: rows are read whole, and only what has started counts as running."""

from __future__ import annotations

import pytest

from farm.shm.slots import FREE, MARKED, RUNNING, Slot, SlotTable, slot_bytes


@pytest.fixture
def memory() -> memoryview:
    return memoryview(bytearray(slot_bytes(3)))


def test_a_row_is_read_as_it_was_marked(memory: memoryview) -> None:
    table = SlotTable(memory, 3)
    table.mark(1, 11, 12, 13, 14, 15, 16, 17, 18)
    expected = Slot(1, FREE, seq=11, lease_id=12, position=13, job_id=14, attempt=15, lost=16, started_ns=17, deadline_ns=18)
    assert SlotTable(memory, 3).read(1) == expected
    assert table.running() == []
    table.set_running(1)
    assert table.running() == [expected._replace(state=RUNNING)]
    table.clear(1)
    assert table.running() == []
    assert table.read(1) == expected


def test_rows_do_not_touch_each_other(memory: memoryview) -> None:
    table = SlotTable(memory, 3)
    for slot in range(3):
        table.mark(slot, *range(slot * 100, slot * 100 + 8))
    assert [row and row.seq for row in map(table.read, range(3))] == [0, 100, 200]
    assert [row and row.lost for row in map(table.read, range(3))] == [5, 105, 205]


def test_a_torn_row_is_told_apart(memory: memoryview) -> None:
    table = SlotTable(memory, 3)
    table.mark(0, 1, 2, 3, 4, 5, 6, 7, 8)
    memory.cast("Q")[0] += 1
    assert table.read(0) is None
    table.set_running(0)
    assert table.running() == []


@pytest.mark.parametrize("count", [1, 3, 500])
def test_what_runs_is_counted(count: int) -> None:
    """Only what has started and not ended; bytes that make no sense never make it more than there are slots."""
    memory = memoryview(bytearray(slot_bytes(count)))
    table = SlotTable(memory, count)
    assert table.count_running() == 0
    table.states[0] = MARKED
    assert table.count_running() == 0
    for slot in range(count):
        table.set_running(slot)
        assert table.count_running() == slot + 1
    table.clear(0)
    assert table.count_running() == count - 1
    memory[:] = b"\x02" * len(memory)
    assert 0 <= table.count_running() <= count
