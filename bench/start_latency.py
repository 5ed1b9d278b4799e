"""From the begin of an enqueue to the start of its job, on an idle farm.

The jobs come one by one, with gaps drawn from 15 to 45 ms; the producer's own commit is included. Each job is
`time:monotonic_ns`, so its result is the time at which it ran, by the clock of the producer, which is on the same machine.

Beside it stands what one round trip to PostgreSQL costs after the same gaps, and without gaps: the difference is what this machine
takes to wake up, and on its way a job wakes up half a dozen processes and threads.
"""

from __future__ import annotations

import random
import time

import psycopg

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.report import Figure, percentile, print_report, print_table
from farm.client import Client
from farm.store.session import bigint_array

JOBS = 2_000
WARM_UP_JOBS = 50
ROUND_TRIPS = 300
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
        _measure(server, client, WARM_UP_JOBS)
        to_start, to_commit = _measure(server, client, JOBS)
        rows = [
            ("begin of enqueue to start", to_start),
            ("the enqueue itself (producer's commit)", to_commit),
            ("a round trip after a gap", _round_trips(server, GAP_S)),
            ("a round trip without", _round_trips(server, None)),
        ]
        print_table(
            ("ms", "p50", "p90", "p95", "p99", "maximum"),
            [(name, *(f"{percentile(ms, p):.2f}" for p in (50, 90, 95, 99)), f"{max(ms):.2f}") for name, ms in rows],
        )
        figures = [
            Figure(name="enqueue to start p50", value=percentile(to_start, 50), unit="ms", must=4, aim=1.5),
            Figure(name="enqueue to start p99", value=percentile(to_start, 99), unit="ms", must=12, aim=5),
        ]
        details = {name: {"p50": percentile(ms, 50), "p99": percentile(ms, 99), "max": max(ms)} for name, ms in rows}
        print_report("start_latency", figures, environment=found, details=details)


def _measure(server: Server, client: Client, jobs: int) -> tuple[list[float], list[float]]:
    """Enqueue one by one; returns the milliseconds to the start of each job, and to the end of each enqueue."""
    gaps = random.Random(SEED)
    begun_ns: list[int] = []
    ended_ns: list[int] = []
    job_ids: list[int] = []
    for _ in range(jobs):
        time.sleep(gaps.uniform(*GAP_S))
        begun_ns.append(time.monotonic_ns())
        job_ids.append(client.enqueue(TASK))
        ended_ns.append(time.monotonic_ns())
    started_ns: list[int] = []

    def all_there() -> bool:
        started_ns[:] = [row[0] for row in query(server.dsn, "read_starts", {"job_ids": bigint_array(job_ids)})]
        return len(started_ns) == jobs

    wait_for(all_there, "the results of all jobs", every_s=0.1)
    # Ids grow from one enqueue to the next, so the order of ids is the order of enqueues.
    starts = [(started - begun) / 1e6 for started, begun in zip(started_ns, begun_ns, strict=True)]
    return starts, [(ended - begun) / 1e6 for ended, begun in zip(ended_ns, begun_ns, strict=True)]


def _round_trips(server: Server, gap_s: tuple[float, float] | None) -> list[float]:
    """Return the milliseconds of some round trips, each after a gap or one right after the other."""
    taken: list[float] = []
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for _ in range(ROUND_TRIPS):
            if gap_s is not None:
                time.sleep(random.uniform(*gap_s))
            begun_ns = time.monotonic_ns()
            connection.execute("SELECT 1")
            taken.append((time.monotonic_ns() - begun_ns) / 1e6)
    return taken


if __name__ == "__main__":
    main()
