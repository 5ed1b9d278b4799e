"""Every key of a configuration, declared once: the loader reads by it, and the JSON Schema is made of it. No I/O.

A default stands here as it would be written in a file. `docs/configuration.md` says the same in prose, which a test looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from farm.joblog import LOG_BYTES_MAX, LOG_BYTES_MIN, Logs
from farm.model import CONCURRENCY_MAX, RESULT_BYTES_MAX
from farm.units import DURATION_S_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of any kind; about is what editors show."""

    about: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Key):
    """A whole number from low to high, or the word."""

    low: int
    high: int
    default: int | str
    word: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(Key):
    """A duration from low_s to high_s, or the word."""

    low_s: float
    high_s: float
    default: str | None
    """None: nothing is limited."""
    word: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Key):
    """How long to wait before another attempt, as farm.units.parse_retry reads it."""

    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Names(Key):
    """A list of names of any kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size(Key):
    """A size from low_bytes to high_bytes, or one of the words."""

    low_bytes: int
    high_bytes: int
    default: str
    word: str | None = None
    never: str | None = None
    """A word for 0, where that means that there is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent(Key):
    """A number from 0 to 100, or the word, which is 0."""

    default: float
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions(Key):
    """A function as `module:function`, or a list of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables(Key):
    """A mapping of names of environment variables to what they hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpus(Key):
    """A list of the numbers of CPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Key):
    """true or false."""

    default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Key):
    """One of some words. `on` and `off` must be quoted in YAML, so true and false stand for them, too."""

    words: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Key):
    """A name as queues, lanes and instances have it; the word is one that means something else."""

    default: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Key):
    """A name or an address of this machine."""

    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsn(Key):
    """A PostgreSQL DSN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues(Key):
    """A list of names of queues, `*` as the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Key):
    """A mapping with these keys."""

    keys: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups(Key):
    """A mapping of names that the user chooses, each a mapping with these keys."""

    keys: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patterns(Key):
    """A mapping of patterns of tasks, each a mapping with these keys; the first that matches counts."""

    keys: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseChoice(Key):
    """`embedded`, a DSN, or a mapping with these keys."""

    keys: Mapping[str, Key] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions(Key):
    """A mapping of runners; each declares its own options."""


AUTO, NEVER = "auto", "never"
ON, OFF = "on", "off"
ATTEMPTS_MAX, TIMEOUT_S_MAX = 10_000, 2_000_000.0
"""As an enqueue allows them."""
SIZE_MAX = 1 << 50
DAY_S = 86400.0
KEPT_S_MIN = 1.0

DATABASE = DatabaseChoice(
    about="Where the jobs are: `embedded`, a DSN, or a mapping. Without it FARM_DSN says so, else it is the embedded PostgreSQL.",
    keys={
        "dsn": Dsn(about="postgresql://user@host/database or `host=... dbname=...`.", required=True),
        "pooled": Flag(about="The DSN leads to a transaction pooler such as PgBouncer.", default=False),
        "listen": Dsn(about="A DSN past the pooler, for LISTEN. Without it new jobs are found by polling when pooled."),
    },
)

HOST = Group(
    about="Which farm this is, and what it may use.",
    keys={
        "name": Name(about="The instance, where several run on one machine; `auto` is `default`.", default=AUTO, word=AUTO),
        "memory": Size(
            about="What the jobs of all lanes together may use; `auto` is what the machine or its control group has.",
            low_bytes=1_000_000,
            high_bytes=SIZE_MAX,
            default=AUTO,
            word=AUTO,
        ),
        "overcommit": Flag(about="Accept explicit sizes that add up to more than there is.", default=False),
        "memory_floor": Size(
            about="No lane claims jobs while the machine has less memory free than this; `auto` is 5 % of it, up to 512 MB.",
            low_bytes=0,
            high_bytes=SIZE_MAX,
            default=AUTO,
            word=AUTO,
        ),
        "pressure": Percent(
            about="No lane claims jobs while processes of the machine wait for memory for more than this share of the time, in percent.",
            default=20,
            word=NEVER,
        ),
        "cgroup": Choice(
            about="Whether each subworker has a control group that limits its memory: `auto`, where farm may make some, or 'off' (false).",
            words=(AUTO, OFF),
            default=AUTO,
        ),
    },
)

RUNNERS = RunnerOptions(about="What can run here, and which tasks may. Nothing is allowed by default.", required=True)

RECYCLE = Group(
    about="When a subworker is replaced by a new one, between two jobs and without a gap. Whichever comes first.",
    keys={
        "max_jobs": Whole(about="After so many jobs.", low=1, high=10**9, default=NEVER, word=NEVER),
        "rss_growth": Size(
            about="When it holds so much more memory than when it was new; `auto` is a quarter of `memory`, up to 128 MB.",
            low_bytes=1_000_000,
            high_bytes=SIZE_MAX,
            default=AUTO,
            word=AUTO,
            never=NEVER,
        ),
        "max_age": Duration(about="When it is so old.", low_s=1.0, high_s=TIMEOUT_S_MAX, default=NEVER, word=NEVER),
    },
)

LANES = Groups(
    about="The capacity of this host. Every lane has subworkers (processes) of its own. Not in the file if --lanes or FARM_LANES says it.",
    keys={
        "queues": Queues(about="What the lane serves, the first first; '*' is every other queue and must be the last.", required=True),
        "subworkers": Whole(about="How many processes; `auto` is one for each core.", low=1, high=1000, default=AUTO, word=AUTO),
        "concurrency": Whole(about="Jobs at once in one subworker.", low=1, high=CONCURRENCY_MAX, default=1),
        "memory": Size(
            about="What one job may allocate; `auto` shares out 80 % of the host's memory, up to 512 MB each.",
            low_bytes=1_000_000,
            high_bytes=SIZE_MAX,
            default=AUTO,
            word=AUTO,
        ),
        "keep_result": Flag(about="Store what its jobs return. Without it a success is stored with null.", default=True),
        "logs": Choice(
            about="Keep what its jobs print and log: `on`, `off`, or `failures`, of attempts that do not succeed.",
            words=tuple(Logs),
            default=Logs.ON,
        ),
        "log_limit": Size(
            about="How much of it is kept of each attempt, from the beginning.",
            low_bytes=LOG_BYTES_MIN,
            high_bytes=LOG_BYTES_MAX,
            default="64KiB",
        ),
        "timeout": Duration(
            about="A job that runs longer is ended, unless it or `tasks` says something else.",
            low_s=0.001,
            high_s=TIMEOUT_S_MAX,
            default=None,
        ),
        "setup": Functions(
            about="`module:function`, called in every new subworker before its first job; or a list of them, in their order."
        ),
        "env": Variables(about="Environment variables of its subworkers, beside the few that all have."),
        "cpus": Cpus(about="The CPUs that its subworkers may run on. Without it all that farm itself may use."),
        "nice": Whole(about="Added to farm's own niceness: 19 gives way to everything else on the machine.", low=-20, high=19, default=0),
        "recycle": RECYCLE,
    },
)

TASKS = Patterns(
    about="What holds for tasks, by patterns such as `mail:*`: the first that matches. What a job asks for itself wins.",
    keys={
        "retry": Pause(about="The pause before another attempt: `10s` always, `1s to 10m` longer each time.", default="1s to 10m"),
        "max_attempts": Whole(about="How often a job may be started.", low=1, high=ATTEMPTS_MAX, default=3),
        "timeout": Duration(about="A job that runs longer is ended.", low_s=0.001, high_s=TIMEOUT_S_MAX, default=None),
        "final_errors": Names(about="Errors after which no other attempt is made, in the place of those that no attempt can mend."),
    },
)

WRITER = Group(
    about="Results are written many at a time: as soon as batch_max of them wait, or the oldest has waited for age_max.",
    keys={
        "batch_max": Whole(about="Outcomes in one commit at the most.", low=1, high=20_000, default=4000),
        "age_max": Duration(about="An outcome waits no longer than this for others.", low_s=0.0, high_s=10.0, default="50ms"),
    },
)

SPILL = Group(
    about="Arguments and results that are too large for a ring stand in the state directory.",
    keys={
        "max": Size(about="What they may take up together.", low_bytes=2 * RESULT_BYTES_MAX, high_bytes=SIZE_MAX, default="1GB"),
    },
)

RETENTION = Group(
    about="How long jobs are kept after they have ended. Nothing is removed without it.",
    keys={
        "succeeded": Duration(about="Jobs that have succeeded.", low_s=KEPT_S_MIN, high_s=DURATION_S_MAX, default=NEVER, word=NEVER),
        "failed": Duration(about="Jobs that have failed.", low_s=KEPT_S_MIN, high_s=DURATION_S_MAX, default=NEVER, word=NEVER),
        "cancelled": Duration(
            about="Jobs that were cancelled, or have expired. Without it as long as those that have failed.",
            low_s=KEPT_S_MIN,
            high_s=DURATION_S_MAX,
            default=None,
            word=NEVER,
        ),
    },
)
METRICS = Group(
    about="A page of numbers for Prometheus, /metrics, with /healthz and /readyz. Without this section nothing listens.",
    keys={
        "port": Whole(about="0 is any that is free; the log says which.", low=0, high=65_535, default=9464),
        "host": Address(about="Where it listens. Whoever reaches it can read it: `0.0.0.0` or `::` is everybody.", default="127.0.0.1"),
    },
)

CONFIG = Group(
    about="The configuration of a farm on one host.",
    keys={
        "database": DATABASE,
        "host": HOST,
        "runners": RUNNERS,
        "lanes": LANES,
        "tasks": TASKS,
        "writer": WRITER,
        "spill": SPILL,
        "retention": RETENTION,
        "metrics": METRICS,
        "drain_timeout": Duration(
            about="When farm is told to stop, running jobs have this long to end.", low_s=0.0, high_s=DAY_S, default="30s"
        ),
        "heartbeat": Duration(about="How often a host says that it lives and what it runs.", low_s=0.01, high_s=60.0, default="1s"),
        "lease": Duration(
            about="A host that has not said so for this long loses its jobs to others.", low_s=0.1, high_s=3600.0, default="10s"
        ),
        "reap_every": Duration(about="How often every host looks for such hosts.", low_s=0.01, high_s=3600.0, default="2s"),
        "poll": Duration(about="How often to look for work that was not announced.", low_s=0.001, high_s=60.0, default="250ms"),
        "claim_max": Whole(about="Jobs claimed by one statement at the most.", low=1, high=10_000, default=4000),
    },
)
