"""The supervisor's own result ring: outcomes of jobs that no subworker can speak for. The writer commits them like any other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from farm.failpoints import passing
from farm.model import Outcome, OutcomeKind
from farm.shm.frames import LOGGED, HeldJob, pack_outcome
from farm.shm.generation import RingFile
from farm.shm.ring import RingProducer
from farm.subworker.results import error_payload

PUT_MAX = 512
WAITERS_S = 5.0
"""Longer than two beats; and who waits says so again before it is over."""


class Desk:
    """Publishes outcomes; what does not fit into the ring waits here until the writer has made room."""

    NAME = "desk"

    def __init__(self, file: RingFile, *, wake_writer: Callable[[], None], heartbeat_s: float) -> None:
        self.file = file
        self._waiters_ns = int(max(WAITERS_S, 2 * heartbeat_s) * 1e9)
        self._ring = RingProducer(file.ring, wake=wake_writer)
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        self._published = 0
        self.settled = 0
        """Outcomes of its own whose commit was told."""

    def note_waiters(self) -> None:
        """Tell the writer that somebody waits for the end of a job, from any thread: it then tells with each commit, for a while."""
        self.file.waiters_ns = time.monotonic_ns() + self._waiters_ns

    def push(self, outcomes: Iterable[Outcome], *, of: int = 0) -> None:
        """Publish outcomes, now or as soon as there is room. of: the number of a subworker of their lane, which the writer knows by it."""
        self._waiting.extend((outcome.kind, LOGGED if outcome.log else 0, pack_outcome(outcome, of)) for outcome in outcomes)
        self.step()

    def step(self) -> None:
        """Publish what waits, as far as there is room."""
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(PUT_MAX, len(self._waiting)))]
            written = self._ring.put_frames(batch)
            self._published += written
            passing("supervisor.desk_pushed")
            for _ in range(written):
                self._waiting.popleft()
            if written < len(batch) and self._ring.want_space(len(self._waiting[0][2])):
                return

    @property
    def drained(self) -> bool:
        """True when everything pushed has been committed."""
        return not self._waiting and self._ring.drained

    @property
    def backlog(self) -> int:
        """Outcomes that wait for room in the ring."""
        return len(self._waiting)

    def settle(self, acks: int) -> None:
        """Be told that so many more outcomes are committed."""
        self.settled += acks

    @property
    def uncommitted(self) -> int:
        """Outcomes that wait, here or in the ring, for their commit; after the death of a writer, which acks some twice, at least 1."""
        return len(self._waiting) + (0 if self._ring.drained else max(1, self._published - self.settled))


def released(jobs: Iterable[HeldJob]) -> list[Outcome]:
    """Return the outcomes that give unstarted jobs back, without an attempt used."""
    return [outcome_of(job, OutcomeKind.RELEASED, b"") for job in jobs]


def ended(job: HeldJob, kind: OutcomeKind, error: str, message: str, started_ns: int, peak_bytes: int = 0, log: bytes = b"") -> Outcome:
    """Return the outcome of a job that was ended from outside while it ran. peak_bytes: of its memory, 0 if that is not known."""
    return outcome_of(job, kind, error_payload(error, message), started_ns, peak_bytes, log)


def outcome_of(job: HeldJob, kind: OutcomeKind, payload: bytes, started_ns: int = 0, peak_bytes: int = 0, log: bytes = b"") -> Outcome:
    """Return an outcome for a job that was handed out."""
    _flags, lease_id, job_id, position, _timeout_ms, attempt, *_ = job
    return Outcome(lease_id, position, job_id, attempt, kind, started_ns, time.monotonic_ns(), payload, peak_bytes, log)
