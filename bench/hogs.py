"""Jobs that want far more memory than they may have, among many that do not: who fails, what is said of it, and who suffers.

Half of the jobs run one at a time in their process, half beside others; in each half every kind of hog comes once. What must be: the hogs
fail and are named, with limit and peak; all others succeed, at their first attempt; and the supervisor is the one that it was.
"""

from __future__ import annotations

import re
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.database import own_server, query
from bench.environment import environment
from bench.host import Host, wait_for
from bench.report import Figure, print_report, print_table
from farm import linux
from farm.client import Client

JOBS = 1_000
MEMORY_MB = 256
HOGS: tuple[tuple[str, list[int]], ...] = (
    ("leak", []),
    ("at_once", []),
    ("by_numpy", []),
    ("in_children", [4, 150]),
    ("in_shared_map", []),
)
"""Name and arguments. Four children of 150 MB: each is below the limit."""
TASKS = Path(__file__).with_name("jobs")
NAMED = re.compile(rf"memory limit of {MEMORY_MB} MB reached; peak \d+ MB")
SUCCEEDED, FAILED = 1, 2
LANES = f"""
lanes:
  single: {{queues: [single], subworkers: 2, memory: {MEMORY_MB}MB}}
  many: {{queues: [many], subworkers: 2, concurrency: 20, memory: {MEMORY_MB}MB}}
"""


class End(NamedTuple):
    """What one job has come to."""

    job_id: int
    status: int
    attempt: int
    error: str
    message: str
    peak_bytes: int | None
    failures: list[str]


def main() -> None:
    """Run the measurement and print it."""
    hogs_wanted = 2 * len(HOGS)
    print(f"\nhogs: {JOBS:,} jobs, {hogs_wanted} of them want more than their {MEMORY_MB} MB", flush=True)
    if find_spec("numpy") is None:
        print("  no numpy here (pip install numpy): by_numpy takes its 2 GiB as at_once does", flush=True)
    with own_server() as server:
        found = environment(server.dsn)
        config = f'database: embedded\nrunners: {{python: {{allow: ["hogs:*"], path: ["{TASKS}"]}}}}\n{LANES}'
        with Client(server.dsn) as client, Host(server.home, config) as host:
            host.wait_ready()
            begun, supervisor = time.monotonic(), linux.start_time(host.pid)
            hogs = enqueue(client)
            wait_for(lambda: len(query(server.dsn, "read_ends_of_jobs")) == JOBS, "the end of all jobs", every_s=0.1)
            elapsed_s = time.monotonic() - begun
            lived = linux.start_time(host.pid) == supervisor and "the writer ended" not in host.log()
            ends = {row[0]: End(*row) for row in query(server.dsn, "read_ends_of_jobs")}
    rows = [(f"{name} ({lane})", ends[job_id].message[:90], _megabytes(ends[job_id])) for job_id, (lane, name) in hogs.items()]
    print_table(("hog", "what is said of it", "peak kept"), rows)
    named = sum(is_named(ends[job_id]) for job_id in hogs)
    others = [end for job_id, end in ends.items() if job_id not in hogs]
    figures = [
        Figure(
            name="jobs that succeed", value=sum(end.status == SUCCEEDED for end in others), unit="", must=990, aim=990, more_is_better=True
        ),
        Figure(name="hogs named rightly", value=named, unit="", must=hogs_wanted, aim=hogs_wanted, more_is_better=True),
        Figure(name="others that were harmed", value=sum(map(is_harmed, others)), unit="", must=0, aim=0),
        Figure(name="supervisor and writer live on", value=int(lived), unit="", must=1, aim=1, more_is_better=True),
    ]
    print_report("hogs", figures, environment=found, details={"elapsed_s": round(elapsed_s, 2), "memory_mb": MEMORY_MB})


def enqueue(client: Client, jobs: int = JOBS) -> dict[int, tuple[str, str]]:
    """Enqueue so many jobs, the hogs evenly among them; returns those: (lane, name) by id."""
    hogs: dict[int, tuple[str, str]] = {}
    for lane in ("single", "many"):
        each = jobs // 2 // len(HOGS)
        for name, args in HOGS:
            work = [{"task": "hogs:work", "args": [2], "queue": lane} for _ in range(each - 1)]
            client.enqueue_many(work[: each // 2])
            hogs[client.enqueue(f"hogs:{name}", args, queue=lane, max_attempts=1)] = lane, name
            client.enqueue_many(work[each // 2 :])
    return hogs


def is_named(end: End) -> bool:
    """Say whether the end of a hog tells what it was, with limit and peak."""
    return end.status == FAILED and end.failures == ["memory"] and end.error == "MemoryError" and bool(NAMED.match(end.message))


def is_harmed(end: End) -> bool:
    """Say whether another job has suffered."""
    return end.status != SUCCEEDED or end.attempt != 1 or bool(end.failures)


def _megabytes(end: End) -> str:
    return "-" if end.peak_bytes is None else f"{end.peak_bytes / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
