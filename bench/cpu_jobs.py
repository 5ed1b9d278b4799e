"""Jobs that need a processor for 5 ms each: what the farm leaves of two cores for them.

The same function the same number of times in two bare processes is what is possible. Both run in turn, in pairs; the farm's rate is
from the first start to the last commit, and what farm and PostgreSQL do meanwhile, they do on the same cores.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from statistics import median

import psycopg

from bench.database import Server, measure_run, own_server
from bench.environment import environment
from bench.host import Host, config
from bench.report import Figure, print_report, print_table, spread
from farm.client import Client
from farm.demo import spin

TASK = "farm.demo:spin"
JOB_S = 0.005
JOBS = 1_400
PAIRS = 4
PROCESSES = 2


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\ncpu_jobs: {JOBS:,} jobs `{TASK}` of {JOB_S * 1000:.0f} ms, {PROCESSES} subworkers, {PAIRS} pairs", flush=True)
        _measure_farm(server, JOBS // 10)
        pairs = [(_measure_farm(server, JOBS), _measure_bare()) for _ in range(PAIRS)]
        ratios = [farm / bare for farm, bare in pairs]
        print_table(
            ("pair", "farm jobs/s", "bare jobs/s", "ratio"),
            [(str(number), f"{farm:.1f}", f"{bare:.1f}", f"{farm / bare:.3f}") for number, (farm, bare) in enumerate(pairs, 1)],
        )
        figure = Figure(name="5 ms jobs / bare processes", value=median(ratios), unit="", must=0.95, aim=0.99, more_is_better=True)
        details = {
            "ratio": spread(ratios),
            "farm_jobs_per_s": spread([farm for farm, _ in pairs]),
            "bare_jobs_per_s": spread([bare for _, bare in pairs]),
        }
        print_report("cpu_jobs", [figure], environment=found, details=details)


def _measure_farm(server: Server, jobs: int) -> float:
    """Drain a fresh database with `farm start --burst`; returns jobs a second."""
    with server.database(jobs=0) as dsn:
        with Client(dsn) as client:
            client.enqueue_many({"task": TASK, "args": [JOB_S]} for _ in range(jobs))
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        with Host(server.home, config(dsn, subworkers=str(PROCESSES)), burst=True) as host:
            host.wait_end()
        run = measure_run(dsn)
        if run.jobs != jobs:
            raise RuntimeError(f"{run.jobs:,} of {jobs:,} jobs succeeded: this is no measurement")
        return run.rate


def _measure_bare() -> float:
    """Call the function as often in processes that do nothing else; returns calls a second."""
    context = multiprocessing.get_context("fork")
    begin = context.Barrier(PROCESSES + 1)
    processes = [context.Process(target=_spin_all, args=(begin, JOBS // PROCESSES), daemon=True) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    begin.wait()
    begun = time.monotonic()
    for process in processes:
        process.join()
    return JOBS / (time.monotonic() - begun)


def _spin_all(begin: Barrier, calls: int) -> None:
    begin.wait()
    for _ in range(calls):
        spin(JOB_S)


if __name__ == "__main__":
    main()
