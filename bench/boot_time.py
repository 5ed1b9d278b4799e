"""From the execution of `farm start` to the start of its first job: with PostgreSQL running, and the first time ever.

The first time includes initdb, the start of PostgreSQL and the making of farm's schema; the job is enqueued as soon as the new
database takes it. Each job is `time:monotonic_ns`, so its result is the time at which it ran.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import psycopg
from psycopg.conninfo import make_conninfo

from bench.database import own_home, own_server, query
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.report import Figure, print_report, print_table, spread
from farm.client import Client
from farm.embedded.cluster import PORT, Cluster
from farm.errors import FarmError

RUNS = 5
TASK = "time:monotonic_ns"


def main() -> None:
    """Run both measurements and print them."""
    print(f"\nboot_time: `farm start` to the start of its first job, {RUNS} runs each", flush=True)
    with own_server() as server:
        found = environment(server.dsn)
        with Client(server.dsn) as client:
            running_s = [_boot(server.home, server.dsn, client.enqueue(TASK)) for _ in range(RUNS)]
    first_s = [_boot_first() for _ in range(RUNS)]
    rows = [("PostgreSQL running", running_s), ("embedded, first time ever", first_s)]
    print_table(("s", "median", "minimum", "maximum"), [(name, *(f"{s:.3f}" for s in spread(found_s).values())) for name, found_s in rows])
    figures = [
        Figure(name="to first job, PostgreSQL running", value=median(running_s), unit="s", must=0.8, aim=0.45),
        Figure(name="to first job, embedded, first time ever", value=median(first_s), unit="s", must=5, aim=2),
    ]
    print_report("boot_time", figures, environment=found, details={"running_s": spread(running_s), "first_s": spread(first_s)})


def _boot(home: Path, dsn: str, job_id: int) -> float:
    """Start a farm for the job that waits; returns the seconds to its start."""
    with Host(home, config("embedded", allow=TASK)) as host:
        host.wait_ready()
        return (_start_of(dsn, job_id) - host.executed_ns) / 1e9


def _boot_first() -> float:
    """Start a farm where there is nothing yet; returns the seconds to the start of its first job."""
    with own_home() as home, Host(home, config("embedded", allow=TASK)) as host:
        dsn = _dsn_of_new(home)
        job_id = _enqueue_when_possible(dsn)
        host.wait_ready()
        return (_start_of(dsn, job_id) - host.executed_ns) / 1e9


def _dsn_of_new(home: Path) -> str:
    """Wait for the server's socket. The client's own way to it would start the server, which is the farm's part here."""
    wait_for(lambda: bool(Cluster.existing(home)) and (Cluster.existing(home)[0].socket_dir / f".s.PGSQL.{PORT}").exists(), "a socket")
    return make_conninfo(host=str(Cluster.existing(home)[0].socket_dir), port=PORT, user="farm", dbname="farm")


def _enqueue_when_possible(dsn: str) -> int:
    """Enqueue the first job as soon as there is a schema for it."""
    job_ids: list[int] = []

    def enqueue() -> bool:
        try:
            with Client(dsn) as client:
                job_ids.append(client.enqueue(TASK))
        except (FarmError, psycopg.Error):
            return False
        return True

    wait_for(enqueue, "the new database to take a job", every_s=0.01)
    return job_ids[0]


def _start_of(dsn: str, job_id: int) -> int:
    """Wait for the result of a job, which is when it ran."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [row[0] for row in query(dsn, "read_starts", {"job_ids": [job_id]})]
        return bool(found)

    wait_for(there, "the first job")
    return found[0]


if __name__ == "__main__":
    main()
