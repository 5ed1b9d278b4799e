"""The end of what each running job has printed, a tail for each slot: written by the subworker, read by anybody without a lock.

A file beside the generation file, `[header page][words][tails][crash]`. It is sparse: a tail takes memory when its slot has printed for the
first time, little by little, and what cannot be had is done without. `words` has a line for each slot, `seq, head`: the sequence of the
job whose log it is, and how many bytes that has written in all, which stand at their number modulo the tail's size. `crash` is where the
interpreter leaves word, through a descriptor of its own, of what a process was doing that crashed.

The writer stores bytes first and the head last. A reader copies, looks again, and drops what may have been overwritten meanwhile. It reads
by the file and maps nothing: job code can write over all of this, or cut the file short, and must not harm who looks.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from farm.errors import RingBroken
from farm.joblog import ending
from farm.model import CONCURRENCY_MAX
from farm.shm.mapping import MappedFile

TAIL_BYTES: Final = 64 << 10
WRITE_BYTES_MAX: Final = 4096
"""What is written at once: so much of the oldest part of a tail may be changing under a reader."""
GROWTHS: Final = (4096, 16 << 10, TAIL_BYTES)
"""What a tail takes, then when that is full, and so on."""
ROOM_BYTES_MIN: Final = 8 << 20
"""A file system that has less room left is for rings: nothing is taken of it for logs."""
CRASH_BYTES_MAX: Final = 32 << 10
SUFFIX: Final = ".log"

_PAGE_BYTES: Final = 4096
_MAGIC: Final = int.from_bytes(b"FARMLOG1", "little")
_HEADER: Final = Struct("<QQQ")
"""magic, number of slots, the limit of a log in bytes."""
_LINE: Final = Struct("<QQ")
_WORDS_A_LINE: Final = 2


class Tail(NamedTuple):
    """A part of a job's log, the latest there is."""

    start: int
    """How many bytes of the log come before it."""
    text: bytes

    @property
    def end(self) -> int:
        """How many bytes the log had in all."""
        return self.start + len(self.text)


def path_of(generation_path: Path) -> Path:
    """Name the file of the tails that belongs to a generation file."""
    return generation_path.with_name(generation_path.name + SUFFIX)


def tails_bytes(slots: int) -> int:
    """Say how many bytes the tails of so many slots take at the most."""
    return _tails_at(slots) + slots * TAIL_BYTES


