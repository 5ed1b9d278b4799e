"""What it costs that somebody looks: CPU time for a job with a screen and scrapes against without, and the supervisor's part of it.

One farm of two subworkers, no-op jobs. Its lane is paused while jobs are enqueued, and resumed. While they run, watchers come and go
twice a second: `farm top`, which looks four times a second on a pseudo terminal, is stopped and continued, and `/metrics` is read once
in each stretch that is watched, thirty times as often as Prometheus would. So both are measured in the same moments of the same
machine. Counted is the CPU time of the whole farm, its PostgreSQL and the screen, and the jobs that were started. Stretches differ by
far more than watchers cost; so what those take by themselves is counted as well: the screen while the farm is at its limit, and on a
farm that has nothing to do what the supervisor takes more.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from random import random
from statistics import median
from urllib.request import urlopen

from bench.database import NOOP, Server, own_server, postmaster_pid
from bench.environment import environment
from bench.host import Host, config, wait_for
from bench.processes import cpu_used_ns, descendants
from bench.report import Figure, interval, print_report, print_table, spread
from bench.screen import Top
from farm.client import Client
from farm.control import Connection, connect

JOBS, DRAINS, WARM_UP = 1_200_000, 3, 10_000
STRETCH_S = 0.5
SCRAPE_S = 1.0
IDLE_S = 10.0
LANE = "default"


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        settings = config("embedded", subworkers="2") + "metrics: {port: 0}\n"
        with Host(server.home, settings) as host, Client(server.dsn) as client:
            found = environment(server.dsn)
            host.wait_ready()
            print(f"\nwatched: {DRAINS} x {JOBS:,} jobs `{NOOP}`, CPU for a job while somebody looks and while nobody does", flush=True)
            with connect(server.home) as farm:
                bench = Bench(server, host, client, farm)
                bench.run(WARM_UP)
                pairs = [pair for _ in range(DRAINS) for pair in bench.run(JOBS)]
            seen, unseen = bench.idle(watched=True), bench.idle(watched=False)
    ratios = [watched / alone for watched, alone in pairs]
    low, high = interval(ratios)
    print_table(
        ("pair", "watched us", "alone us", "ratio"), [(str(n), f"{a:.2f}", f"{b:.2f}", f"{a / b:.4f}") for n, (a, b) in enumerate(pairs, 1)]
    )
    share = bench.screen_ns / bench.watched_ns
    print(f"the screen took {100 * share:.2f} % of all CPU time while it was watched")
    print(f"ratio {median(ratios):.4f}, with 95 % between {low:.4f} and {high:.4f}")
    print(f"the supervisor of an idle farm: {seen:.3f} % of a core watched, {unseen:.3f} % alone")
    figures = [
        Figure(name="CPU for a job, watched / alone", value=median(ratios), unit="x", must=1.02, aim=1.005),
        Figure(name="CPU for a job and for the screen by itself, to that for a job", value=1 / (1 - share), unit="x", must=1.02, aim=1.005),
        Figure(name="what a screen and scrapes take of the supervisor", value=seen - unseen, unit="% of a core", must=1.0, aim=0.3),
    ]
    details = {"ratio": {**spread(ratios), "low": low, "high": high}, "idle_percent": {"watched": seen, "alone": unseen}}
    print_report("watched", figures, environment=found, details=details)


class Bench:
    """One farm."""

    def __init__(self, server: Server, host: Host, client: Client, farm: Connection) -> None:
        self._server = server
        self._host = host
        self._client = client
        self._farm = farm
        address = re.search(r"http://[^ ]+/metrics", host.log())
        assert address is not None
        self._page = address[0]
        self.screen_ns = self.watched_ns = 0
        """CPU time of the screen, and of everything, in all stretches that were watched."""

    def run(self, jobs: int) -> list[tuple[float, float]]:
        """Run so many jobs; returns the CPU time for each in stretches that were watched and in their neighbours, in microseconds."""
        self._farm.ask("pause", lanes=[LANE])
        self._client.enqueue_many({"task": NOOP} for _ in range(jobs))
        pairs: list[tuple[float, float]] = []
        with Top(self._server.home, 2) as top:
            wait_for(top.has_drawn, "the screen")
            pids = [*descendants(self._host.pid), *descendants(postmaster_pid(self._server.home)), top.pid]
            end = self._started() + jobs
            self._farm.ask("resume", lanes=[LANE])
            # What the first of them need once is no part of it.
            self._stretch(pids, top, watched=False)
            while end - self._started() > jobs // 8:
                watched_first = random() < 0.5
                first = self._stretch(pids, top, watched=watched_first)
                second = self._stretch(pids, top, watched=not watched_first)
                pairs.append((first, second) if watched_first else (second, first))
            os.kill(top.pid, signal.SIGCONT)
            wait_for(lambda: self._started() == end, "the last job")
        return pairs

    def _stretch(self, pids: list[int], top: Top, *, watched: bool) -> float:
        """Let jobs run for a while; returns the CPU time for each that was started, in microseconds."""
        os.kill(top.pid, signal.SIGCONT if watched else signal.SIGSTOP)
        started, before = self._started(), cpu_used_ns(pids)
        if watched:
            self._read_page()
        time.sleep(STRETCH_S)
        after, jobs = cpu_used_ns(pids), self._started() - started
        # Whoever has ended meanwhile, such as one that vacuums, is left out.
        used = {pid: after[pid] - before[pid] for pid in pids if after[pid] >= before[pid]}
        if watched:
            self.screen_ns += used.get(top.pid, 0)
            self.watched_ns += sum(used.values())
        return sum(used.values()) / 1e3 / max(1, jobs)

    def _started(self) -> int:
        return sum(lane["started"] for lane in self._farm.ask("status")["lanes"])

    def idle(self, *, watched: bool) -> float:
        """Return the share of a core that the supervisor takes while there is nothing to do, in percent."""
        with self._watching() if watched else nullcontext():
            time.sleep(1.0)
            began, before = time.monotonic(), cpu_used_ns([self._host.pid])[self._host.pid]
            time.sleep(IDLE_S)
            return (cpu_used_ns([self._host.pid])[self._host.pid] - before) / 1e7 / (time.monotonic() - began)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Have a screen and scrapes."""
        over = threading.Event()
        scrapes = threading.Thread(target=self._scrape, args=(over,))
        with Top(self._server.home, 2) as top:
            wait_for(top.has_drawn, "the screen")
            scrapes.start()
            try:
                yield
            finally:
                over.set()
                scrapes.join()

    def _scrape(self, over: threading.Event) -> None:
        while not over.wait(SCRAPE_S):
            self._read_page()

    def _read_page(self) -> None:
        with urlopen(self._page) as page:
            page.read()


if __name__ == "__main__":
    main()
