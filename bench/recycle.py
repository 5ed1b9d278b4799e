"""What a lane loses when its only subworker is replaced: from one start to the next, where the process changes and where it does not.

Jobs that sleep for 1 ms, one after the other; the subworker is replaced every 200 jobs. Each job returns its process and, by
CLOCK_MONOTONIC, when it began. The jobs take their millisecond in every distance, and the stir of the machine too: beside the distances at
the replacements stand those between them, and those of a run without any.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host, wait_for
from bench.report import Figure, percentile, print_report, print_table
from farm.client import Client

JOBS, JOBS_EACH = 12_000, 200
WARM_UP_JOBS = 100
NAP_S = 0.001
TASKS = """
import os, time

def nap(length):
    begun = time.monotonic_ns()
    time.sleep(length)
    return [os.getpid(), begun]
"""


class Distances(NamedTuple):
    """Milliseconds from one start to the next."""

    at_change: list[float]
    """The first in a process, after the last in the one before."""
    within: list[float]

    @property
    def rate(self) -> float:
        """Starts in a second."""
        return 1000 * len(self.at_change + self.within) / sum(self.at_change + self.within)


def main() -> None:
    """Run the measurement and print it."""
    print(f"\nrecycle: {JOBS:,} jobs of 1 ms in one subworker, with a successor every {JOBS_EACH} jobs, and without", flush=True)
    with own_server() as server:
        found = environment(server.dsn)
        with_them, without = _run(server, f"{{max_jobs: {JOBS_EACH}}}"), _run(server, "{rss_growth: never}")
    if not with_them.at_change or without.at_change:
        raise RuntimeError(f"{len(with_them.at_change)} replacements with, {len(without.at_change)} without: this is no measurement")
    rows = [
        ("at a replacement", with_them.at_change),
        ("between two", with_them.within),
        ("in a run without", without.within),
    ]
    print_table(
        ("ms from start to start", "times", "p50", "p99", "maximum"),
        [(name, f"{len(ms):,}", f"{percentile(ms, 50):.2f}", f"{percentile(ms, 99):.2f}", f"{max(ms):.2f}") for name, ms in rows],
    )
    print(f"  {with_them.rate:,.0f} jobs a second with, {without.rate:,.0f} without", flush=True)
    figures = [
        Figure(name=f"start to start at a replacement, {name}", value=value, unit="ms", must=20, aim=5)
        for name, value in (("p50", percentile(with_them.at_change, 50)), ("p99", percentile(with_them.at_change, 99)))
    ]
    details = {name: {"p50": percentile(ms, 50), "p99": percentile(ms, 99), "max": max(ms)} for name, ms in rows}
    print_report("recycle", figures, environment=found, details=details)


def _run(server: Server, recycle: str) -> Distances:
    with server.database(jobs=0) as dsn, tempfile.TemporaryDirectory() as directory:
        Path(directory, "naps.py").write_text(TASKS)
        settings = (
            f'database: "{dsn}"\n'
            f'runners: {{python: {{allow: ["naps:*"], path: [{directory}]}}}}\n'
            f'lanes: {{default: {{queues: ["*"], subworkers: 1, memory: 200MB, recycle: {recycle}}}}}\n'
        )
        with Host(server.home, settings) as host, Client(dsn) as client:
            host.wait_ready()
            client.enqueue_many({"task": "naps:nap", "args": [NAP_S]} for _ in range(JOBS))
            wait_for(lambda: len(query(dsn, "read_stints")) >= JOBS, "the last job", every_s=0.5)
        return distances(query(dsn, "read_stints")[WARM_UP_JOBS:])


def distances(starts: Sequence[tuple[int, int]]) -> Distances:
    """Tell apart, in the order of the starts (process, nanoseconds), the distances at which the process changes."""
    found = Distances([], [])
    for (before, before_ns), (after, after_ns) in pairwise(starts):
        (found.within if before == after else found.at_change).append((after_ns - before_ns) / 1e6)
    return found


if __name__ == "__main__":
    main()
