"""The log of the job in one slot, as it is written: its beginning is kept for the outcome, its end stands in shared memory meanwhile.

Nothing is done for a job that prints nothing: the log is begun anew by the first write for another job, which is known by its sequence.
"""

from __future__ import annotations

import threading

from farm.joblog import beginning
from farm.shm.logtails import GROWTHS, TAIL_BYTES, WRITE_BYTES_MAX, LogTails

assert TAIL_BYTES % WRITE_BYTES_MAX == 0, "a piece that begins a tail anew never reaches over its end"
assert GROWTHS[0] >= WRITE_BYTES_MAX, "the first piece of a log fits into what is taken first"

_SEQ, _HEAD = 0, 1


class JobLog:
    """Any thread may write. A short write is one step of the interpreter, since nothing in it is called; a longer one takes a lock."""

    __slots__ = (
        "_at",
        "_before",
        "_free_to",
        "_grown_to",
        "_kept",
        "_line",
        "_lock",
        "_memory",
        "_tails",
        "_words",
        "limit_bytes",
        "part",
        "seq",
        "slot",
    )

    def __init__(self, tails: LogTails | None, slot: int, *, limit_bytes: int) -> None:
        """tails: None where there is no shared memory for them; then only the outcome tells what was printed."""
        self.slot = slot
        self.limit_bytes = limit_bytes
        self.seq = 0
        """The sequence of the job that has written something which was not taken yet; 0: nobody has."""
        self.part = ""
        """A text whose line has not ended yet: it is added with the next one, by push(), or at the job's end."""
        self._tails = tails
        self._words = memoryview(bytearray(16)).cast("Q") if tails is None else tails.words
        self._line = 0 if tails is None else tails.line_of(slot)
        self._memory = memoryview(bytearray())
        self._grown_to = 0
        """How much of the tail is taken."""
        self._free_to = 0
        """Up to where a short write may go: 0 while somebody is about a longer one."""
        self._at = 0
        self._before = 0
        """How much was written before the tail was begun from the front again."""
        self._kept = bytearray()
        """The beginning of the log, as far as the tail has it no more."""
        # A signal's handler may print in the middle of a print.
        self._lock = threading.RLock()

    def write(self, seq: int, data: bytes) -> None:
        """Add to the log of the job of this sequence."""
        size = len(data)
        if seq == self.seq and size <= WRITE_BYTES_MAX:
            end = self._at + size
            if end <= self._free_to:
                self._memory[self._at : end] = data
                self._at = end
                self._words[self._line + _HEAD] = self._before + end
                return
        self._write_far(seq, data)

    def push(self) -> None:
        """Add the text that is held back."""
        part, self.part = self.part, ""
        self.write(self.seq, part.encode("utf-8", "backslashreplace"))

    def take(self, seq: int) -> bytes:
        """Return the log of the job of this sequence, cut to its limit, and b"" if it has printed nothing. It has ended."""
        if seq != self.seq:
            # A thread that an earlier job has left behind.
            self.seq = 0
            return b""
        if self.part:
            self.push()
        with self._lock:
            self.seq = 0
            written = self._before + self._at
            log = bytes(self._kept) + self._memory[: max(0, min(self._at, self.limit_bytes - len(self._kept)))].tobytes()
            if self._kept:
                self._kept = bytearray()
        return beginning(log, written, self.limit_bytes)

    def _write_far(self, seq: int, data: bytes) -> None:
        with self._lock:
            self._free_to = 0
            try:
                if seq != self.seq:
                    self._begin(seq)
                for start in range(0, len(data), WRITE_BYTES_MAX):
                    self._write_piece(data[start : start + WRITE_BYTES_MAX])
            finally:
                self._free_to = self._grown_to

    def _write_piece(self, piece: bytes) -> None:
        while self._at + len(piece) > self._grown_to < TAIL_BYTES:
            self._grow()
        fits = min(len(piece), TAIL_BYTES - self._at)
        self._put(piece[:fits])
        if fits < len(piece):
            self._turn_over()
            self._put(piece[fits:])

    def _begin(self, seq: int) -> None:
        self.part = ""
        self._at = self._before = 0
        if self._kept:
            self._kept = bytearray()
        # In this order: whoever finds the sequence finds none of the bytes of the job before.
        self._words[self._line + _HEAD] = 0
        self._words[self._line + _SEQ] = seq
        self.seq = seq

    def _put(self, piece: bytes) -> None:
        end = self._at + len(piece)
        self._memory[self._at : end] = piece
        self._at = end
        self._words[self._line + _HEAD] = self._before + end

    def _turn_over(self) -> None:
        """Begin the tail from the front again, and keep what of it is within the limit."""
        wanted = self.limit_bytes - len(self._kept)
        if wanted > 0:
            self._kept += self._memory[: min(wanted, TAIL_BYTES)]
        self._before += TAIL_BYTES
        self._at = 0

    def _grow(self) -> None:
        """Take more memory for the tail: shared memory, or, where there is none, some of our own."""
        size = next(size for size in GROWTHS if size > self._grown_to)
        if self._tails is not None and self._tails.grow(self.slot, size):
            if not self._grown_to:
                self._memory = self._tails.tail_of(self.slot)
            self._grown_to = size
            return
        memory = memoryview(bytearray(TAIL_BYTES))
        memory[: self._at] = self._memory[: self._at]
        self._memory, self._grown_to = memory, TAIL_BYTES
        if self._tails is not None:
            # Nobody is to look for it there any more.
            self._words[self._line + _SEQ] = 0
        self._tails, self._words, self._line = None, memoryview(bytearray(16)).cast("Q"), 0
