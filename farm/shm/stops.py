"""What a supervisor asks of a running job, a line for each slot: to end, as what, and why.

Only the supervisor writes `stops`; only the subworker writes `otherwise`. A stop names the sequence of its job, so that a subworker
that comes to it late never takes it for the next job in the slot.
"""

from __future__ import annotations

from typing import Final, NamedTuple

STOP_BYTES: Final = 256
"""One line of the table: seq, kind, length of the text, then the text."""
STOP_WORDS: Final = STOP_BYTES // 8
TEXT_AT: Final = 24
TEXT_BYTES_MAX: Final = STOP_BYTES - TEXT_AT
_SEQ, _KIND, _LENGTH = range(3)


class Stop(NamedTuple):
    """What a job is to end as."""

    seq: int
    kind: int
    """An OutcomeKind."""
    text: str


def stops_bytes(count: int) -> int:
    """Say how many bytes the table of so many slots takes."""
    return count * STOP_BYTES + -(-count * 8 // 128) * 128


class StopTable:
    """The table over a region of shared memory."""

    __slots__ = ("_count", "_memory", "_words", "otherwise")

    def __init__(self, memory: memoryview, count: int) -> None:
        assert len(memory) == stops_bytes(count)
        self._count = count
        self._memory = memory
        self._words = memory[: count * STOP_BYTES].cast("Q")
        self.otherwise = memory[count * STOP_BYTES : count * (STOP_BYTES + 8)].cast("Q")
        """For each slot the sequence of the last job that ran otherwise than the lane's jobs do: in a thread where many are awaited
        beside each other, awaited on a kept loop where they run one by one. So the supervisor knows who can be cancelled."""

    def ask(self, slot: int, seq: int, kind: int, text: str) -> None:
        """Ask the job of this sequence to end. The sequence is stored last: with it the rest holds."""
        raw = text.encode("utf-8", "backslashreplace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore").encode()
        at = slot * STOP_WORDS
        self._words[at + _SEQ] = 0
        self._memory[at * 8 + TEXT_AT : at * 8 + TEXT_AT + len(raw)] = raw
        self._words[at + _LENGTH] = len(raw)
        self._words[at + _KIND] = kind
        self._words[at + _SEQ] = seq

    def of(self, slot: int, seq: int) -> Stop | None:
        """Return what is asked of the job of this sequence, None if nothing is."""
        at = slot * STOP_WORDS
        if self._words[at + _SEQ] != seq:
            return None
        kind, length = self._words[at + _KIND], min(self._words[at + _LENGTH], TEXT_BYTES_MAX)
        text = bytes(self._memory[at * 8 + TEXT_AT : at * 8 + TEXT_AT + length])
        return Stop(seq, kind, text.decode("utf-8", "replace"))

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self.otherwise.release()
        self._memory.release()
