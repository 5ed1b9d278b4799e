"""What a supervisor asks of a running job reaches that job, and no other."""

from __future__ import annotations

from farm.shm.stops import TEXT_BYTES_MAX, StopTable, stops_bytes


def test_asked_of_one_job_of_one_slot() -> None:
    """It is found in its slot by its sequence; the next job there does not find it, nor one beside it."""
    table = StopTable(memoryview(bytearray(stops_bytes(3))), 3)
    assert table.of(1, 7) is None
    table.ask(1, 7, 4, "timeout of 2 s reached")
    assert table.of(1, 7) == (7, 4, "timeout of 2 s reached")
    assert [table.of(slot, seq) for slot, seq in ((1, 8), (0, 7), (2, 7))] == [None] * 3
    table.ask(1, 8, 7, "no")
    assert (table.of(1, 7), table.of(1, 8)) == (None, (8, 7, "no"))
    table.close()


def test_texts_are_cut() -> None:
    """A long reason is cut between characters; what lies beside it stays."""
    table = StopTable(memoryview(bytearray(stops_bytes(2))), 2)
    table.ask(1, 1, 7, "beside")
    table.ask(0, 1, 7, "x" + "é" * 300 + "\ud800")
    stop = table.of(0, 1)
    assert stop is not None
    assert stop.text == "x" + "é" * ((TEXT_BYTES_MAX - 1) // 2)
    assert table.of(1, 1) == (1, 7, "beside")
    assert table.otherwise.tolist() == [0, 0]
    table.close()
