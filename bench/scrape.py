"""How long a scrape of /metrics takes of a farm with 50 lanes and 200 tasks, from connecting to the last byte.

Before each scrape a job of every task ends, so that next to nothing of the page before it can be used again. Between two scrapes without
a job between them most of the page is kept; that is printed beside it. What the supervisor itself takes to make a page is told by the
page after it.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.jobs.many import TASKS
from bench.report import Figure, percentile, print_report, print_table
from farm.client import Client
from farm.metrics.server import REST_S_MAX

LANES = 50
ROUNDS, ROUNDS_QUICK = 40, 10
JOBS_DIR = Path(__file__).with_name("jobs")
QUEUES = [f"lane-{number:02}" for number in range(LANES)]
JOBS = [{"task": f"many:task_{number:03}", "queue": QUEUES[number % LANES]} for number in range(TASKS)]


def main(*, quick: bool = False) -> None:
    """Run the measurement and print it. quick: fewer rounds."""
    rounds = ROUNDS_QUICK if quick else ROUNDS
    lanes = "{" + ", ".join(f"{queue}: {{queues: [{queue}], subworkers: 1, memory: 128MB}}" for queue in QUEUES) + "}"
    with own_server() as server:
        found = environment(server.dsn)
        settings = config(server.dsn, allow="many:*", path=str(JOBS_DIR), lanes=lanes, overcommit="true")
        with Host(server.home, f"{settings}metrics: {{port: 0}}\n") as host:
            host.wait_ready()
            print(f"\nscrape: {LANES} lanes, {TASKS} tasks, {rounds} scrapes of each kind", flush=True)
            page = Page(host)
            wait_for(lambda: page.number("farm_ready") == 1, "all lanes to serve", every_s=0.2)
            busy, made_busy = _busy(server, page, rounds)
            still, made_still = _still(page, rounds)
            size, lines = len(page.last), page.last.count(b"\n")
    rows = [_row("jobs of every task since", busy, made_busy), _row("nothing since", still, made_still)]
    print_table(("scrapes, ms", "median", "p95", "worst", "made in, median", "worst"), rows)
    print(f"a page has {lines:,} lines and {size / 1000:,.0f} kB")
    figure = Figure(name="a scrape, jobs of every task since", value=median(busy) * 1000, unit="ms", must=10, aim=4)
    details = {"still_ms": round(median(still) * 1000, 3), "made_ms": round(median(made_busy) * 1000, 3), "bytes": size, "lines": lines}
    print_report("scrape", [figure], environment=found, details=details)


class Page:
    """The page of a farm, asked for through a plain socket: what a client costs is not to count."""

    def __init__(self, host: Host) -> None:
        match = re.search(r"metrics are at http://([^:]+):(\d+)/metrics", host.log())
        assert match is not None, host.log()
        self._address = match[1], int(match[2])
        self.last = b""

    def scrape(self) -> float:
        """Ask once; returns the seconds until the last byte."""
        parts = []
        begun = time.perf_counter()
        with socket.create_connection(self._address) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: farm\r\n\r\n")
            while data := client.recv(1 << 20):
                parts.append(data)
        taken_s = time.perf_counter() - begun
        self.last = b"".join(parts)
        return taken_s

    def number(self, name: str) -> float:
        """Ask, and return the number of a line that begins so; 0 if there is none."""
        self.scrape()
        match = re.search(rf"^{re.escape(name)} (\S+)$".encode(), self.last, re.MULTILINE)
        return 0.0 if match is None else float(match[1])


def _busy(server: Server, page: Page, rounds: int) -> tuple[list[float], list[float]]:
    """Scrape after jobs of every task have ended: the seconds of each scrape, and those that the supervisor took for it."""
    taken, made = [], []
    with Client(server.dsn) as client:
        for number in range(1, rounds + 1):
            client.enqueue_many(JOBS)
            _wait_for_ends(server, number * len(JOBS))
            taken.append(page.scrape())
            made.append(page.number("farm_scrape_seconds"))
    return taken, made


def _wait_for_ends(server: Server, jobs: int) -> None:
    wait_for(lambda: bool(query(server.dsn, "count_ended")[0][0] >= jobs), "the jobs to end", every_s=0.05)


def _still(page: Page, rounds: int) -> tuple[list[float], list[float]]:
    taken, made = [], []
    for _ in range(rounds):
        # Who asks without a pause has to wait.
        time.sleep(REST_S_MAX)
        taken.append(page.scrape())
        made.append(page.number("farm_scrape_seconds"))
    return taken, made


def _row(name: str, taken: Sequence[float], made: Sequence[float]) -> tuple[str, ...]:
    figures = (median(taken), percentile(taken, 95), max(taken), median(made), max(made))
    return (name, *(f"{figure * 1000:.2f}" for figure in figures))


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
