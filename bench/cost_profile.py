"""Where the CPU time of a no-op job goes: `python -m bench.cost_profile [FILE]` prints it, and writes FILE for bench.cost_chart.

No profiler: the kernel counts the CPU time of every thread to the nanosecond. Two drains are compared that differ by 100,000 jobs, so
what it costs to start, to stop and to be there falls out. A drain is that of noop_throughput, but that the farm stays until it was read.
How a backend's time is shared by its statements is told by PostgreSQL's own log, in one more drain: writing that log costs time.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench.database import Server, measure_run, own_server, query
from bench.environment import describe, environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_ns, descendants, threads_cpu_ns, title
from bench.report import print_table
from bench.statement_costs import logged_statements
from farm import linux

FEW, MANY = 20_000, 120_000
PAIRS = 5
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of the chart. A thread or a process, or several of a kind."""

    group: str
    name: str
    does: str


CLAIM_THREAD = Part("supervisor", "claim thread", "sends claims and reads, turns their rows into Python")
MAIN_THREAD = Part("supervisor", "main thread", "packs frames, puts them into job rings, takes acks")
OTHER_THREADS = Part("supervisor", "other threads, zygote", "heartbeat, upkeep, listen")
SUBWORKERS = Part("subworkers", "subworkers", "take a frame, start, run, publish")
WRITER = Part("writer", "writer", "reads result rings, packs rows, sends commits")
PG_CLAIM = Part("PostgreSQL", "claim", "deletes rows of ready, inserts one lease a batch")
PG_READ = Part("PostgreSQL", "read", "finds tasks and arguments of the claimed ids")
PG_RESULTS = Part("PostgreSQL", "commit: results", "COPY into result and its keys")
PG_LEASES = Part("PostgreSQL", "commit: leases", "locks leases, sets bits or drops them, commits")
PG_OTHER = Part("PostgreSQL", "background", "WAL writer, checkpointer, background writer, other connections")
PARTS = (CLAIM_THREAD, PG_CLAIM, PG_READ, MAIN_THREAD, SUBWORKERS, WRITER, PG_RESULTS, PG_LEASES, PG_OTHER, OTHER_THREADS)
"""In the order of a job's life; what is not of a single job comes last."""
BACKENDS = {"farm claims": PG_CLAIM, "farm writer": PG_RESULTS}
"""Of whom a backend is, and the part that gets all of its time until it is split."""
SPLITS = {PG_CLAIM: {PG_CLAIM: "claim", PG_READ: "read"}, PG_RESULTS: {PG_RESULTS: "results", PG_LEASES: "leases"}}
"""The parts of a backend, by the kind of their statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one part costs for each job, in microseconds of CPU: median, minimum and maximum of the pairs."""

    group: str
    name: str
    does: str
    us: float
    us_min: float
    us_max: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the only argument is a file for the figures."""
    if len(arguments) > 1:
        print("usage: python -m bench.cost_profile [FILE]", file=sys.stderr)
        return 2
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\ncost_profile: a drain of {MANY:,} no-op jobs less one of {FEW:,}, {PAIRS} pairs, CPU time", flush=True)
        _measure(server, FEW)
        pairs = [(_measure(server, FEW), _measure(server, MANY)) for _ in range(PAIRS)]
        statements = _statements(server)
    costs = split_backends(per_job(pairs, MANY - FEW), statements)
    print_costs(costs)
    for line in describe(found):
        print(f"  {line}")
    figures = {"jobs": MANY - FEW, "pairs": PAIRS, "costs": [asdict(cost) for cost in costs], "environment": found}
    print(json.dumps({"bench": "cost_profile"} | figures), flush=True)
    if arguments:
        Path(arguments[0]).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def per_job(pairs: Sequence[tuple[Mapping[Part, int], Mapping[Part, int]]], jobs: int) -> list[Cost]:
    """Return what each part costs. pairs: nanoseconds of a drain and of one that had so many jobs more."""
    costs = []
    for part in PARTS:
        found = [(many.get(part, 0) - few.get(part, 0)) / jobs / 1e3 for few, many in pairs]
        costs.append(Cost(**asdict(part), us=median(found), us_min=min(found), us_max=max(found)))
    return costs


def split_backends(costs: Sequence[Cost], statements: Mapping[str, float]) -> list[Cost]:
    """Share out the costs of backends over their parts, as their statements cost. statements: CPU time by kind."""
    found = {(cost.group, cost.name): cost for cost in costs}
    for whole, kinds in SPLITS.items():
        cost, total = found[whole.group, whole.name], sum(statements[kind] for kind in kinds.values())
        for part, kind in kinds.items():
            share = statements[kind] / total
            found[part.group, part.name] = Cost(**asdict(part), us=cost.us * share, us_min=cost.us_min * share, us_max=cost.us_max * share)
    return list(found.values())


def shares(costs: Sequence[Cost]) -> list[float]:
    """Return what part of the whole each is. What was measured below nothing, by noise, is nothing."""
    sizes = [max(cost.us, 0.0) for cost in costs]
    return [size / sum(sizes) for size in sizes]


def print_costs(costs: Sequence[Cost]) -> None:
    """Print them as a table, with their sum."""
    total = sum(cost.us for cost in costs)
    rows = [
        (f"{cost.group}: {cost.name}", f"{cost.us:.2f}", f"{cost.us_min:.2f}", f"{cost.us_max:.2f}", f"{share:.0%}")
        for cost, share in zip(costs, shares(costs), strict=True)
    ]
    print_table(("part", "us a job", "minimum", "maximum", "share"), [*rows, ("all", f"{total:.2f}", "", "", "100%")])


def part_of_threads(cpu: Sequence[int]) -> dict[Part, int]:
    """Share out the CPU times of a supervisor's threads, the main one first: of the others the claim thread is the busiest, by far."""
    main_thread, *others = cpu
    claims = max(others, default=0)
    return {MAIN_THREAD: main_thread, CLAIM_THREAD: claims, OTHER_THREADS: sum(others) - claims}


