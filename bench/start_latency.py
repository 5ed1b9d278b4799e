"""From the begin of an enqueue to the start of its job, and to the moment at which `wait` returns its result, on an idle farm.

The jobs come one by one, each waited for before the next, with gaps drawn from 15 to 45 ms; the producer's own commit is included.
Each job is `time:monotonic_ns`, so its result is the time at which it ran, by the clock of the producer, which is on the same machine.

Beside it stands what a bare durable commit costs on this machine after the same gaps (a start is behind two of them: the enqueue's and
the claim's; a result behind a third, its own), and a round trip to PostgreSQL after such gaps, and without: the difference is what the
machine takes to wake up, and on its way a job wakes up half a dozen processes and threads.
"""

from __future__ import annotations

import random
import time
from typing import NamedTuple

import psycopg

from bench.database import SQL_DIRECTORY, Server, own_server
from bench.environment import environment
from bench.host import WAIT_S_MAX, Host, config
from bench.report import Figure, percentile, print_report, print_table
from farm.client import Client

JOBS = 2_000
WARM_UP_JOBS = 50
ROUND_TRIPS = 200
GAP_S = (0.015, 0.045)
TASK = "time:monotonic_ns"
SEED = 20_240_601


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server, Host(server.home, config("embedded", allow=TASK)) as host, Client(server.dsn) as client:
        found = environment(server.dsn)
        host.wait_ready()
        print(
            f"\nstart_latency: {JOBS:,} jobs `{TASK}` on an idle farm, gaps of {GAP_S[0] * 1000:.0f}-{GAP_S[1] * 1000:.0f} ms", flush=True
        )
        one_by_one(client, WARM_UP_JOBS, gaps=random.Random(SEED))
        taken = one_by_one(client, JOBS, gaps=random.Random(SEED))
        rows = [
            ("begin of enqueue to start", taken.to_start),
            ("begin of enqueue to `wait` returning", taken.to_result),
            ("the enqueue itself (producer's commit)", taken.to_commit),
            ("a bare durable commit after a gap", _round_trips(server, "commit_something", GAP_S)),
            ("a round trip after a gap", _round_trips(server, "say_something", GAP_S)),
            ("a round trip without", _round_trips(server, "say_something", None)),
        ]
        print_table(
            ("ms", "p50", "p90", "p95", "p99", "maximum"),
            [(name, *(f"{percentile(ms, p):.2f}" for p in (50, 90, 95, 99)), f"{max(ms):.2f}") for name, ms in rows],
        )
        figures = [
            Figure(name="enqueue to start p50", value=percentile(taken.to_start, 50), unit="ms", must=3, aim=1.5),
            Figure(name="enqueue to start p99", value=percentile(taken.to_start, 99), unit="ms", must=10, aim=5),
            Figure(name="enqueue to wait returning p50", value=percentile(taken.to_result, 50), unit="ms", must=6, aim=3),
            Figure(name="enqueue to wait returning p99", value=percentile(taken.to_result, 99), unit="ms", must=20, aim=10),
        ]
        details = {name: {"p50": percentile(ms, 50), "p99": percentile(ms, 99), "max": max(ms)} for name, ms in rows}
        print_report("start_latency", figures, environment=found, details=details)


class Taken(NamedTuple):
    """Milliseconds from the begin of each enqueue."""

    to_commit: list[float]
    to_start: list[float]
    to_result: list[float]


def one_by_one(client: Client, jobs: int, *, gaps: random.Random, queue: str = "default") -> Taken:
    """Enqueue one by one, each some time after the last one has ended; gaps: what the pauses are drawn from."""
    taken = Taken([], [], [])
    for _ in range(jobs):
        time.sleep(gaps.uniform(*GAP_S))
        begun_ns = time.monotonic_ns()
        job_id = client.enqueue(TASK, queue=queue)
        taken.to_commit.append((time.monotonic_ns() - begun_ns) / 1e6)
        started_ns = client.wait(job_id, WAIT_S_MAX)
        taken.to_result.append((time.monotonic_ns() - begun_ns) / 1e6)
        taken.to_start.append((started_ns - begun_ns) / 1e6)
    return taken


def _round_trips(server: Server, name: str, gap_s: tuple[float, float] | None) -> list[float]:
    """Return the milliseconds that a statement takes, each time after a gap or right after the last one."""
    statement = (SQL_DIRECTORY / f"{name}.sql").read_bytes()
    taken: list[float] = []
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for _ in range(ROUND_TRIPS):
            if gap_s is not None:
                time.sleep(random.uniform(*gap_s))
            begun_ns = time.monotonic_ns()
            connection.execute(statement)
            taken.append((time.monotonic_ns() - begun_ns) / 1e6)
    return taken


if __name__ == "__main__":
    main()
