"""What the screen shows, as data: made by a source several times a second, drawn by pure functions. No I/O, no clock.

Text that comes from jobs, other hosts or the database may hold anything: whoever draws it makes it printable. What looks the same is equal,
and best the same object: so it need not be drawn anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class FarmState(StrEnum):
    """What the farm as a whole does. AWAY: the database does not answer. LOST: nobody answers for this farm any more."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    AWAY = "away"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Of times in seconds, over the last ten seconds or so; None where nothing was measured."""

    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """What keeps PostgreSQL from cleaning up: the oldest transaction, replication slot or prepared transaction."""

    holder: str
    """In words: `pid 4711 (psql of ada, idle in transaction)`."""
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseView:
    """The database as this host sees it."""

    name: str
    """Without a password: `embedded PostgreSQL 18.4`, `ada@db-1/farm`."""
    latency_s: float | None = None
    """Of the last beat; None: not known."""
    away_s: float | None = None
    """How long it has not answered; None: it does."""
    horizon: Horizon | None = None
    """Only if it is old enough to hurt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """One lane of this host."""

    name: str
    queues: tuple[str, ...]
    capacity: int
    """Jobs at once."""
    running: int
    """Jobs that run now."""
    subworkers: int
    """How many there should be."""
    serving: int
    stolen: int | None
    """Jobs that came from another lane's hands in the last minute, less those that went there; None: not known."""
    buffered: int
    """Claimed and not started."""
    queued: int | None
    """Jobs in `ready` that this lane may take; None: not counted. From 10,001 on it says only that there are more than 10,000."""
    oldest_s: float | None
    """How long the first of these has waited."""
    rates: tuple[float, ...]
    """Jobs ended a second, for each of the last 60 seconds, the newest last."""
    rate: float | None
    """Jobs ended a second, over the last few seconds; None: not known."""
    queue_time: Quantiles
    run_time: Quantiles
    failure_share: float | None
    """Of the jobs that ended in the last minute, 0 to 1; None: none did."""
    occupancy: float | None
    """Share of its slots' time that jobs took, 0 to 1, over the last ten seconds."""
    paused: bool = False
    held_by: tuple[str, ...] = ()
    """Why it claims nothing: `paused`, `memory`, `leaving`."""
    trouble: str = ""
    """In words, why it does less than it should: `5 of 8 slots taken by reports.slow for up to 40 s`; "" if nothing is wrong."""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class JobRun:
    """A job that runs now. Never changed, as all of these: but a frozen one takes twice the time to be made, and this and the next are
    made again and again."""

    job_id: int
    task: str
    running_s: float
    progress: float | None = None
    text: str = ""


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class SubworkerView:
    """One subworker of this host."""

    name: str
    """Its post: `w0`, `spare`."""
    pid: int
    lane: str
    state: str
    """born, serving, leaving, doomed, dead; `idle` and `busy` for one that serves."""
    rss_bytes: int
    limit_bytes: int
    """What it may have at most, before it is ended."""
    cpu: float | None
    """Share of a core over the last second or so; None: not measured yet."""
    jobs: tuple[JobRun, ...]
    """Those that run, longest first."""
    ended: int
    """Jobs that it has ended."""
    buffered: int
    restarts: int
    """How often its post was filled anew since the farm's start."""
    restarted_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Claims, rings and writer: the way of a batch through the host. Sizes and times over the last ten seconds or so."""

    claim_rate: float = 0.0
    claim_size: float | None = None
    """Jobs a claim, on average."""
    claim_time: Quantiles = field(default_factory=Quantiles)
    job_rings: float = 0.0
    """How full the job rings are, 0 to 1, the fullest."""
    result_rings: float = 0.0
    commit_rate: float = 0.0
    commit_size: float | None = None
    commit_time: Quantiles = field(default_factory=Quantiles)
    backlog: int = 0
    """Jobs that have ended and whose outcome is not committed."""
    stale: int = 0
    """Since the writer's start."""
    duplicate: int = 0
    retries: int = 0
    """Commits that did not reach the database, since the writer's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureView:
    """An attempt that came to no good."""

    at: datetime
    lane: str
    job_id: int
    task: str
    attempt: int
    kind: str
    """failed, timed_out, crashed, memory, cancelled, stopped."""
    text: str
    """In words, one line."""
    then: str
    """What becomes of the job: `retry in 8 s`, `final`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """One host of the whole farm, as its row and its heartbeat tell."""

    name: str
    instance: str
    state: str
    """live, lost, retired."""
    beat_s: float
    """Seconds since its last beat."""
    running: int
    capacity: int
    memory_bytes: int
    version: str
    lanes: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """How deep a queue is."""

    name: str
    ready: int
    """From 10,001 on it says only that there are more than 10,000."""
    oldest_s: float | None
    paused: bool = False
    unserved: bool = False
    """No lane of a living host takes from it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """All that a frame shows. Each is another one, however equal: what was put in order of one is kept."""

    at: datetime
    """Wall clock with its zone."""
    instance: str
    host: str
    version: str
    state: FarmState
    up_s: float
    database: DatabaseView
    rate: float = 0.0
    queue_time: Quantiles = field(default_factory=Quantiles)
    run_time: Quantiles = field(default_factory=Quantiles)
    failure_share: float | None = None
    memory_bytes: int = 0
    """What the host has for jobs."""
    lanes: tuple[LaneView, ...] = ()
    subworkers: tuple[SubworkerView, ...] = ()
    flow: Flow = field(default_factory=Flow)
    failures: tuple[FailureView, ...] = ()
    """The newest first."""
    hosts: tuple[HostView, ...] = ()
    queues: tuple[QueueView, ...] = ()
    log_path: str = ""
    """Where the farm's own log goes, where it is a file."""
    notices: tuple[str, ...] = ()
    """Sentences that an operator should read first: who is short of memory, what holds the horizon, who starves whom."""


class Source(Protocol):
    """Where snapshots come from, and who does what keys ask for. Used by one thread; every call is short, or says so by taking a while.

    Methods raise FarmError with one line that can be shown.
    """

    def look(self, seen: Collection[str] | None = None) -> Snapshot:
        """Return how it stands. seen: the subworkers that are on the screen, by their names: others may be shown as of a second or two
        ago. None: all of them are."""
        ...

    def job(self, job_id: int) -> dict[str, Any]:
        """Return a job with all of its attempts, as `farm job ID --json` prints it, and its logs under `logs` (text, newest attempt)."""
        ...

    def pause(self, lane: str) -> str: ...

    def resume(self, lane: str) -> str: ...

    def drain(self) -> str: ...

    def cancel(self, job_id: int) -> str: ...

    def retry(self, job_id: int) -> str: ...

    def close(self) -> None: ...