def _measure(server: Server, jobs: int) -> Counter[Part]:
    """Drain a fresh database and return what each part used, in nanoseconds, start included."""
    with server.database(jobs=jobs) as dsn:
        before = _postgres_ns(dsn)
        with Host(server.home, config(dsn)) as host:
            host.wait_ready()
            wait_for(lambda: measure_run(dsn).jobs == jobs, "the jobs", every_s=LOOK_EVERY_S)
            used = _farm_ns(host.pid)
            used.update(_postgres_ns(dsn))
    used.subtract(before)
    return used


def _statements(server: Server) -> Counter[str]:
    """Drain a fresh database whose statements are logged, and return what they cost by kind."""
    with (
        server.database(jobs=MANY) as dsn,
        logged_statements(dsn, server.home) as costs,
        Host(server.home, config(dsn), burst=True) as host,
    ):
        host.wait_end()
    return costs


def _farm_ns(supervisor: int) -> Counter[Part]:
    used = Counter(part_of_threads(threads_cpu_ns(supervisor)))
    # The subworkers are forked from the zygote, so they are called as it is; it is the first of them.
    zygote, *subworkers = sorted(_named(supervisor, "farm.subworker.zygote"), key=lambda pid: linux.start_time(pid) or 0)
    used[OTHER_THREADS] += cpu_ns(zygote)
    used[SUBWORKERS] = sum(map(cpu_ns, subworkers))
    used[WRITER] = sum(map(cpu_ns, _named(supervisor, "farm.writer.process")))
    return used


def _named(supervisor: int, name: str) -> list[int]:
    return [pid for pid in descendants(supervisor) if title(pid) == name]


def _postgres_ns(dsn: str) -> Counter[Part]:
    used: Counter[Part] = Counter()
    for pid, name in query(dsn, "read_backends"):
        used[BACKENDS.get(name, PG_OTHER)] += cpu_ns(pid)
    return used


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
