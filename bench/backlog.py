"""Does a farm keep its pace when very many jobs wait? 3,000,000 and more of them in one class, against a few.

The same number of jobs is measured, in the middle of a drain: between the commits that settle the 20,000th and the 120,000th. Before few
jobs the last 10,000 wait still at that moment; of the many hardly any has gone. They are filed once: after each round the farm is
let finish what it has claimed, and the tables are vacuumed.
"""

from __future__ import annotations

from functools import partial
from statistics import median

from bench.database import Server, own_server, query
from bench.drain import PARKED, analyze, drain, enqueue_parked, fill_parked, started
from bench.environment import environment
from bench.host import wait_for
from bench.report import Figure, print_report, print_table, spread

WINDOW = (20_000, 120_000)
FEW = 130_000
"""Jobs of a drain before few: at the end of the window 10,000 are left."""
STOP_AFTER = 140_000
"""Of a drain before many: jobs end a little out of order, so that the window is sure to be over."""
ROUNDS = 3
TAKEN_MAX = 200_000
"""Of the many, for each round."""
MANY = 3_000_000


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        first, last = WINDOW
        print(f"\nbacklog: {last - first:,} jobs `farm.demo:noop` before {MANY:,} and before 10,000 that wait, {ROUNDS} pairs", flush=True)
        with server.database(jobs=0) as deep:
            enqueue_parked(deep, MANY + ROUNDS * TAKEN_MAX)
            measure_few(server)
            pairs = [(measure_many(server, deep), measure_few(server)) for _ in range(ROUNDS)]
            left = query(deep, "count_ready")[0][0]
        if left < MANY:
            raise RuntimeError(f"{left:,} jobs were left at the end: this is no measurement")
        ratios = [many / few for many, few in pairs]
        print_table(
            ("pair", f"{MANY:,} wait: jobs/s", "10,000 wait: jobs/s", "ratio"),
            [(str(number), f"{many:,.0f}", f"{few:,.0f}", f"{many / few:.3f}") for number, (many, few) in enumerate(pairs, 1)],
        )
        figure = Figure(name="3,000,000 waiting / 10,000", value=median(ratios), unit="", must=0.85, aim=1, more_is_better=True)
        details = {
            "ratio": spread(ratios),
            "many_jobs_per_s": spread([many for many, _ in pairs]),
            "few_jobs_per_s": spread([few for _, few in pairs]),
        }
        print_report("backlog", [figure], environment=found, details=details)


def measure_few(server: Server) -> float:
    """Drain a fresh database; returns jobs a second in the window."""
    with server.database(jobs=FEW, owner=PARKED, fill=fill_parked) as dsn:
        drain(server, dsn, FEW)
        return window_rate(dsn, 0)


def measure_many(server: Server, dsn: str) -> float:
    """Take the next jobs of many; returns jobs a second in the window."""
    analyze(dsn)
    above_id: int = query(dsn, "find_last_result")[0][0]
    with started(server, dsn):
        query(dsn, "release_parked")
        wait_for(partial(_is_finished, dsn, above_id + STOP_AFTER), "the end of the window", every_s=0.05)
        query(dsn, "park_jobs")
        wait_for(lambda: query(dsn, "count_leases")[0][0] == 0, "the last commit", every_s=0.05)
    return window_rate(dsn, above_id)


def window_rate(dsn: str, above_id: int) -> float:
    """Return the rate in the window of the jobs above an id."""
    jobs, elapsed_s = query(dsn, "measure_window", {"above_id": above_id, "first": WINDOW[0], "last": WINDOW[1]})[0]
    return float(jobs / elapsed_s)


def _is_finished(dsn: str, job_id: int) -> bool:
    return bool(query(dsn, "count_finished", {"job_id": job_id})[0][0])


if __name__ == "__main__":
    main()
