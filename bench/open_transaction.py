"""Does a farm keep its pace while somebody's transaction stays open? 500,000 jobs, of which each fiftieth fails once and is retried.

The open one has a snapshot in the same database, as a report or a forgotten session has: as long as it stays, PostgreSQL can remove
nothing that was deleted, and whoever looks for work from the front walks over all of it. The pairs differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg

import bench
from bench.database import ARGS, Server, migrate, own_server, query
from bench.drain import PARKED, drain
from bench.environment import environment
from bench.report import Figure, print_report, print_table, spread
from farm.client import Client

TASK = "bench.tasks:stumble"
JOBS = 500_000
RETRIED_EVERY = 50
PAIRS = 2
"""One that begins with each of the two."""


class Pace(NamedTuple):
    """What a drain came to."""

    rate: float
    """Jobs a second, from the first start to the last commit."""
    wait_s: float
    """The longest time from a failed attempt to the next one."""
    cpu_us: float
    """CPU time of PostgreSQL for a job."""


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nopen_transaction: {JOBS:,} jobs `{TASK}`, {JOBS // RETRIED_EVERY:,} fail once, {PAIRS} pairs", flush=True)
        pairs = [measure_pair(server, turned=bool(number % 2)) for number in range(PAIRS)]
        ratios = [held.rate / free.rate for held, free in pairs]
        print_table(
            ("pair", "open: jobs/s", "none: jobs/s", "ratio", "open: longest wait s", "none", "open: PostgreSQL us/job", "none"),
            [_row(number, held, free) for number, (held, free) in enumerate(pairs, 1)],
        )
        figure = Figure(name="transaction open / none", value=median(ratios), unit="", must=0.8, aim=0.95, more_is_better=True)
        details = {
            "ratio": spread(ratios),
            "open": {name: spread([getattr(held, name) for held, _ in pairs]) for name in Pace._fields},
            "none": {name: spread([getattr(free, name) for _, free in pairs]) for name in Pace._fields},
        }
        print_report("open_transaction", [figure], environment=found, details=details)


def measure_pair(server: Server, *, turned: bool) -> tuple[Pace, Pace]:
    """Measure with an open transaction and without one, or turned, the other way round; what was with one comes first."""
    found = {held: measure(server, held=held) for held in (turned, not turned)}
    return found[True], found[False]


def measure(server: Server, *, held: bool) -> Pace:
    """Drain a fresh database, while a transaction is held open or not."""
    marks = server.home.with_name("marks")
    with server.database(jobs=JOBS, owner="stumbling", fill=partial(_fill, marks=marks)) as dsn:
        marks.write_bytes(bytes(JOBS))
        with _open_snapshot(dsn, held=held):
            found = drain(server, dsn, JOBS, allow=TASK, path=str(Path(bench.__file__).parent.parent))
        retried, wait_s = query(dsn, "measure_retries")[0]
    if retried != JOBS // RETRIED_EVERY:
        raise RuntimeError(f"{retried:,} jobs were retried: this is no measurement")
    return Pace(found.run.rate, wait_s, found.cpu_us_per_job)


def _fill(dsn: str, jobs: int, *, marks: Path) -> None:
    migrate(dsn)
    with Client(dsn) as client:
        client.enqueue_many(
            {"task": TASK, "args": ARGS if number % RETRIED_EVERY else {"marks": str(marks), "place": number}, "runner": PARKED}
            for number in range(jobs)
        )


@contextmanager
def _open_snapshot(dsn: str, *, held: bool) -> Iterator[None]:
    with psycopg.connect(dsn) as connection:
        if held:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            # The first statement takes the snapshot, and the transaction stays open with it.
            connection.execute("SELECT 1")
        yield
        connection.rollback()


def _row(number: int, held: Pace, free: Pace) -> tuple[str, ...]:
    return (
        str(number), f"{held.rate:,.0f}", f"{free.rate:,.0f}", f"{held.rate / free.rate:.3f}",
        f"{held.wait_s:.2f}", f"{free.wait_s:.2f}", f"{held.cpu_us:.2f}", f"{free.cpu_us:.2f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
