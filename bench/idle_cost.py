"""What a farm costs while there is nothing to do: CPU of its own processes with few and with many subworkers, and memory.

Judged is a farm with two subworkers, and the supervisor's share of a core with 4, 60 and 300: nobody should pay for those that have nothing
to do. PostgreSQL's share is printed beside it. Each farm has run some jobs before, so that everything it imports late is in.
Memory is PSS: a page that processes share is divided between them, so other Pythons that run on the machine (this script is one)
take a few MB off it. To read that of a supervisor one must be root.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.database import NOOP, Server, keeper_pids, measure_run, own_server, postmaster_pid
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_used_ns, descendants, pss_bytes, title
from bench.report import Figure, print_report, print_table
from farm.client import Client

SUBWORKERS = 2
CREWS = {4: (0.5, 0.35), 60: (1, 0.6), 300: (3, 1.5)}
"""Subworkers of the larger farms, and what the supervisor may take, and should, in percent of a core."""
MEMORY = "64MB"
WARM_UP_JOBS = 200
SETTLE_S = 3.0
IDLE_S = 20.0
WRITER, ZYGOTE = "farm.writer.process", "farm.subworker.zygote"
"""What the processes are called by their command lines; subworkers are forked from the zygote, and are called as it is."""


def main() -> None:
    """Run the measurement and print it."""
    if os.geteuid() != 0:
        raise SystemExit("idle_cost: run as root: the memory of a supervisor may not be read by others")
    with own_server() as server:
        found = environment(server.dsn)
        figures, details = _measure_processes(server)
        print(f"\nidle_cost: {', '.join(map(str, CREWS))} subworkers, {IDLE_S:.0f} s without a job", flush=True)
        shares = {subworkers: _measure_crew(server, subworkers) for subworkers in CREWS}
        parts = list(next(iter(shares.values())))
        rows = [(str(subworkers), *(f"{share[part]:.3f}" for part in parts)) for subworkers, share in shares.items()]
        print_table(("subworkers", *(f"{part}, % of a core" for part in parts)), rows)
        figures += [
            Figure(name=f"supervisor, {subworkers} idle subworkers", value=shares[subworkers]["supervisor"], unit="%", must=must, aim=aim)
            for subworkers, (must, aim) in CREWS.items()
        ]
        print_report("idle_cost", figures, environment=found, details=details | {"crews": shares})


def _measure_processes(server: Server) -> tuple[list[Figure], dict[str, float]]:
    """Look at each process of a farm with two subworkers."""
    with _idle_farm(server, config("embedded", subworkers=str(SUBWORKERS)), SUBWORKERS) as supervisor:
        print(f"\nidle_cost: {SUBWORKERS} subworkers, {IDLE_S:.0f} s without a job", flush=True)
        farm = descendants(supervisor) + keeper_pids(server.home)
        postgres = descendants(postmaster_pid(server.home))
        cpu_percent = _cpu_percent(farm + postgres)
        pss_mb = {pid: pss_bytes(pid) / 1e6 for pid in farm + postgres}
        rows = [(title(pid), f"{cpu_percent[pid]:.3f}", f"{pss_mb[pid]:.1f}") for pid in farm]
    totals = [_total(name, pids, cpu_percent, pss_mb) for name, pids in (("farm, in all", farm), ("PostgreSQL, in all", postgres))]
    print_table(("process", "CPU % of a core", "PSS MB"), [*rows, *((name, f"{cpu:.3f}", f"{mb:.1f}") for name, cpu, mb in totals)])
    figures = [
        Figure(name="CPU of an idle farm", value=totals[0][1], unit="% of a core", must=1, aim=0.3),
        Figure(name="PSS of all its processes", value=totals[0][2], unit="MB", must=140, aim=80),
    ]
    details = {"postgresql_cpu_percent": round(totals[1][1], 4), "postgresql_pss_mb": round(totals[1][2], 2), "processes": len(farm)}
    return figures, details


def _measure_crew(server: Server, subworkers: int) -> dict[str, float]:
    """Return what the parts of a farm with so many subworkers take, in percent of a core."""
    lanes = f'{{default: {{queues: ["*"], subworkers: {subworkers}, memory: {MEMORY}}}}}'
    with _idle_farm(server, config("embedded", lanes=lanes, overcommit="true"), subworkers) as supervisor:
        parts = {pid: title(pid) for pid in descendants(supervisor)}
        postgres = descendants(postmaster_pid(server.home))
        used = _cpu_percent([*parts, *postgres])
    return {
        "supervisor": used[supervisor],
        "writer": sum(used[pid] for pid, name in parts.items() if name == WRITER),
        "zygote and subworkers": sum(used[pid] for pid, name in parts.items() if name == ZYGOTE),
        "PostgreSQL": sum(used[pid] for pid in postgres),
    }


@contextmanager
def _idle_farm(server: Server, configuration: str, subworkers: int) -> Iterator[int]:
    """Give the pid of a farm that has all its subworkers, and a spare one, and has run some jobs."""
    with Host(server.home, configuration) as host:
        host.wait_ready()
        # The supervisor itself, zygote, writer and spare.
        wait_for(lambda: len(descendants(host.pid)) >= subworkers + 4, "all subworkers", every_s=0.1)
        _warm_up(server)
        time.sleep(SETTLE_S)
        yield host.pid


def _warm_up(server: Server) -> None:
    """Run some jobs, so that what is imported late is imported, and wait for their results."""
    before = measure_run(server.dsn).jobs
    with Client(server.dsn) as client:
        client.enqueue_many({"task": NOOP} for _ in range(WARM_UP_JOBS))
    wait_for(lambda: measure_run(server.dsn).jobs == before + WARM_UP_JOBS, "the first jobs", every_s=0.1)


def _cpu_percent(pids: list[int]) -> dict[int, float]:
    """Return the CPU that each process used for a while, in percent of a core."""
    began, before = time.monotonic(), cpu_used_ns(pids)
    time.sleep(IDLE_S)
    elapsed_s, after = time.monotonic() - began, cpu_used_ns(pids)
    return {pid: (after[pid] - before[pid]) / 1e7 / elapsed_s for pid in pids}


def _total(name: str, pids: list[int], cpu_percent: dict[int, float], pss_mb: dict[int, float]) -> tuple[str, float, float]:
    return name, sum(cpu_percent[pid] for pid in pids), sum(pss_mb[pid] for pid in pids)


if __name__ == "__main__":
    main()
