"""The slot table of a subworker: which jobs it has marked and runs, for the eyes of the supervisor.

Columns of 8-byte words, all slots of one column side by side. One subworker writes, anybody reads without a lock: a row's
version is odd while the row is being written, so a reader knows a torn row. The state is a word of its own outside of that
bracket, because it alone changes while a row stands.
"""

from __future__ import annotations

from heapq import nsmallest
from struct import Struct
from typing import Final, NamedTuple

SLOT_WORDS: Final = 10
READ_TRIES_MAX: Final = 8

FREE: Final = 0
"""Nothing here; the other columns tell of the job that was here last."""
MARKED: Final = 1
"""About to start unless a recall is found: not started."""
RUNNING: Final = 2
"""Started. Stays until the outcome is published."""

SOLE_ROW: Final = Struct("<10Q")
"""The whole row of a table of one slot, whose columns lie side by side: version, state, and the others as Slot names them."""

_STARTED_COLUMN, _DEADLINE_COLUMN = 7, 8


class Slot(NamedTuple):
    """One row, read as a whole."""

    slot: int
    state: int
    seq: int
    lease_id: int
    position: int
    job_id: int
    attempt: int
    """Attempts used up before this one."""
    started_ns: int
    """CLOCK_MONOTONIC."""
    deadline_ns: int
    """CLOCK_MONOTONIC, 0 = none."""
    lost: int


def slot_bytes(count: int) -> int:
    """Say how many bytes a table of `count` slots takes, rounded up so that what follows starts on a line of its own."""
    return -(-count * SLOT_WORDS * 8 // 128) * 128


class SlotTable:
    """The table over a region of shared memory. mark, set_running and clear belong to the subworker alone."""

    __slots__ = ("count", "memory", "states", "words")

    def __init__(self, memory: memoryview, count: int) -> None:
        assert count >= 1
        assert len(memory) == slot_bytes(count)
        self.count = count
        self.memory = memory
        """The whole table, for hot paths, as are its words and states."""
        self.words = memory.cast("Q")
        self.states = self.words[count : 2 * count]
        """The column of states."""

    def mark(
        self, slot: int, seq: int, lease_id: int, position: int, job_id: int, attempt: int, lost: int, started_ns: int, deadline_ns: int
    ) -> None:
        """Write the row of a free slot. The state stays FREE: StartGate sets it, in the order of the protocol."""
        words, count = self.words, self.count
        version = words[slot]
        words[slot] = version + 1
        at = slot + count + count
        words[at] = seq
        at += count
        words[at] = lease_id
        at += count
        words[at] = position
        at += count
        words[at] = job_id
        at += count
        words[at] = attempt
        at += count
        words[at] = started_ns
        at += count
        words[at] = deadline_ns
        at += count
        words[at] = lost
        words[slot] = version + 2

    def set_running(self, slot: int) -> None:
        """Say that the job of this row has started. This store is the start."""
        self.states[slot] = RUNNING

    def clear(self, slot: int) -> None:
        """Set the slot free: after its outcome is published, or after the acknowledgement of a recall."""
        self.states[slot] = FREE

    def lift_deadline(self, slot: int) -> None:
        """Say that a job has ended in time, though its outcome cannot be published yet: it is not to be killed for that."""
        self.words[_DEADLINE_COLUMN * self.count + slot] = 0

    def state(self, slot: int) -> int:
        """Read the state alone: what heartbeats and deadlines look at often."""
        return self.states[slot]

    def read(self, slot: int) -> Slot | None:
        """Read a row as a whole; None if its writer was at it at every try, or died in it (it is not RUNNING then)."""
        words, count = self.words, self.count
        for _ in range(READ_TRIES_MAX):
            version = words[slot]
            _, state, seq, lease_id, position, job_id, attempt, started_ns, deadline_ns, lost = words[slot : SLOT_WORDS * count : count]
            if version == words[slot] and not version & 1:
                return Slot(slot, state, seq, lease_id, position, job_id, attempt, started_ns, deadline_ns, lost)
        return None

    def any_running(self) -> bool:
        """Tell whether any job has started and not ended."""
        return RUNNING in self.states

    def count_running(self) -> int:
        """Count the jobs that have started and not ended. In one pass over the column: cheap beside a batch, not beside a job."""
        states = self.states
        return int(states[0] == RUNNING) if self.count == 1 else min(self.count, states.tobytes().count(RUNNING))

    def last_start_ns(self) -> int:
        """Return the CLOCK_MONOTONIC of the last start, 0 if there was none. Cheap: one pass over one column."""
        return int(max(self.words[_STARTED_COLUMN * self.count : _DEADLINE_COLUMN * self.count].tolist()))

    def count_older(self, moment_ns: int) -> int:
        """Count the jobs that run and have started before that moment (CLOCK_MONOTONIC). In one pass over two columns."""
        started_ns = self.words[_STARTED_COLUMN * self.count : _DEADLINE_COLUMN * self.count].tolist()
        return sum(state == RUNNING and at < moment_ns for state, at in zip(self.states.tolist(), started_ns, strict=True))

    def longest(self, most: int) -> list[Slot]:
        """Read the rows whose job runs, the longest ones first, at most so many. Of many slots it looks at two columns and no more rows."""
        started_ns = self.words[_STARTED_COLUMN * self.count : _DEADLINE_COLUMN * self.count].tolist()
        states = self.states.tolist()
        slots = nsmallest(most, (slot for slot in range(self.count) if states[slot] == RUNNING), key=started_ns.__getitem__)
        rows = (self.read(slot) for slot in slots)
        return [row for row in rows if row is not None and row.state == RUNNING]

    def running(self) -> list[Slot]:
        """Read the rows whose job has started and has not ended."""
        rows = (self.read(slot) for slot in range(self.count) if self.state(slot) == RUNNING)
        return [row for row in rows if row is not None and row.state == RUNNING]

    def overdue(self, now_ns: int) -> list[Slot]:
        """Read the rows whose job runs and is past its deadline. Cheap when there are none: one pass over one column."""
        at = _DEADLINE_COLUMN * self.count
        column = self.words[at : at + self.count].tolist()
        rows = (self.read(slot) for slot, deadline_ns in enumerate(column) if 0 < deadline_ns <= now_ns and self.states[slot] == RUNNING)
        return [row for row in rows if row is not None and row.state == RUNNING and 0 < row.deadline_ns <= now_ns]

    def close(self) -> None:
        """Let go of the memory."""
        self.states.release()
        self.words.release()
        self.memory.release()
