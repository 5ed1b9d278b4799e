"""What it costs that somebody looks: CPU time for a job with a screen and scrapes against without, and the supervisor's part of it.

One farm of two subworkers, no-op jobs. Its lane is paused while jobs are enqueued, and what is counted begins when it is resumed and ends
when the last outcome is committed: the CPU time of the whole farm and of its PostgreSQL, and with watchers that of `farm top` too, which
looks four times a second on a pseudo terminal. `/metrics` is read once a second, fifteen times as often as Prometheus would. Pairs, in
turned order every other time. Then the same watchers on a farm that has nothing to do, for what they cost the supervisor.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

JOBS, PAIRS, WARM_UP = 40_000, 10, 10_000
SCRAPE_S = 1.0
LOOK_S = 0.05
IDLE_S = 10.0
LANE = "default"


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        settings = config("embedded", subworkers="2") + "metrics: {port: 0}\n"
        with Host(server.home, settings) as host, Client(server.dsn) as client:
            found = environment(server.dsn)
            host.wait_ready()
            print(f"\nwatched: {JOBS:,} jobs `{NOOP}`, {PAIRS} pairs, CPU for a job with watchers and without", flush=True)
            with connect(server.home) as farm:
                bench = Bench(server, host, client, farm)
                bench.run(WARM_UP, watched=False)
                pairs = [bench.pair(turned=bool(number % 2)) for number in range(PAIRS)]
            seen, unseen = bench.idle(watched=True), bench.idle(watched=False)
    ratios = [watched / alone for watched, alone in pairs]
    low, high = interval(ratios)
    print_table(
        ("pair", "watched us", "alone us", "ratio"), [(str(n), f"{a:.2f}", f"{b:.2f}", f"{a / b:.4f}") for n, (a, b) in enumerate(pairs, 1)]
    )
    print(f"ratio {median(ratios):.4f}, with 95 % between {low:.4f} and {high:.4f}")
    print(f"the supervisor of an idle farm: {seen:.3f} % of a core watched, {unseen:.3f} % alone")
    figures = [
        Figure(name="CPU for a job, watched / alone", value=median(ratios), unit="x", must=1.02, aim=1.005),
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
        self._given = 0

    def pair(self, *, turned: bool) -> tuple[float, float]:
        """Return the CPU time for a job with watchers and without, in microseconds; measured the other way round if turned."""
        first = self.run(JOBS, watched=not turned)
        second = self.run(JOBS, watched=turned)
        return (second, first) if turned else (first, second)

    def run(self, jobs: int, *, watched: bool) -> float:
        """Run so many jobs; returns the CPU time for each, in microseconds."""
        self._farm.ask("pause", lanes=[LANE])
        self._client.enqueue_many({"task": NOOP} for _ in range(jobs))
        # The farm hears of its last commits a little late: of all that it was ever given, so that none of them is counted with these.
        self._given += jobs
        with self._watching(watched) as watchers:
            pids = descendants(self._host.pid) + descendants(postmaster_pid(self._server.home)) + watchers
            before = cpu_used_ns(pids)
            self._farm.ask("resume", lanes=[LANE])
            wait_for(lambda: self._farm.ask("status")["settled"] >= self._given, "the last outcome", every_s=LOOK_S)
            after = cpu_used_ns(pids)
        return sum(after[pid] - before[pid] for pid in pids) / 1e3 / jobs

    def idle(self, *, watched: bool) -> float:
        """Return the share of a core that the supervisor takes while there is nothing to do, in percent."""
        with self._watching(watched):
            time.sleep(1.0)
            began, before = time.monotonic(), cpu_used_ns([self._host.pid])[self._host.pid]
            time.sleep(IDLE_S)
            return (cpu_used_ns([self._host.pid])[self._host.pid] - before) / 1e7 / (time.monotonic() - began)

    @contextmanager
    def _watching(self, watched: bool) -> Iterator[list[int]]:
        """Have a screen and scrapes, if so; gives the processes that count as well."""
        if not watched:
            yield []
            return
        over = threading.Event()
        scrapes = threading.Thread(target=self._scrape, args=(over,))
        with Top(self._server.home, seen=b"2 of 2 subworkers") as top:
            wait_for(top.has_drawn, "the screen")
            scrapes.start()
            try:
                yield [top.pid]
            finally:
                over.set()
                scrapes.join()

    def _scrape(self, over: threading.Event) -> None:
        while not over.wait(SCRAPE_S):
            with urlopen(self._page) as page:
                page.read()


if __name__ == "__main__":
    main()
