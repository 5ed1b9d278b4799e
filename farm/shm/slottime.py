"""How much of its slots' time a subworker has been busy: counted when it goes to sleep or has more or fewer jobs, never for each job.

Four words of the header page, written by the subworker alone: a version, odd while the others are written; how many slots are busy;
the busy time of all slots up to the last change, in nanoseconds; when that was (CLOCK_MONOTONIC). Beside them, when it began to serve.
So whoever reads knows the sum up to this moment, though the subworker be stuck in one long job.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

SLOT_TIME_WORD: Final = 176
_VERSION, _RUNNING, _BUSY, _AT, _SINCE = range(SLOT_TIME_WORD, SLOT_TIME_WORD + 5)
_FOUR: Final = Struct("<4Q")
READ_TRIES_MAX: Final = 8

_pack_four_into = _FOUR.pack_into


class SlotTime(NamedTuple):
    """The slots of one subworker up to a moment."""

    busy_ns: int
    """Of all its slots together."""
    slots: int
    since_ns: int
    """CLOCK_MONOTONIC when it began to serve."""


class SlotClock:
    """The subworker's side. Its slots count as free until begin()."""

    __slots__ = ("_at_ns", "_busy_ns", "_memory", "_version", "_words", "running")

    def __init__(self, words: memoryview) -> None:
        """Take the header page."""
        self._words = words
        self._memory = words.cast("B")
        self._version = 0
        self._busy_ns = 0
        self._at_ns = 0
        self.running = 0
        """Slots that are busy, as last noted."""

    def begin(self, now_ns: int) -> None:
        """Say that it serves from now on, and has nothing to do yet."""
        self.note(0, now_ns)
        self._words[_SINCE] = now_ns

    def note(self, running: int, now_ns: int) -> None:
        """Say that so many slots are busy from now on."""
        self._busy_ns += self.running * (now_ns - self._at_ns)
        self.running, self._at_ns = running, now_ns
        self._version = version = self._version + 2
        _pack_four_into(self._memory, SLOT_TIME_WORD * 8, version - 1, running, self._busy_ns, now_ns)
        self._words[_VERSION] = version


def read_slot_time(words: memoryview, slots: int, now_ns: int) -> SlotTime | None:
    """Read the time of a subworker's slots up to now; None before it serves, or if it was being written at every try."""
    since_ns = words[_SINCE]
    if not since_ns:
        return None
    for _ in range(READ_TRIES_MAX):
        version, running, busy_ns, at_ns = words[_VERSION:_SINCE]
        # What serves has a version: 0 is there while the four are being written, for pack_into() clears them first.
        if version and version == words[_VERSION] and not version & 1:
            return SlotTime(busy_ns + min(running, slots) * max(0, now_ns - at_ns), slots, since_ns)
    return None
