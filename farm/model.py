"""The words of the farm as data: states, outcomes, and the plain tuples of the hot path. No I/O, no clock."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple

PRIORITY_DEFAULT = 4
PRIORITY_MAX = 9
ATTEMPTS_MAX_DEFAULT = 3
CRASHES_MAX_DEFAULT = 3
ARGS_BYTES_MAX = 1 << 20
RESULT_BYTES_MAX = 16 << 20
JSON_DEPTH_MAX = 200
NAME_PATTERN = r"[a-z0-9][a-z0-9_.:-]{0,62}"
"""What a queue's or a lane's name may look like."""


class State(StrEnum):
    """The state of a job, as the view farm.jobs shows it."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    READY = "ready"
    CLAIMED = "claimed"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class OutcomeKind(IntEnum):
    """What a claimed job came to. Travels as the kind of a result frame, so the numbers are fixed."""

    SUCCEEDED = 1
    FAILED = 2
    """It raised, or its result cannot be kept: uses an attempt, re-queued while attempts are left."""
    REJECTED = 3
    """It cannot ever succeed as it stands (not allowed, unknown runner): final, whatever attempts are left; none is used."""
    TIMED_OUT = 4
    CRASHED = 5
    """Its subworker died while it ran: uses an attempt and counts as a crash."""
    MEMORY = 6
    """It went over its memory limit: counted like a crash."""
    CANCELLED = 7
    RELEASED = 8
    """It was never started: goes back with the same attempt."""
    STOPPED = 9
    """It was still running at the deadline of a drain and was ended: uses an attempt."""


class Outcome(NamedTuple):
    """One outcome on its way to the store (a plain tuple: hot path).

    started_ns and finished_ns are CLOCK_MONOTONIC of this host, 0 where the job never started;
    payload is the result, or the error {"type", "message", "traceback"}, as JSON text in UTF-8; empty for RELEASED.
    """

    lease_id: int
    position: int
    job_id: int
    attempt: int
    kind: int
    started_ns: int
    finished_ns: int
    payload: bytes


class Share(NamedTuple):
    """What a claim brought of one class."""

    class_id: int
    fresh: int
    """How many came from `ready`."""
    last_id: int
    """The last of these; 0 if there are none."""
    returned: int
    """How many came from `returned`."""
    last_seq: int
    """The number that the last of these has there; 0 if there are none."""


class Claim(NamedTuple):
    """One claimed batch: position i of the lists is position i of the lease."""

    lease_id: int
    job_ids: list[int]
    attempts: list[int]
    """Attempts used up before this one."""
    losts: list[int] | None
    """How often each job was lost with a host; None when all are 0."""
    shares: tuple[Share, ...]
    """Of every class that brought some; none where the answer to the claim was lost."""


class JobRow(NamedTuple):
    """What a subworker needs of a claimed job."""

    job_id: int
    task: bytes
    args: bytes
    timeout_ms: int
    """0: no limit."""


class CommitReport(NamedTuple):
    """What one commit did with the outcomes that it was given."""

    written: int
    duplicate: int
    """Dropped: their position was settled already and the lease stands."""
    stale: int
    """Dropped: their lease is gone."""
    already: int
    """Dropped in a retry: an earlier try of the same commit had written them."""
    unknown: int
    """Dropped in a retry, and no row tells who settled them."""


class Beat(NamedTuple):
    """A host as a reaper sees it."""

    host_id: int
    beat: int
