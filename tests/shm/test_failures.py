"""The last failures in shared memory: their order, torn and hostile rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.errors import RingBroken
from farm.model import OutcomeKind
from farm.shm.failures import LANE_BYTES_MAX, ROWS, TASK_BYTES_MAX, TEXT_BYTES_MAX, Failure, FailureFile, failure_file_bytes

ROW_BYTES, HEADER_BYTES = 512, 256


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FailureFile]:
    made = FailureFile.create(tmp_path / "failures")
    yield made
    made.close()


def failure(job_id: int, **changes: Any) -> Failure:
    one = Failure(10**15, "fast", job_id, "shop:ship", 2, OutcomeKind.FAILED, "ValueError: no", 8.0)
    return one._replace(**changes)


def test_a_reader_finds_what_was_added_the_newest_first(file: FailureFile) -> None:
    file.add([failure(1), failure(2, delay_s=None)])
    reader = FailureFile.open(file.path)
    assert reader.read() == [failure(2, delay_s=None), failure(1)]
    assert (reader.added, reader.read()[0].at.year) == (2, 2031)
    reader.close()


def test_the_oldest_rows_are_written_over(file: FailureFile) -> None:
    for job_id in range(ROWS + 9):
        file.add([failure(job_id)])
    assert [one.job_id for one in file.read()] == list(range(ROWS + 8, 8, -1))
    file.add([failure(job_id) for job_id in range(1000)])
    assert [one.job_id for one in file.read()] == list(range(999, 999 - ROWS, -1))


def test_texts_are_cut_to_their_room_and_made_printable(file: FailureFile) -> None:
    file.add([failure(1, lane="l" * 99, task="t\x1b[2J" + "ä" * 200, text="line\nline\0 \ud800" + "€" * 300)])
    (row,) = file.read()
    assert (len(row.lane), row.task[:6], row.text[:11]) == (LANE_BYTES_MAX, "t [2Jä", "line line  ")
    assert (len(row.task.encode()), len(row.text.encode())) <= (TASK_BYTES_MAX, TEXT_BYTES_MAX)
    assert row.task.isprintable()
    assert row.text.isprintable()


def test_a_row_that_is_being_written_is_left_out_and_a_successor_writes_over_it(file: FailureFile) -> None:
    file.add([failure(1), failure(2)])
    with memoryview(file._memory).cast("Q") as words:
        words[(HEADER_BYTES + ROW_BYTES) // 8] |= 1
        words[16] = 1  # killed in the second row
    assert [one.job_id for one in file.read()] == [1]
    file.add([failure(3)])
    assert [one.job_id for one in file.read()] == [3, 1]


def test_whatever_stands_in_the_rows_comes_out_as_text_and_numbers(file: FailureFile) -> None:
    dice = random.Random(7)
    file.add([failure(job_id) for job_id in range(ROWS)])
    for _ in range(200):
        at = HEADER_BYTES + dice.randrange(ROWS) * ROW_BYTES + 8
        size = dice.randrange(1, ROW_BYTES - 8)
        file._memory[at : at + size] = dice.randbytes(size)
        for row in file.read():
            assert row.lane.isprintable()
            assert row.text.isprintable()
            assert 2000 <= row.at.year < 3001
    file._memory[HEADER_BYTES:] = b"\xff" * (ROWS * ROW_BYTES)
    assert file.read() == []


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "failures").write_bytes(bytes(failure_file_bytes()))
    (tmp_path / "short").write_bytes(bytes(100))
    for name in ("failures", "short"):
        with pytest.raises(RingBroken):
            FailureFile.open(tmp_path / name)
