"""The words of the farm as data: states, outcomes, and the plain tuples of the hot path. No I/O, no clock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum, StrEnum
from itertools import compress, groupby
from typing import Any, NamedTuple

PRIORITY_DEFAULT = 4
PRIORITY_MAX = 9
ATTEMPTS_MAX_DEFAULT = 3
CRASHES_MAX_DEFAULT = 3
ARGS_BYTES_MAX = 1 << 20
RESULT_BYTES_MAX = 16 << 20
JSON_DEPTH_MAX = 200
CONCURRENCY_MAX = 4096
"""Jobs at once in one subworker: each has a row in its slot table."""
NAME_PATTERN = r"[a-z0-9][a-z0-9_.:-]{0,62}"
"""What a queue's or a lane's name may look like."""
_DECIMAL_CLASSES = (256 * 10**6, 512 * 10**6, *(10**9 << doublings for doublings in range(10)), 10**12)
_BINARY_CLASSES = ((1 << 28) << doublings for doublings in range(13))
MEMORY_CLASS_BYTES = tuple(sorted((*_DECIMAL_CLASSES, *_BINARY_CLASSES)))
"""What a job may declare to need is rounded up to one of these: 256 MB to 1 TiB by doublings, in both ways to count. So a job and a
lane that name the same of them meet, and there are few classes."""


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
    SNOOZED = 10
    """It asked to be run again later: goes back with the same attempt."""


def memory_class_mb(memory_bytes: int) -> int:
    """Return the memory class, in whole millions of bytes, of a job that needs so much. Raises ValueError."""
    if not 0 < memory_bytes <= MEMORY_CLASS_BYTES[-1]:
        raise ValueError("expected a size of at most 1 TiB, and more than nothing")
    return MEMORY_CLASS_BYTES[bisect_left(MEMORY_CLASS_BYTES, memory_bytes)] // 1_000_000


def memory_class_bytes(memory_mb: int) -> int | None:
    """Return the size that a memory class stands for; None for class 0, whose jobs have declared none."""
    return next((size for size in MEMORY_CLASS_BYTES if size // 1_000_000 == memory_mb), None)


class Outcome(NamedTuple):
    """One outcome on its way to the store (a plain tuple: hot path).

    started_ns and finished_ns are CLOCK_MONOTONIC of this host, 0 where the job never started;
    payload is the result, or the error {"type", "message", "traceback"}, as JSON text in UTF-8; empty for RELEASED; {"after_s"} for
    SNOOZED. The error of a job that named the pause before its next attempt has an after_s beside the others.
    """

    lease_id: int
    position: int
    job_id: int
    attempt: int
    kind: int
    started_ns: int
    finished_ns: int
    payload: bytes
    peak_bytes: int = 0
    """What it had in memory at most; 0: not known."""
    log: bytes = b""
    """What it has printed, cut to its limit: any bytes. Empty: nothing, or it is not kept."""


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

    @property
    def jobs(self) -> int:
        return self.fresh + self.returned


class Outcomes:
    """A batch of outcomes on its way to the store: successes in columns, side by side, and all others one by one.

    Columns, because nearly all outcomes are successes, and a batch of them is handled without a look at each. heads are the first
    cells of rows of farm.result (job id, started, finished) as COPY wants them; values are JSON text. logs are what the jobs have printed,
    b"" where that is nothing; there are none behind that of the last job that has printed.
    """

    __slots__ = ("heads", "lease_ids", "logs", "others", "positions", "values")

    def __init__(self, others: Iterable[Outcome] = ()) -> None:
        self.lease_ids: list[int] = []
        self.positions: list[int] = []
        self.heads: list[bytes] = []
        self.values: list[bytes] = []
        self.logs: list[bytes] = []
        self.others = list(others)

    def __len__(self) -> int:
        return len(self.heads) + len(self.others)

    def add_log(self, log: bytes) -> None:
        """Add the log of the success that was added last."""
        self.logs += [b""] * (len(self.heads) - 1 - len(self.logs))
        self.logs.append(log)

    def halves(self) -> tuple[Outcomes, Outcomes]:
        """Split in the middle, successes first."""
        middle = len(self) // 2
        cut = min(middle, len(self.heads))
        return self._part(slice(cut), slice(middle - cut)), self._part(slice(cut, None), slice(middle - cut, None))

    def by_lease(self) -> dict[int, Outcomes]:
        """Share the outcomes out to their leases."""
        shares: dict[int, Outcomes] = {}
        if self.logs:
            self.logs += [b""] * (len(self.heads) - len(self.logs))
        end = 0
        for lease_id, run in groupby(self.lease_ids):
            start, end = end, end + len(list(run))
            share = shares.setdefault(lease_id, Outcomes())
            share.lease_ids += self.lease_ids[start:end]
            share.positions += self.positions[start:end]
            share.heads += self.heads[start:end]
            share.values += self.values[start:end]
            share.logs += self.logs[start:end]
        for outcome in self.others:
            shares.setdefault(outcome.lease_id, Outcomes()).others.append(outcome)
        return shares

    def job_ids(self) -> list[int]:
        """Return the jobs, as the outcomes say: successes first, as everywhere."""
        return [int.from_bytes(head[6:14], "big", signed=True) for head in self.heads] + [outcome.job_id for outcome in self.others]

    def all_positions(self) -> list[int]:
        """Return the positions of all in their leases."""
        return self.positions + [outcome.position for outcome in self.others] if self.others else self.positions

    def where(self, wanted: Sequence[bool]) -> Outcomes:
        """Return those for which `wanted` is true."""
        part = Outcomes(compress(self.others, wanted[len(self.heads) :]))
        part.lease_ids = list(compress(self.lease_ids, wanted))
        part.positions = list(compress(self.positions, wanted))
        part.heads = list(compress(self.heads, wanted))
        part.values = list(compress(self.values, wanted))
        part.logs = list(compress(self.logs, wanted))
        return part

    def only(self) -> tuple[Outcome, bytes]:
        """Return the only outcome there is, and the cells of its times if it is a success, which has no others; else b""."""
        assert len(self) == 1
        if self.others:
            return self.others[0], b""
        fields = (self.lease_ids[0], self.positions[0], self.job_ids()[0], 0, OutcomeKind.SUCCEEDED, 0, 0, self.values[0])
        return Outcome(*fields, log=self.logs[0] if self.logs else b""), self.heads[0][14:]

    def with_logs(self, change: Callable[[bytes], bytes]) -> Outcomes | None:
        """Return the same outcomes with their logs changed, None if there is nothing to change."""
        changed = self._part(slice(None), slice(None))
        changed.logs = [change(log) for log in self.logs]
        changed.others = [outcome._replace(log=change(outcome.log)) for outcome in self.others]
        return changed if (changed.logs, changed.others) != (self.logs, self.others) else None

    def _part(self, successes: slice, others: slice) -> Outcomes:
        part = Outcomes(self.others[others])
        part.lease_ids = self.lease_ids[successes]
        part.positions = self.positions[successes]
        part.heads = self.heads[successes]
        part.values = self.values[successes]
        part.logs = self.logs[successes]
        return part


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
    created_us: int | None
    """When it was filed, in microseconds since 2000 by the database's clock; None: it was not asked for."""


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


