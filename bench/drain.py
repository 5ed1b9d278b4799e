"""A drain under measurement: jobs stand parked while farms come up, are released at once, and what that took of PostgreSQL is read.

What it costs to start and to leave is in none of it: the counters are read when the farms are up, and again when nothing is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import psycopg

from bench.database import ARGS, NOOP, Run, Server, measure_run, migrate, query
from bench.host import Host, config, wait_for
from bench.processes import cpu_ns
from farm.client import Client

PARKED = "parked"
"""A runner that no farm has: release_parked.sql makes it one that all have."""
LOOK_EVERY_S = 0.1


class Drain(NamedTuple):
    """What a drain came to."""

    run: Run
    cpu_ns: Counter[str]
    """CPU time of PostgreSQL by the part of a farm that it was for, all farms together: `farm claims`, `farm writer` ..."""
    wal_from: int
    wal_to: int
    """The bytes of WAL from the release to the last commit, by their addresses."""

    @property
    def cpu_us_per_job(self) -> float:
        """Of all connections of farms."""
        return sum(self.cpu_ns.values()) / self.run.jobs / 1e3


def fill_parked(dsn: str, jobs: int, *, queues: Sequence[str] = ("default",)) -> None:
    """Put parked no-op jobs into an empty database, one into each queue in turn."""
    migrate(dsn)
    enqueue_parked(dsn, jobs, queues=queues)


def enqueue_parked(dsn: str, jobs: int, *, queues: Sequence[str] = ("default",)) -> None:
    """File parked no-op jobs, one into each queue in turn."""
    with Client(dsn) as client:
        client.enqueue_many({"task": NOOP, "args": ARGS, "runner": PARKED, "queue": queues[number % len(queues)]} for number in range(jobs))


@contextmanager
def started(server: Server, dsn: str, *, farms: int = 1, **options: str) -> Iterator[list[Host]]:
    """Keep so many farms up on a database; gives them. options: of bench.host.config; everything else is at its defaults."""
    with ExitStack() as stack:
        names = [f"h{number}" for number in range(1, farms + 1)]
        hosts = [stack.enter_context(Host(server.home, config(dsn, name=name, **options), name=name)) for name in names]
        for host in hosts:
            host.wait_ready()
        yield hosts


def drain(server: Server, dsn: str, jobs: int, *, farms: int = 1, **options: str) -> Drain:
    """Start farms, release what is parked, wait until nothing is left. Raises RuntimeError if not as many jobs succeeded."""
    with started(server, dsn, farms=farms, **options):
        before, wal_from = backends_ns(dsn), wal_position(dsn)
        query(dsn, "release_parked")
        wait_for(partial(_is_empty, dsn), "the last commit", every_s=LOOK_EVERY_S)
        wal_to = wal_position(dsn)
        used = backends_ns(dsn)
    used.subtract(before)
    return Drain(whole(measure_run(dsn), jobs), used, wal_from, wal_to)


def whole(run: Run, jobs: int) -> Run:
    """Return the run. Raises RuntimeError if not so many jobs succeeded."""
    if run.jobs != jobs:
        raise RuntimeError(f"{run.jobs:,} of {jobs:,} jobs succeeded: this is no measurement")
    return run


def backends_ns(dsn: str) -> Counter[str]:
    """Return the CPU time of the connections of all farms at a database, by the part of a farm that they are for."""
    used: Counter[str] = Counter()
    for pid, name in query(dsn, "list_backends"):
        used[name] += cpu_ns(pid)
    return used


def wal_position(dsn: str) -> int:
    """Return where the next byte of WAL will be written."""
    position: int = query(dsn, "read_wal_position")[0][0]
    return position


def analyze(dsn: str) -> None:
    """Do what autovacuum would have done by and by, and a checkpoint."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _is_empty(dsn: str) -> bool:
    return bool(query(dsn, "is_queue_empty")[0][0])
