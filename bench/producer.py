"""Enqueue and claim at once: a producer at full speed beside a farm at full speed. Printed, not judged.

The producer files jobs with `client.enqueue_many`, 10,000 in a transaction, one after the other, into the queue that the farm drains. Each
round is one database: first the farm alone drains what waits there, then the producer comes in, then the farm is stopped and the
producer goes on alone. Rates are from commit to commit within each of these stretches.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from statistics import median
from types import TracebackType
from typing import NamedTuple

from bench.database import ARGS, NOOP, Server, own_server, query
from bench.drain import PARKED, fill_parked, started
from bench.environment import environment
from bench.report import print_report, print_table, spread
from farm.client import Client

WAITING = 700_000
"""Jobs before the producer comes: more than the farm drains until then."""
BATCH = 10_000
STRETCH_S, SETTLE_S = 1.5, 0.5
"""Each stretch, and what is left out before it."""
ROUNDS = 2
ANSWER_S_MAX = 30.0


class Stretch(NamedTuple):
    """Seconds since 1970."""

    begin_s: float
    end_s: float


class Rates(NamedTuple):
    """Jobs a second."""

    claim_alone: float
    enqueue_alone: float
    claim: float
    enqueue: float

    @property
    def share(self) -> float:
        """Of the sum of both alone, what both come to at once."""
        return (self.claim + self.enqueue) / (self.claim_alone + self.enqueue_alone)


class Filed(NamedTuple):
    """A commit of the producer."""

    at_s: float
    jobs: int


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nproducer: jobs `{NOOP}`, {BATCH:,} in each enqueue, {ROUNDS} rounds of {STRETCH_S} s", flush=True)
        rounds = [measure(server) for _ in range(ROUNDS)]
        print_table(
            ("round", "farm alone jobs/s", "producer alone", "both: farm", "both: producer", "share of the sum"),
            [(str(number), *(f"{rate:,.0f}" for rate in one), f"{one.share:.3f}") for number, one in enumerate(rounds, 1)],
        )
        print(f"share {median([one.share for one in rounds]):.3f}")
        details = {name: spread([getattr(one, name) for one in rounds]) for name in (*Rates._fields, "share")}
        print_report("producer", [], environment=found, details=details)


def measure(server: Server) -> Rates:
    """Measure the farm alone, both, and the producer alone. Raises RuntimeError if the farm ran out of jobs."""
    with server.database(jobs=WAITING, owner=PARKED, fill=fill_parked) as dsn:
        with started(server, dsn):
            query(dsn, "release_parked")
            farm = _pass_stretch()
            with Producer(dsn) as beside:
                both = _pass_stretch()
            left = query(dsn, "count_ready")[0][0]
            query(dsn, "park_jobs")
        with Producer(dsn) as by_itself:
            alone = _pass_stretch()
        if left < BATCH:
            raise RuntimeError(f"only {left:,} jobs were left to claim: this is no measurement")
        return Rates(_settled(dsn, farm), enqueued(by_itself.filed, alone), _settled(dsn, both), enqueued(beside.filed, both))


class Producer:
    """A process that enqueues as fast as it can, as long as the context lasts."""

    def __init__(self, dsn: str) -> None:
        context = multiprocessing.get_context("fork")
        self._stop = context.Event()
        self._receiving, sending = context.Pipe(duplex=False)
        self._process = context.Process(target=_produce, args=(dsn, self._stop, sending), daemon=True)
        self.filed: list[Filed] = []
        """Its commits. To be read when the context has been left."""

    def __enter__(self) -> Producer:
        self._process.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._receiving.poll(ANSWER_S_MAX):
            self.filed = self._receiving.recv()
        self._process.join(ANSWER_S_MAX)
        self._process.kill()


def enqueued(filed: Sequence[Filed], stretch: Stretch) -> float:
    """Return jobs a second from the first to the last commit of a stretch, those of the first not included. Raises RuntimeError."""
    inside = [one for one in filed if stretch.begin_s <= one.at_s <= stretch.end_s]
    if len(inside) < 2:
        raise RuntimeError("the producer did not come to two commits: this is no measurement")
    return sum(one.jobs for one in inside[1:]) / (inside[-1].at_s - inside[0].at_s)


def _produce(dsn: str, stop: Event, sending: Connection) -> None:
    filed = []
    with Client(dsn) as client:
        while not stop.is_set():
            jobs = client.enqueue_many({"task": NOOP, "args": ARGS} for _ in range(BATCH))
            filed.append(Filed(time.time(), len(jobs)))
    sending.send(filed)


def _pass_stretch() -> Stretch:
    """Let what has just begun settle, and some time pass."""
    time.sleep(SETTLE_S)
    begin_s = time.time()
    time.sleep(STRETCH_S)
    return Stretch(begin_s, time.time())


def _settled(dsn: str, stretch: Stretch) -> float:
    """Return the jobs that the farm settled in a second of a stretch."""
    jobs, elapsed_s = query(dsn, "measure_span", stretch._asdict())[0]
    return float(jobs / elapsed_s)


if __name__ == "__main__":
    main()
