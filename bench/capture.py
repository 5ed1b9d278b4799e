"""What it costs to keep what jobs print: CPU per job, with ten lines a job kept, against the same prints in a lane that keeps none.

CPU is that of PostgreSQL and of all processes of the farm, as in cost_profile: a long drain less a short one, so that start and stop fall
out. Pairs alternate. What is not kept goes where it went before there were logs: through a pipe to the farm's own log, which shows 200
lines a second of each subworker and counts the rest. Printed beside it: the same jobs without prints, to show what printing costs at all.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from statistics import median

from bench.database import Server, measure_run, migrate, own_server, postmaster_pid
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_used_ns, descendants
from bench.report import Figure, interval, print_report, print_table
from farm.client import Client

FEW, MANY = 2_000, 22_000
PAIRS = 10
LINES = 10
MUST, AIM = 1.3, 1.15
LOOK_EVERY_S = 0.05
WAYS = {"kept": ("bench.tasks:say", True), "not kept": ("bench.tasks:say", False), "nothing printed": ("bench.tasks:say_nothing", True)}
"""By name: which task, and whether its lane keeps logs."""


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\ncapture: {LINES} lines a job, {MANY:,} jobs less {FEW:,}, {PAIRS} pairs, CPU of PostgreSQL and farm", flush=True)
        for way in WAYS:
            _measure(server, way, FEW)
        costs: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(PAIRS):
            # In turn, each way first as often as the others.
            order = list(WAYS)[number % len(WAYS) :] + list(WAYS)[: number % len(WAYS)]
            for way in order:
                costs[way].append(_cost_us(server, way))
    ratios = [kept / not_kept for kept, not_kept in zip(costs["kept"], costs["not kept"], strict=True)]
    low, high = interval(ratios)
    print_table(
        ("lines of a job", "us of CPU a job", "minimum", "maximum"),
        [(way, f"{median(found_us):.1f}", f"{min(found_us):.1f}", f"{max(found_us):.1f}") for way, found_us in costs.items()],
    )
    figure = Figure(name=f"CPU per job, {LINES} lines kept against not kept", value=median(ratios), unit="x", must=MUST, aim=AIM)
    details = {"interval": [round(low, 4), round(high, 4)], "us": {way: [round(one, 2) for one in each] for way, each in costs.items()}}
    print_report("capture", [figure], environment=found, details=details)


def _cost_us(server: Server, way: str) -> float:
    few, many = _measure(server, way, FEW), _measure(server, way, MANY)
    return (many - few) / (MANY - FEW) / 1e3


def _measure(server: Server, way: str, jobs: int) -> int:
    """Drain a fresh database and return the CPU time of PostgreSQL and the farm, in nanoseconds, start included."""
    task, keeps = WAYS[way]
    with ExitStack() as stack:
        dsn = stack.enter_context(
            server.database(jobs=jobs, owner=task.rpartition(":")[2], fill=lambda dsn, count: _fill(dsn, count, task))
        )
        postgres = postmaster_pid(server.home)
        before = _used_ns(postgres)
        lanes = f'{{default: {{queues: ["*"], logs: {str(keeps).lower()}}}}}'
        host = stack.enter_context(Host(server.home, config(dsn, allow="bench.tasks:*", path=os.getcwd(), lanes=lanes)))
        host.wait_ready()
        wait_for(lambda: measure_run(dsn).jobs == jobs, "the jobs", every_s=LOOK_EVERY_S)
        used = sum(cpu_used_ns(descendants(host.pid)).values()) + _used_ns(postgres) - before
    return used


def _fill(dsn: str, jobs: int, task: str) -> None:
    migrate(dsn)
    with Client(dsn) as client:
        client.enqueue_many({"task": task, "args": [number, LINES]} for number in range(jobs))


def _used_ns(pid: int) -> int:
    return sum(cpu_used_ns(descendants(pid)).values())
