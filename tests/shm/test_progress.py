"""What a job says of its progress is found for that job and no other, whatever the text is, and whoever scribbles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.shm.progress import TEXT_BYTES_MAX, ProgressTable, progress_bytes


def made(slots: int = 1) -> ProgressTable:
    return ProgressTable(memoryview(bytearray(progress_bytes(slots))), slots)


def test_said_by_one_job_of_one_slot() -> None:
    """It is found in its slot by its sequence. The next job there has said nothing, nor has one beside it."""
    table = made(3)
    assert table.read(1, 7) is None
    table.write(1, 7, 0.4, "importing")
    assert table.read(1, 7) == (0.4, "importing")
    assert [table.read(slot, seq) for slot, seq in ((1, 8), (0, 7), (2, 7))] == [None] * 3
    table.write(1, 8, None, "counting")
    assert (table.read(1, 7), table.read(1, 8)) == (None, (None, "counting"))
    table.close()


def test_a_fraction_that_is_none_is_brought_within_bounds() -> None:
    table = made()
    said = {0.0: 0.0, 1.0: 1.0, 1.02: 1.0, 40.0: 1.0, -0.5: 0.0, float("inf"): 1.0, float("-inf"): 0.0, float("nan"): None}
    for fraction, expected in said.items():
        table.write(0, 1, fraction, "")
        assert table.read(0, 1) == (expected, ""), fraction


@given(st.text(max_size=300))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    """Line ends, escapes, NUL and halves of surrogate pairs become spaces; what is too long is cut between characters."""
    table = made()
    table.write(0, 1, 0.5, text)
    said = table.read(0, 1)
    assert said is not None
    clean = "".join(char if char.isprintable() else " " for char in text)
    assert clean.startswith(said.text)
    assert said.text.isprintable()
    assert len(said.text.encode()) <= TEXT_BYTES_MAX
    assert said.text == clean or len(clean.encode()) > TEXT_BYTES_MAX
    assert len(clean.encode()) <= TEXT_BYTES_MAX or len(said.text.encode()) > TEXT_BYTES_MAX - 4


@given(st.binary(min_size=progress_bytes(1), max_size=progress_bytes(1)), st.integers(0, 2))
def test_whatever_lies_there_can_be_stored_and_shown(raw: bytes, version: int) -> None:
    """A job can scribble over this memory."""
    memory = memoryview(bytearray(raw))
    memory.cast("Q")[0], memory.cast("Q")[1] = version, 7
    said = ProgressTable(memory, 1).read(0, 7)
    assert (said is None) == (version != 2)
    if said is not None:
        assert said.fraction is None or 0 <= said.fraction <= 1
        assert said.text.isprintable()
