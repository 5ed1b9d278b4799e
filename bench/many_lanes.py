"""What it costs to have many lanes: CPU time of no-op jobs with 8 lanes of one subworker each, against one lane of 8.

In both the same jobs stand in 8 queues, one in each in turn; each of the 8 lanes serves one queue, the one lane all of them. Counted is
the CPU time of all processes of the farm and of PostgreSQL, by the kernel, from the release of the jobs to the last commit. The two take
turns, and who is first changes; judged is the median of the ratios of pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from bench.database import Server, measure_run, own_server, postmaster_pid, query
from bench.drain import LOOK_EVERY_S, PARKED, fill_parked, started, whole
from bench.environment import environment
from bench.host import wait_for
from bench.processes import cpu_used_ns, descendants
from bench.report import Figure, interval, print_report, print_table, spread

LANES = 8
JOBS = 160_000
PAIRS, PAIRS_QUICK = 12, 4
QUEUES = [f"q{number}" for number in range(1, LANES + 1)]
MANY = "{" + ", ".join(f"{queue}: {{queues: [{queue}], subworkers: 1}}" for queue in QUEUES) + "}"
ONE = f"{{all: {{queues: [{', '.join(QUEUES)}], subworkers: {LANES}}}}}"


class Cost(NamedTuple):
    """What a drain came to, for each job."""

    farm_us: float
    postgres_us: float
    rate: float
    """Jobs a second."""
    leases: int

    @property
    def us(self) -> float:
        return self.farm_us + self.postgres_us


def main(*, quick: bool = False) -> None:
    """Run the measurement and print it. quick: fewer pairs."""
    number_of_pairs = PAIRS_QUICK if quick else PAIRS
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nmany_lanes: {JOBS:,} jobs `farm.demo:noop`, {LANES} lanes against 1, {number_of_pairs} pairs, CPU for a job", flush=True)
        measure(server, MANY)
        pairs = [_pair(server, first=number % 2 == 0) for number in range(number_of_pairs)]
        ratios = [many.us / one.us for many, one in pairs]
        print_table(
            ("lanes", "CPU us", "minimum", "maximum", "of these PostgreSQL", "jobs/s", "claims"),
            [_row(str(LANES), [many for many, _one in pairs]), _row("1", [one for _many, one in pairs])],
        )
        low, high = interval(ratios)
        print(f"ratio {median(ratios):.3f}, with 95 % between {low:.3f} and {high:.3f}; of the rates {_rates(pairs):.3f}")
        figure = Figure(name=f"CPU for a job, {LANES} lanes / 1", value=median(ratios), unit="x", must=1.1, aim=1.03)
        details = {"ratio": {**spread(ratios), "low": low, "high": high}, "rates": _rates(pairs)}
        print_report("many_lanes", [figure], environment=found, details=details)


def measure(server: Server, lanes: str) -> Cost:
    """Drain a fresh database with these lanes."""
    with server.database(jobs=JOBS, owner=PARKED, fill=partial(fill_parked, queues=QUEUES)) as dsn:
        with started(server, dsn, lanes=lanes) as (host,):
            farm, postgres = _counter(host.pid), _counter(postmaster_pid(server.home))
            query(dsn, "release_parked")
            wait_for(lambda: bool(query(dsn, "is_queue_empty")[0][0]), "the last commit", every_s=LOOK_EVERY_S)
            used_ns = farm(), postgres()
        run = whole(measure_run(dsn), JOBS)
    farm_us, postgres_us = (ns / JOBS / 1e3 for ns in used_ns)
    return Cost(farm_us, postgres_us, run.rate, run.leases)


def _pair(server: Server, *, first: bool) -> tuple[Cost, Cost]:
    """Measure many lanes and one; first: many before one."""
    if first:
        many = measure(server, MANY)
        return many, measure(server, ONE)
    one = measure(server, ONE)
    return measure(server, MANY), one


def _counter(pid: int) -> Callable[[], int]:
    """Return what tells the CPU time that a process and its descendants have used since now. Those that have gone are not counted."""
    before = cpu_used_ns(descendants(pid))
    return lambda: sum(ns - before.get(one, 0) for one, ns in cpu_used_ns(descendants(pid)).items())


def _rates(pairs: Sequence[tuple[Cost, Cost]]) -> float:
    return median(many.rate / one.rate for many, one in pairs)


def _row(name: str, costs: Sequence[Cost]) -> tuple[str, ...]:
    us = [cost.us for cost in costs]
    return (
        name, f"{median(us):.2f}", f"{min(us):.2f}", f"{max(us):.2f}", f"{median(cost.postgres_us for cost in costs):.2f}",
        f"{median(cost.rate for cost in costs):,.0f}", f"{median(cost.leases for cost in costs):.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
