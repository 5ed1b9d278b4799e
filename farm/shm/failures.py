"""The last attempts that came to no good, for screens: a short ring of rows in shared memory, written by the writer after a commit.

`[header][rows]`. The supervisor makes the file, the living writer alone writes rows, anybody reads without a lock. A row's version is
odd while the row is written; a writer that died in one leaves it odd, and its successor writes over it when its turn comes. What stands
in a row comes from jobs in part (their task, their error): a reader makes of it printable text and numbers that exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, Self

from farm.errors import RingBroken
from farm.headway import printable
from farm.shm.mapping import MappedFile

ROWS: Final = 64
LANE_BYTES_MAX: Final = 64
TASK_BYTES_MAX: Final = 128
TEXT_BYTES_MAX: Final = 240
READ_TRIES_MAX: Final = 4
_HEADER_BYTES: Final = 256
_ROW_BYTES: Final = 512
_MAGIC_VALUE: Final = int.from_bytes(b"FARMFLR1", "little")
_MAGIC, _ADDED = 0, 16
"""Words of the header, each on a line of its own: who made the file; how many rows were ever added."""
_HEAD: Final = Struct("<QqqqIHHHH")
"""number, at, job, delay in microseconds (-1: none), attempt, kind, and how long lane, task and text are."""
_FINAL: Final = -1
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_YEARS_US: Final = 1000 * 365 * 86_400 * 1_000_000
assert 8 + _HEAD.size + LANE_BYTES_MAX + TASK_BYTES_MAX + TEXT_BYTES_MAX <= _ROW_BYTES


class Failure(NamedTuple):
    """One attempt."""

    at_us: int
    """When it ended, by the database's clock, in microseconds since 2000."""
    lane: str
    """Where it ran; "" if that is not known."""
    job_id: int
    task: str
    """"" where the job was not to be tried again whatever it asked for (rejected, cancelled): then nobody has looked."""
    attempt: int
    """How many were used, this one included."""
    kind: int
    """An OutcomeKind, or any number in rows that make no sense."""
    text: str
    """Why, in one line."""
    delay_s: float | None
    """After which pause it is tried again; None: it was the last attempt."""

    @property
    def at(self) -> datetime:
        return _EPOCH + timedelta(microseconds=min(max(self.at_us, 0), _YEARS_US))


class FailureFile:
    """The file, mapped."""

    def __init__(self, file: MappedFile) -> None:
        """Use create() or open()."""
        self._file = file
        self.path = file.path
        self._memory = file.memory
        self._words = file.memory.cast("Q")

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the file without rows. Raises FarmError if there is no space for it."""
        made = cls(MappedFile.create(path, failure_file_bytes()))
        made._words[_MAGIC] = _MAGIC_VALUE
        return made

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Map the file. Raises FileNotFoundError, or RingBroken if it is none of ours."""
        file = MappedFile.open(path, bytes_min=failure_file_bytes(), read_only=read_only)
        opened = cls(file)
        if len(file.memory) != failure_file_bytes() or opened._words[_MAGIC] != _MAGIC_VALUE:
            opened.close()
            raise RingBroken(f"{path} is no file of failures of this version")
        return opened

    @property
    def added(self) -> int:
        """How many were ever added: while it stands still there is nothing new to read."""
        return self._words[_ADDED]

    def add(self, failures: Sequence[Failure]) -> None:
        """Add rows, the oldest first, over the oldest that stand. The writer alone calls this."""
        for failure in failures[-ROWS:]:
            number = self._words[_ADDED]
            at = _HEADER_BYTES + number % ROWS * _ROW_BYTES
            version = self._words[at // 8] | 1
            self._words[at // 8] = version
            packed = _packed(number, failure)
            # By a slice: pack_into() would clear the row first, and with it a version that is odd.
            self._memory[at + 8 : at + 8 + len(packed)] = packed
            self._words[at // 8] = version + 1
            self._words[_ADDED] = number + 1

    def read(self) -> list[Failure]:
        """Return the rows, the newest first; those that are being written are left out."""
        found = [row for index in range(ROWS) if (row := self._read_row(index)) is not None]
        return [failure for _number, failure in sorted(found, key=_number_of, reverse=True)]

    def unlink(self) -> None:
        """Remove the name; processes that have the file mapped keep it."""
        self._file.unlink()

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._file.close()

    def _read_row(self, index: int) -> tuple[int, Failure] | None:
        at = _HEADER_BYTES + index * _ROW_BYTES
        for _ in range(READ_TRIES_MAX):
            version = self._words[at // 8]
            if not version:
                return None
            packed = bytes(self._memory[at + 8 : at + _ROW_BYTES])
            if not version & 1 and version == self._words[at // 8]:
                return _unpacked(packed)
        return None


def failure_file_bytes() -> int:
    """Say how many bytes the file takes."""
    return _HEADER_BYTES + ROWS * _ROW_BYTES


def _packed(number: int, failure: Failure) -> bytes:
    lane = _cut(failure.lane, LANE_BYTES_MAX)
    task = _cut(failure.task, TASK_BYTES_MAX)
    text = _cut(failure.text, TEXT_BYTES_MAX)
    delay_us = _FINAL if failure.delay_s is None else round(failure.delay_s * 1e6)
    sizes = len(lane), len(task), len(text)
    return _HEAD.pack(number, failure.at_us, failure.job_id, delay_us, failure.attempt, failure.kind, *sizes) + lane + task + text


def _unpacked(packed: bytes) -> tuple[int, Failure]:
    number, at_us, job_id, delay_us, attempt, kind, lane_bytes, task_bytes, text_bytes = _HEAD.unpack_from(packed)
    texts = []
    at = _HEAD.size
    # Lengths that make no sense end at the end of the row.
    for size in (lane_bytes, task_bytes, text_bytes):
        texts.append(printable(packed[at : at + size].decode("utf-8", "replace")))
        at += size
    lane, task, text = texts
    return number, Failure(at_us, lane, job_id, task, attempt, kind, text, None if delay_us < 0 else delay_us / 1e6)


def _number_of(row: tuple[int, Failure]) -> int:
    return row[0]


def _cut(text: str, bytes_max: int) -> bytes:
    """Return the beginning of a text, printable, cut between characters."""
    return printable(text[:bytes_max]).encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore").encode()
