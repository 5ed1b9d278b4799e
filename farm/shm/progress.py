"""How far running jobs are, a row for each slot, as they have said themselves: written by the subworker, read by the heartbeat.

A row names the sequence of its job. So nothing has to be cleared when a job ends: to whoever looks for the next job in that slot
it says nothing. The version is odd while a row is written, and no two writes have the same, since threads of a job may write at once.
"""

from __future__ import annotations

from itertools import count
from struct import Struct
from typing import Final

from farm.headway import Progress, printable

TEXT_BYTES_MAX: Final = 120
_ROW: Final = Struct(f"<QQII{TEXT_BYTES_MAX}s")
"""version, seq, fraction in millionths and one (0: none), length of the text, the text."""
_ROW_WORDS: Final = _ROW.size // 8
_MILLION: Final = 1_000_000
READ_TRIES_MAX: Final = 8

_pack_row_into = _ROW.pack_into


def progress_bytes(slots: int) -> int:
    """Say how many bytes the table of so many slots takes, rounded up so that what follows starts on a line of its own."""
    return -(-slots * _ROW.size // 128) * 128


class ProgressTable:
    """The table over a region of shared memory."""

    __slots__ = ("_memory", "_versions", "_words")

    def __init__(self, memory: memoryview, slots: int) -> None:
        assert len(memory) == progress_bytes(slots)
        self._memory = memory
        self._words = memory.cast("Q")
        self._versions = count(1, 2)

    def write(self, slot: int, seq: int, fraction: float | None, text: str) -> None:
        """Say how far the job of this sequence is. Any thread of the subworker; a row is one step of the interpreter."""
        raw = text.encode() if text.isascii() and text.isprintable() and len(text) <= TEXT_BYTES_MAX else _cut(text)
        version = next(self._versions)
        _pack_row_into(self._memory, slot * _ROW.size, version, seq, _millionths(fraction), len(raw), raw)
        self._words[slot * _ROW_WORDS] = version + 1

    def read(self, slot: int, seq: int) -> Progress | None:
        """Return what the job of this sequence has said last; None if that is nothing, or its row was being written at every try."""
        at = slot * _ROW_WORDS
        words = self._words
        if words[at + 1] != seq:
            return None
        for _ in range(READ_TRIES_MAX):
            version, of_seq, millionths, length, raw = _ROW.unpack_from(self._memory, slot * _ROW.size)
            # 0 is there for a moment, too: pack_into() clears the row before it writes.
            if not version or version & 1 or version != words[at]:
                continue
            if of_seq != seq:
                return None
            # A job can scribble over this memory: whatever it holds becomes something that can be stored and shown.
            fraction = min(millionths - 1, _MILLION) / _MILLION if millionths else None
            return Progress(fraction, printable(raw[:length].decode("utf-8", "replace")))
        return None

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.release()


def _millionths(fraction: float | None) -> int:
    # What is no number (0/0 in numpy) is not known.
    if fraction is None or fraction != fraction:
        return 0
    return round(min(max(fraction, 0.0), 1.0) * _MILLION) + 1


def _cut(text: str) -> bytes:
    """Return the beginning of a text, printable, cut between characters."""
    return printable(text[:TEXT_BYTES_MAX]).encode()[:TEXT_BYTES_MAX].decode("utf-8", "ignore").encode()