class LogTails:
    """The tails of a subworker, as it writes them."""

    def __init__(self, file: MappedFile, slots: int) -> None:
        """Use create()."""
        self._file = file
        self._slots = slots
        self.words = file.memory[_PAGE_BYTES : _tails_at(slots)].cast("Q")

    @classmethod
    def create(cls, path: Path, *, slots: int, limit_bytes: int) -> LogTails:
        """Make the file, nearly all of it a hole. Raises FarmError if there is no space for its beginning."""
        size = tails_bytes(slots) + CRASH_BYTES_MAX
        file = MappedFile.create(path, size, taken_bytes=_tails_at(slots))
        _HEADER.pack_into(file.memory, 0, _MAGIC, slots, limit_bytes)
        return cls(file, slots)

    def line_of(self, slot: int) -> int:
        """Return the first word of a slot's line: seq, then head."""
        return slot * _WORDS_A_LINE

    def tail_of(self, slot: int) -> memoryview:
        """Return the memory of a slot's tail. Only what grow() has said yes to may be touched."""
        at = _tails_at(self._slots) + slot * TAIL_BYTES
        return self._file.memory[at : at + TAIL_BYTES]

    def grow(self, slot: int, size: int) -> bool:
        """Take the memory of the first `size` bytes of a tail; False where it cannot be had. Untaken memory would end the process."""
        try:
            status = os.statvfs(self._file.path.parent)
            if status.f_bavail * status.f_frsize < ROOM_BYTES_MIN + size:
                return False
            fd = os.open(self._file.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.posix_fallocate(fd, _tails_at(self._slots) + slot * TAIL_BYTES, size)
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def open_crash(self) -> int:
        """Return a descriptor that stands where word of a crash is left."""
        fd = os.open(self._file.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        os.lseek(fd, tails_bytes(self._slots), os.SEEK_SET)
        return fd


class LogTailReader:
    """The tails of a subworker, alive or dead, as anybody may look at them."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError, or RingBroken if the file is none of ours."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            header = os.pread(self._fd, _HEADER.size, 0) if stat.S_ISREG(os.fstat(self._fd).st_mode) else b""
            magic, self._slots, self.limit_bytes = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0, 0)
            if magic != _MAGIC or not 1 <= self._slots <= CONCURRENCY_MAX:
                raise RingBroken(f"{path} holds no logs")
        except BaseException:
            os.close(self._fd)
            raise

    @classmethod
    def beside(cls, generation_path: Path) -> LogTailReader | None:
        """Open the tails of a generation; None if it keeps none, or they make no sense."""
        try:
            return cls(path_of(generation_path))
        except (OSError, RingBroken):
            return None

    def read(self, slot: int, seq: int, after: int = 0) -> Tail | None:
        """Return what the job of this sequence has printed last, from byte `after` of its log on; None if it has printed nothing.

        It begins later where that is overwritten, or may be. Any bytes: what a job prints is its own affair.
        """
        head = self._head(slot, seq)
        if head is None:
            return None
        start = max(0, min(after, head), head - TAIL_BYTES)
        text = self._copy(slot, start, head)
        now = self._head(slot, seq)
        if now is None or now < head:
            return None
        # What the writer may have been at, beyond the head that it shows.
        safe = now + WRITE_BYTES_MAX - TAIL_BYTES
        if safe > start:
            lost = min(safe, head) - start
            start, text = start + lost, text[lost:]
        return Tail(start, text)

    def last_of(self, slot: int, seq: int, bytes_max: int = TAIL_BYTES) -> bytes:
        """Return what is to be kept of the log of a job whose subworker is dead: its end, within the limit. b"" if there is none."""
        tail = self.read(slot, seq)
        return b"" if tail is None else ending(tail.text, tail.end, max(1, min(self.limit_bytes, bytes_max)))

    def crash(self) -> bytes:
        """Return what the interpreter has said of the crash of its process, b"" if nothing."""
        with suppress(OSError):
            return os.pread(self._fd, CRASH_BYTES_MAX, tails_bytes(self._slots)).partition(b"\0")[0]
        return b""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _head(self, slot: int, seq: int) -> int | None:
        """Return how much the job of this sequence has written, None if the line speaks of another."""
        if not 0 <= slot < self._slots:
            return None
        line = os.pread(self._fd, _LINE.size, _PAGE_BYTES + slot * _LINE.size)
        if len(line) < _LINE.size:
            return None
        of_seq, head = _LINE.unpack(line)
        return head if of_seq == seq and head < 1 << 62 else None

    def _copy(self, slot: int, start: int, end: int) -> bytes:
        at = _tails_at(self._slots) + slot * TAIL_BYTES
        first, last = start % TAIL_BYTES, end % TAIL_BYTES
        if end - start == 0:
            return b""
        if first < last:
            text = os.pread(self._fd, last - first, at + first)
        else:
            text = os.pread(self._fd, TAIL_BYTES - first, at + first) + os.pread(self._fd, last, at)
        # A file that was cut short.
        return text.ljust(end - start, b"\0")


def remove(generation_path: Path) -> None:
    """Remove the file of a generation's tails; fine if there is none."""
    with suppress(OSError):
        path_of(generation_path).unlink()


def _tails_at(slots: int) -> int:
    return _PAGE_BYTES + -(-slots * _LINE.size // _PAGE_BYTES) * _PAGE_BYTES
