"""The failpoints of a subworker: gate and result ring with `passing` at their borders, put in the place of the usual ones.

Only where FARM_FAILPOINT names one of them: so the loops that run jobs are the same with and without, and cost nothing more without.
"""

from __future__ import annotations

from farm.failpoints import passing
from farm.shm import start
from farm.shm.fence import fence_leave
from farm.shm.start import SoleGate, StartGate
from farm.shm.successes import SuccessProducer

TORN_BYTES = 24
"""So many bytes of a frame that is never shown: its head, and a part of its payload."""


def fail_in_gate(gate: StartGate) -> None:
    """Fail at the borders of a start and of the answer to a recall."""
    # The same layout: only the methods are others.
    gate.__class__ = _FailingSoleGate if isinstance(gate, SoleGate) else _FailingGate

    def leave() -> None:
        fence_leave()
        passing("subworker.after_mark")

    # Between MARKED and the look at the recall there is nothing but this fence.
    vars(start)["fence_leave"] = leave


def fail_in_ring(ring: SuccessProducer) -> None:
    """Fail at the borders of publishing an outcome."""
    ring.__class__ = _FailingProducer


class _FailingGate(StartGate):
    __slots__ = ()

    def start(
        self, slot: int, seq: int, lease_id: int, position: int, job_id: int, attempt: int, lost: int, started_ns: int, deadline_ns: int
    ) -> bool:
        passing("subworker.before_mark")
        started = super().start(slot, seq, lease_id, position, job_id, attempt, lost, started_ns, deadline_ns)
        if started:
            passing("subworker.after_start")
        return started

    def acknowledge(self, first_unstarted_seq: int) -> None:
        passing("subworker.before_answer")
        super().acknowledge(first_unstarted_seq)
        passing("subworker.after_answer")


class _FailingSoleGate(_FailingGate, SoleGate):
    __slots__ = ()


class _FailingProducer(SuccessProducer):
    __slots__ = ()

    def publish_success(
        self, lease_id: int, seq: int, position: int, job_id: int, started_us: int, finished_us: int, finished_ns: int, value: bytes
    ) -> bool:
        self._tear()
        shown = super().publish_success(lease_id, seq, position, job_id, started_us, finished_us, finished_ns, value)
        if shown:
            passing("subworker.after_publish")
        return shown

    def publish(self, kind: int, flags: int, payload: bytes) -> bool:
        self._tear()
        shown = super().publish(kind, flags, payload)
        if shown:
            passing("subworker.after_publish")
        return shown

    def _tear(self) -> None:
        passing("subworker.before_publish")
        if self.free_bytes >= TORN_BYTES:
            at = self._head & self._mask
            torn = bytes(range(1, TORN_BYTES + 1))[: self.capacity - at]
            self._data[at : at + len(torn)] = torn
        passing("subworker.torn_publish")
