"""What a farm with two subworkers costs while there is nothing to do: CPU of its own processes, and memory.

PostgreSQL's share is printed beside it. The farm has run some jobs before, so that everything it imports late is in.
Memory is PSS: a page that processes share is divided between them, so other Pythons that run on the machine (this script is one)
take a few MB off it. To read that of a supervisor one must be root.
"""

from __future__ import annotations

import os
import time

from bench.database import NOOP, Server, keeper_pids, measure_run, own_server, postmaster_pid
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_used_ns, descendants, pss_bytes, title
from bench.report import Figure, print_report, print_table
from farm.client import Client

SUBWORKERS = 2
WARM_UP_JOBS = 200
SETTLE_S = 3.0
IDLE_S = 20.0


def main() -> None:
    """Run the measurement and print it."""
    if os.geteuid() != 0:
        raise SystemExit("idle_cost: run as root: the memory of a supervisor may not be read by others")
    with own_server() as server, Host(server.home, config("embedded", subworkers=str(SUBWORKERS))) as host:
        found = environment(server.dsn)
        host.wait_ready()
        _warm_up(server)
        print(f"\nidle_cost: {SUBWORKERS} subworkers, {IDLE_S:.0f} s without a job", flush=True)
        time.sleep(SETTLE_S)
        farm = descendants(host.pid) + keeper_pids(server.home)
        postgres = descendants(postmaster_pid(server.home))
        cpu_percent = _measure(farm + postgres)
        pss_mb = {pid: pss_bytes(pid) / 1e6 for pid in farm + postgres}
        rows = [(title(pid), f"{cpu_percent[pid]:.3f}", f"{pss_mb[pid]:.1f}") for pid in farm]
        totals = [_total(name, pids, cpu_percent, pss_mb) for name, pids in (("farm, in all", farm), ("PostgreSQL, in all", postgres))]
        print_table(("process", "CPU % of a core", "PSS MB"), [*rows, *((name, f"{cpu:.3f}", f"{mb:.1f}") for name, cpu, mb in totals)])
        figures = [
            Figure(name="CPU of an idle farm", value=totals[0][1], unit="% of a core", must=1, aim=0.3),
            Figure(name="PSS of all its processes", value=totals[0][2], unit="MB", must=140, aim=80),
        ]
        details = {"postgresql_cpu_percent": round(totals[1][1], 4), "postgresql_pss_mb": round(totals[1][2], 2), "processes": len(farm)}
        print_report("idle_cost", figures, environment=found, details=details)


def _warm_up(server: Server) -> None:
    """Run some jobs, so that what is imported late is imported, and wait for their results."""
    with Client(server.dsn) as client:
        client.enqueue_many({"task": NOOP} for _ in range(WARM_UP_JOBS))
    wait_for(lambda: measure_run(server.dsn).jobs == WARM_UP_JOBS, "the first jobs", every_s=0.1)


def _measure(pids: list[int]) -> dict[int, float]:
    """Return the CPU that each process used for a while, in percent of a core."""
    began, before = time.monotonic(), cpu_used_ns(pids)
    time.sleep(IDLE_S)
    elapsed_s, after = time.monotonic() - began, cpu_used_ns(pids)
    return {pid: (after[pid] - before[pid]) / 1e7 / elapsed_s for pid in pids}


def _total(name: str, pids: list[int], cpu_percent: dict[int, float], pss_mb: dict[int, float]) -> tuple[str, float, float]:
    return name, sum(cpu_percent[pid] for pid in pids), sum(pss_mb[pid] for pid in pids)


if __name__ == "__main__":
    main()
