"""Does a job cost PostgreSQL more where there is more of everything? 8 supervisors, 200 partitions, 500 classes, each against few.

What is compared is the CPU time of all connections of the farms for each job, from the release of the jobs to the last commit. Every
shape differs from the plain one (one supervisor, one class, 10 partitions) in one thing:

* 8 supervisors with one queue, on this one machine, so that they also share its processors;
* 200 partitions of `job`, `result` and `failure`, as long retention makes them, the jobs in one of the last;
* 500 classes (queues), the jobs filed one into each in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from bench.database import Server, migrate, own_server, query
from bench.drain import Drain, drain, enqueue_parked
from bench.environment import environment
from bench.report import Figure, print_report, print_table, spread

JOBS = 100_000
ROUNDS = 3
AIM = 1.1
FARMS, CLASSES = 8, 500
PARTITIONS, PARTITIONS_FEW = 200, 10
PARTITION_IDS = 5_000_000
"""Ids of a partition: the next one, when ids are used up slowly."""
BEHIND = 3
"""Partitions above that of the jobs: a farm keeps two ahead, and makes none in the middle of this."""


class Shape(NamedTuple):
    """A way in which jobs stand in a database, and how many farms serve them."""

    name: str
    must: float
    """How many times the cost of the plain one it may cost."""
    owner: str
    fill: Callable[[str, int], None]
    farms: int = 1


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nbreadth: {JOBS:,} jobs `farm.demo:noop`, {ROUNDS} rounds, PostgreSQL CPU for a job", flush=True)
        plain, *others = shapes()
        measure(server, plain)
        rounds = [{shape.name: measure(server, shape) for shape in (plain, *others)} for _ in range(ROUNDS)]
        ratios = {
            shape.name: [one[shape.name].cpu_us_per_job / one[plain.name].cpu_us_per_job for one in rounds] for shape in (plain, *others)
        }
        print_table(
            ("shape", "claim + read us", "commit us", "all us", "times plain", "minimum", "maximum", "jobs/s", "leases"),
            [_row(name, [one[name] for one in rounds], ratios[name]) for name in ratios],
        )
        figures = [
            Figure(name=f"{shape.name} / plain", value=median(ratios[shape.name]), unit="x", must=shape.must, aim=AIM) for shape in others
        ]
        details = {name: {"ratio": spread(ratios[name]), "cpu_us": spread([one[name].cpu_us_per_job for one in rounds])} for name in ratios}
        print_report("breadth", figures, environment=found, details=details)


def shapes() -> list[Shape]:
    """Return the plain shape, and those that are compared with it."""
    few = partial(fill_partitions, partitions=PARTITIONS_FEW)
    queues = [f"q{number}" for number in range(CLASSES)]
    return [
        Shape("plain", 1.0, "few", few),
        Shape(f"{FARMS} supervisors", 1.5, "few", few, FARMS),
        Shape(f"{PARTITIONS} partitions", 1.2, "many_partitions", partial(fill_partitions, partitions=PARTITIONS)),
        Shape(f"{CLASSES} classes", 1.2, "many_classes", partial(fill_partitions, partitions=PARTITIONS_FEW, queues=queues)),
    ]


def measure(server: Server, shape: Shape) -> Drain:
    """Drain a fresh database of a shape."""
    with server.database(jobs=JOBS, owner=shape.owner, fill=shape.fill) as dsn:
        return drain(server, dsn, JOBS, farms=shape.farms)


def fill_partitions(dsn: str, jobs: int, *, partitions: int, queues: Sequence[str] = ("default",)) -> None:
    """Put parked jobs into a database with so many partitions, near the newest of them."""
    migrate(dsn)
    _make(dsn, partitions, (partitions - BEHIND) * PARTITION_IDS)
    enqueue_parked(dsn, jobs, queues=queues)
    _check(dsn, partitions)


def _make(dsn: str, partitions: int, next_id: int) -> None:
    query(dsn, "make_partitions", {"up_to": partitions * PARTITION_IDS - 1, "next_id": next_id})


def _check(dsn: str, partitions: int) -> None:
    """Raise RuntimeError if there are not so many partitions."""
    made = query(dsn, "count_partitions")[0][0]
    if made != partitions:
        raise RuntimeError(f"{made} partitions were made, not {partitions}: this is no measurement")


def _row(name: str, drains: list[Drain], ratios: list[float]) -> tuple[str, ...]:
    cpu = [median([one.cpu_ns[of] / one.run.jobs / 1e3 for one in drains]) for of in ("farm claims", "farm writer")]
    whole = median([one.cpu_us_per_job for one in drains])
    rate, leases = median([one.run.rate for one in drains]), median([one.run.leases for one in drains])
    return (
        name, *(f"{us:.2f}" for us in (*cpu, whole)), *(f"{ratio:.2f}" for ratio in (median(ratios), min(ratios), max(ratios))),
        f"{rate:,.0f}", f"{leases:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