class FailedAttempt(NamedTuple):
    """An outcome that was no success, as its commit left it: for people to see, see farm.shm.failures."""

    outcome: Outcome
    at_us: int
    """When it ended, by the database's clock, in microseconds since 2000."""
    task: str
    """"" where the commit did not need to know it."""
    attempt: int
    """How many were used, this one included."""
    delay_s: float | None
    """After which pause it is tried again; None: it was the last attempt."""


class CancelRequest(NamedTuple):
    """Somebody wants a job to end that a host holds."""

    job_id: int
    reason: str
    only_unstarted: bool
    """Its time has expired: once started, it is left alone."""


class HostRequest(NamedTuple):
    """Somebody asks a host for something, through the database."""

    id: int
    kind: str
    arguments: Any
    """Any JSON: whoever may write to the table may have written anything."""
    made_by: str


class Beat(NamedTuple):
    """A host as a reaper sees it."""

    host_id: int
    beat: int


class HorizonHolder(NamedTuple):
    """What keeps the database from cleaning up all that was deleted since it began."""

    kind: str
    """session, prepared (a transaction, for a commit in two phases) or slot (of a replication)."""
    pid: int | None
    """Of its backend, where it has one."""
    who: str
    """What a session's program calls itself, of which user; the name of the others."""
    doing: str
    """Of a session its state, such as `idle in transaction`; of a slot whether anybody reads it."""
    age_s: float | None
    """None where the database does not know, as of slots."""
    transactions: int
    """How many have begun since."""

    @property
    def idle(self) -> bool:
        """True for a session that has left its transaction open and does nothing."""
        return self.kind == "session" and self.doing.startswith("idle in transaction")

    def __str__(self) -> str:
        """In words: `a transaction of psql of ada (backend 4711, idle in transaction)`."""
        if self.kind == "session":
            return f"a transaction of {self.who} (backend {self.pid}, {self.doing})"
        if self.kind == "prepared":
            return f"the prepared transaction {self.who}"
        return f"the replication slot {self.who} ({self.doing})"


class QueueDepth(NamedTuple):
    """How many jobs of a queue could be started now."""

    queue: str
    ready: int
    more: bool
    """There are more than could be counted, so the number is a lower bound."""
    oldest_s: float | None
    """How long the first of them had waited when they were counted; None if there are none."""


class Depths(NamedTuple):
    """How deep the queues are that have jobs waiting, as last counted."""

    queues: tuple[QueueDepth, ...]
    age_s: float | None
    """How long ago they were counted; None: never."""
    due_s: float
    """In how many seconds they may be counted again; 0 or less: now."""


class TableUser(NamedTuple):
    """Somebody who is at work on the tables of jobs."""

    pid: int
    """Of its backend."""
    who: str
    """What its program calls itself, or its user."""
    age_s: float
    """For how long its transaction has been open."""


class Retention(NamedTuple):
    """How long jobs are kept after they have ended; None: for ever."""

    succeeded_s: float | None = None
    failed_s: float | None = None
    cancelled_s: float | None = None

    @property
    def shortest_s(self) -> float | None:
        """The shortest of the three; None: nothing is ever removed."""
        return min((age_s for age_s in self if age_s is not None), default=None)


KEEP_ALL = Retention()
