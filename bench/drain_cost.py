"""What a drain of no-op jobs costs PostgreSQL: client round trips, WAL and CPU time. Results are kept, and the enqueue is not counted.

Round trips are those of a whole `farm start --burst`, from the first connection to the last. WAL is all that the server writes between
the release of the jobs and the last commit, heartbeats included, right after a checkpoint and with full_page_writes on: so the pages
of the drained tables are in it once, as they are once after each checkpoint of a server that works all day. CPU time is that of the
connection that claims and reads and of the one that commits.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

from bench.database import Server, measure_run, own_server
from bench.drain import PARKED, Drain, drain, fill_parked, whole
from bench.environment import environment
from bench.host import Host, config
from bench.relay import Relay
from bench.report import Figure, print_report, print_table, spread
from bench.wal import page_bytes

JOBS = 100_000
ROUNDS = 3
CLAIMS, COMMITS = "farm claims", "farm writer"


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\ndrain_cost: {JOBS:,} jobs `farm.demo:noop`, args 60 bytes, results 2 bytes, {ROUNDS} rounds", flush=True)
        trips = count_round_trips(server)
        drains, pages = [], []
        for _ in range(ROUNDS):
            with server.database(jobs=JOBS, owner=PARKED, fill=fill_parked) as dsn:
                drains.append(drain(server, dsn, JOBS))
                # Dropping a database is a checkpoint, after which the files are used again.
                pages.append(page_bytes(server, drains[-1].wal_from, drains[-1].wal_to) / JOBS)
        cpu = [_cpu_us(one, CLAIMS, COMMITS) for one in drains]
        wal = [(one.wal_to - one.wal_from) / JOBS for one in drains]
        print_table(
            ("round", "jobs/s", "leases", "claim + read us", "commit us", "other us", "WAL B/job", "of it whole pages"),
            [_row(number, *one) for number, one in enumerate(zip(drains, wal, pages, strict=True), 1)],
        )
        per_thousand = trips.total() / JOBS * 1000
        print_table(("connection", "round trips"), [(name, str(count)) for name, count in trips.most_common()])
        figures = [
            Figure(name="round trips for 1,000 jobs", value=per_thousand, unit="", must=10, aim=6),
            Figure(name="WAL for a job", value=median(wal), unit="B", must=320, aim=260),
            Figure(name="PostgreSQL CPU for a job, claim + commit", value=median(cpu), unit="us", must=12, aim=9),
        ]
        details = {"round_trips": dict(trips), "wal_bytes": spread(wal), "wal_page_bytes": spread(pages), "cpu_us": spread(cpu)}
        print_report("drain_cost", figures, environment=found, details=details)


def count_round_trips(server: Server) -> Counter[str]:
    """Drain a fresh database through a relay; returns the round trips of a whole farm by its connections."""
    with server.database(jobs=JOBS) as dsn:
        with (
            tempfile.TemporaryDirectory(prefix="farm-relay-") as directory,
            Relay(dsn, Path(directory)) as relay,
            Host(server.home, config(relay.dsn), burst=True) as host,
        ):
            host.wait_end()
        whole(measure_run(dsn), JOBS)
    return relay.round_trips


def _cpu_us(one: Drain, *names: str) -> float:
    return sum(one.cpu_ns[name] for name in names) / JOBS / 1e3


def _row(number: int, one: Drain, wal: float, pages: float) -> tuple[str, ...]:
    other = sum(one.cpu_ns.values()) / JOBS / 1e3 - _cpu_us(one, CLAIMS, COMMITS)
    return (
        str(number), f"{one.run.rate:,.0f}", str(one.run.leases), f"{_cpu_us(one, CLAIMS):.2f}", f"{_cpu_us(one, COMMITS):.2f}",
        f"{other:.2f}", f"{wal:.0f}", f"{pages:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
