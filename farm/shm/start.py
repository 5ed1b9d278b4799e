"""Who may start a job: the stores by which a subworker starts it and its supervisor takes it back, in their exact order.

Subworker: row, `marked`, MARKED, fence, look at `recall`. Supervisor: `recall`, fence, look at `marked` and the row. Each stores
first and looks afterwards, with a full fence between: so at least one of them sees the other, and a job is never both started
and taken back. What is undecided (marked, and the subworker has not come to its look yet) is left to the subworker's answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from farm.shm.fence import fence, fence_enter, fence_leave
from farm.shm.generation import ACK_SEQ_WORD, ACK_WORD, GATE_WORD, MARKED_WORD, RECALL_WORD, GenerationFile
from farm.shm.ring import RingConsumer
from farm.shm.slots import FREE, MARKED, RUNNING, SOLE_ROW

FRAMES_DROPPED_AT_ONCE = 1024
_pack_row_into = SOLE_ROW.pack_into


class StartGate:
    """The subworker's side. One thread calls it; only `orphaned` may be set from elsewhere (a signal handler)."""

    __slots__ = ("_header", "_jobs", "_states", "_table", "orphaned")

    def __init__(self, generation: GenerationFile, jobs: RingConsumer) -> None:
        """Take the consumer of the generation's job ring too, because an acknowledgement must drop what the ring still holds."""
        self._jobs = jobs
        self._header = generation.words
        self._table = generation.slots
        self._states = generation.slots.states
        self.orphaned = False
        """The supervisor is gone: start nothing more."""

    @property
    def recall_number(self) -> int:
        """The recall that stands, 0 = none."""
        return self._header[RECALL_WORD]

    def blocked(self, now_boot_ns: int) -> bool:
        """Tell whether nothing may start now: orphaned, recalled, or past the gate. now_boot_ns is CLOCK_BOOTTIME."""
        return self.orphaned or self._header[RECALL_WORD] != 0 or now_boot_ns >= self._header[GATE_WORD]

    def start(
        self, slot: int, seq: int, lease_id: int, position: int, job_id: int, attempt: int, lost: int, started_ns: int, deadline_ns: int
    ) -> bool:
        """Start the job of frame `seq` in a free slot. False: recalled and acknowledged; drop all frames from this one on.

        Jobs are started in the order of their sequences. Its fence also stands behind whatever was published before.
        """
        states, header = self._states, self._header
        self._table.mark(slot, seq, lease_id, position, job_id, attempt, lost, started_ns, deadline_ns)
        header[MARKED_WORD] = seq
        states[slot] = MARKED
        fence_enter()
        fence_leave()
        if header[RECALL_WORD]:
            self.acknowledge(seq)
            states[slot] = FREE
            return False
        states[slot] = RUNNING
        return True

    def acknowledge(self, first_unstarted_seq: int) -> None:
        """Answer the recall that stands: nothing from that sequence on was started, nor will be. Does nothing if answered.

        The caller drops the frames that it has taken out of the ring; those still in it are dropped here, and before the
        answer: after it the supervisor may send new ones. Until recall_number is 0 again nothing may be taken out of the ring.
        """
        number = self._header[RECALL_WORD]
        if number in (0, self._header[ACK_WORD]):
            return
        fence()
        while self._jobs.take(FRAMES_DROPPED_AT_ONCE):
            pass
        self._header[ACK_SEQ_WORD] = first_unstarted_seq
        self._header[ACK_WORD] = number

    def finish(self, slot: int) -> None:
        """Set the slot free. Only after the outcome is published: until then the slot tells that the job was started."""
        self._states[slot] = FREE

    def close(self) -> None:
        """Let go of the memory."""
        self._states.release()


class SoleGate(StartGate):
    """The gate of a subworker with one slot: the same stores in the same order, with its row as one."""

    __slots__ = ("_row", "_words")

    def __init__(self, generation: GenerationFile, jobs: RingConsumer) -> None:
        super().__init__(generation, jobs)
        assert generation.slots.count == 1
        self._row = generation.slots.memory
        self._words = generation.slots.words

    def start(
        self, slot: int, seq: int, lease_id: int, position: int, job_id: int, attempt: int, lost: int, started_ns: int, deadline_ns: int
    ) -> bool:
        """Start a job as StartGate does; slot is 0."""
        words, states, header = self._words, self._states, self._header
        version = words[0]
        _pack_row_into(self._row, 0, version + 1, FREE, seq, lease_id, position, job_id, attempt, started_ns, deadline_ns, lost)
        words[0] = version + 2
        header[MARKED_WORD] = seq
        states[0] = MARKED
        fence_enter()
        fence_leave()
        if header[RECALL_WORD]:
            self.acknowledge(seq)
            states[0] = FREE
            return False
        states[0] = RUNNING
        return True


class Taken(NamedTuple):
    """What a recall has brought so far, in sequences of job frames that are still without an outcome."""

    mine_from: int
    """All frames from this sequence on are the supervisor's again."""
    undecided: int | None
    """The one frame that may have been started or not: wait for the answer. May name a job that has long ended."""
    acked_from: int | None
    """What the subworker answered: the first sequence that it did not start."""
    finished: bool
    """It answered: end() may be called and new frames may be sent."""


class Recall:
    """The supervisor's side: take back what a subworker has not started, even while it is stuck in a job."""

    def __init__(self, generation: GenerationFile, *, wake: Callable[[], None] | None = None) -> None:
        self._generation = generation
        self._wake = wake
        self._number = 0
        self._marked = 0
        self.active = False

    def begin(self) -> int:
        """Ask for all unstarted frames and wake the subworker. Returns the recall's number. No frames may be sent before end()."""
        assert not self.active, "one recall at a time: its answer would be taken for that of the other"
        self.active = True
        self._number += 1
        self._generation.recall = self._number
        fence()
        # What was marked before the recall could be seen. A later mark finds the recall, so it cannot become a start.
        self._marked = self._generation.marked
        if self._wake is not None:
            self._wake()
        return self._number

    @property
    def answered(self) -> bool:
        """True when the subworker has answered: end() may be called."""
        return self._generation.ack == self._number

    def state(self) -> Taken:
        """Look how far it is."""
        assert self.active
        if self._generation.ack != self._number:
            return Taken(self._marked + 1, self._undecided(), None, False)
        acked_from = self._generation.ack_seq
        return Taken(min(self._marked + 1, acked_from), None, acked_from, True)

    def end(self, *, dead: bool = False) -> None:
        """Lift the recall and wake the subworker, which waits for that. Only after its answer, or when it is dead."""
        assert self.active
        assert dead or self._generation.ack == self._number, "the frames taken back would still be found, and run twice"
        self.active = False
        self._generation.recall = 0
        if self._wake is not None and not dead:
            self._wake()

    def _undecided(self) -> int | None:
        """Name the marked frame unless its row says RUNNING.

        A free row is no proof of anything: `marked` is stored before MARKED, and RUNNING is cleared when a job has ended.
        """
        rows = (row for row in self._generation.slots.running() if row.seq == self._marked)
        return None if self._marked == 0 or any(rows) else self._marked
