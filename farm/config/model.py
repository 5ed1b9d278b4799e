"""What a checked configuration says, every default and every `auto` filled in. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from farm.joblog import LOG_BYTES_DEFAULT, Logs
from farm.model import KEEP_ALL, Retention
from farm.retry import Policy
from farm.units import counted

DatabaseSource = Literal["--dsn", "config", "FARM_DSN", "default"]
LanesSource = Literal["config", "--lanes", "FARM_LANES"]

ANYTHING = "*"
"""Stands for every other queue, at the end of a chain."""
GATE_SHARE = 0.8
"""A host stops starting jobs this share of the lease after its last good heartbeat: the rest is kept for clocks that run apart."""
RECONNECT_PAUSE_S_MAX = 2.0
CONNECT_S_MAX = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where the jobs are. `dsn` is None for the embedded PostgreSQL and never shown: it may hold a password."""

    kind: Literal["embedded", "dsn"]
    dsn: str | None = field(default=None, repr=False)
    pooled: bool = False
    """The DSN leads to a transaction-mode pooler: no prepared statements, no session settings."""
    listen: str | None = field(default=None, repr=False)
    """A DSN past the pooler, for LISTEN; None: the main one (or only polling, when pooled)."""
    source: DatabaseSource = "default"
    """Who chose this database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The instance that this farm runs as, and what it may use."""

    name: str
    """Instance name, the directory below FARM_HOME/instances; `auto` became `default`."""
    memory_bytes: int
    """What the jobs of all lanes together may use."""
    memory_floor_bytes: int = 0
    """No lane claims while the machine has less memory available than this."""
    pressure_percent: float = 0.0
    """No lane claims while more than this share of time passes with somebody waiting for memory (PSI, `some avg10`); 0: never mind."""
    cgroup: bool = True
    """Whether each subworker has a control group that limits its memory, where farm may make some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycle:
    """When a subworker is replaced by a new one, between two batches: whichever comes first. 0: not for this reason."""

    max_jobs: int = 0
    rss_growth_bytes: int = 0
    """Resident memory above what it held when it was set up."""
    max_age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A host's dedicated capacity: its own subworkers and an ordered chain of queues."""

    name: str
    queues: tuple[str, ...]
    """In the order in which they are served; `*` (anything else) only as the last one."""
    subworkers: int
    concurrency: int
    """Jobs in flight in one subworker."""
    memory_bytes: int
    """What a job may allocate above its subworker's baseline; with a concurrency above 1 all jobs of a subworker together."""
    timeout_s: float = 0.0
    """How long a job may run for which nobody says anything else; 0: as long as it likes."""
    keep_result: bool = True
    """False: what its jobs return is dropped, and null is stored."""
    logs: Logs = Logs.ON
    """Of which of its jobs what they print is kept."""
    log_limit_bytes: int = LOG_BYTES_DEFAULT
    """Of each attempt, from the beginning."""
    setup: tuple[str, ...] = ()
    """Functions, each `module:function`, that a new subworker calls in this order before it takes work."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of its subworkers. Never shown: they may hold secrets."""
    cpus: tuple[int, ...] = ()
    """Numbers of the CPUs that its subworkers may run on; none: all that farm may use."""
    nice: int = 0
    """Added to farm's own niceness."""
    recycle: Recycle = field(default_factory=Recycle)

    @property
    def capacity(self) -> str:
        """Say in words what it runs at once: `2 subworkers`, `1 subworker x 500 jobs`."""
        subworkers = counted(self.subworkers, "subworker")
        return f"{subworkers} x {self.concurrency} jobs" if self.concurrency > 1 else subworkers


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """When the writer commits: at batch_max outcomes, or when the oldest one is age_max_s old."""

    batch_max: int
    age_max_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Where the farm tells monitoring systems how it does."""

    host: str
    """A name or an address of this machine."""
    port: int
    """0: any that is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One farm on one host. Made by farm.config.load, which knows the defaults (farm/config/keys.py)."""

    path: str
    """The file it was read from, as the user named it."""
    database: Database
    host: Host
    runners: dict[str, dict[str, Any]]
    """Per runner what its `configure` returned, JSON values only."""
    lanes: tuple[Lane, ...]
    tasks: tuple[Policy, ...]
    """In the order of the file: the first whose pattern matches a task holds for it (farm.retry.Policies)."""
    writer: WriterOptions
    drain_timeout_s: float
    heartbeat_s: float
    lease_s: float
    reap_every_s: float
    poll_s: float
    claim_max: int
    spill_bytes_max: int
    retention: Retention = KEEP_ALL
    """How long jobs are kept after they have ended."""
    metrics: Metrics | None = None
    """None: it tells nobody."""
    lanes_source: LanesSource = "config"
    """Who named the lanes."""

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that a lane names, in the order of the lanes."""
        return tuple(dict.fromkeys(queue for lane in self.lanes for queue in lane.queues if queue != ANYTHING))

    @property
    def takes_any_queue(self) -> bool:
        """True if some lane has `*`."""
        return any(ANYTHING in lane.queues for lane in self.lanes)

    @property
    def gate_s(self) -> float:
        """Seconds after a good heartbeat was sent past which no job may start."""
        return self.lease_s * GATE_SHARE

    @property
    def reconnect_pause_s(self) -> float:
        """The longest pause between two tries to reach the database.

        With connect_s and one heartbeat it fits into a lease, so that a host which lost only its connection is not retired.
        """
        return min(RECONNECT_PAUSE_S_MAX, self.lease_s / 5)

    @property
    def connect_s(self) -> float:
        """How long one try to connect may take."""
        return min(CONNECT_S_MAX, self.lease_s * 3 / 10)
