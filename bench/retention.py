"""Retention of 5,000,000 jobs beside a farm at work: what it costs for each job, how long anybody waits; and `farm jobs` before it.

The farm drains 300,000 no-ops at a time while its upkeep goes on with the old partition at its own pace, or rests: pairs that differ in
nothing else. Then the rest is copied, and the new partition takes the old one's place, again and again, while a farm drains and another
session reads a row of each table every two milliseconds: the longest that this took is the longest lock. Each hundredth old job has failed
and is kept, each thousandth waits. FARM_BENCH_JOBS is for trying it out with fewer, a million at the least.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg

from bench.database import SQL_DIRECTORY, Server, migrate, own_server, query
from bench.drain import analyze, backends_ns, enqueue_parked, started
from bench.environment import environment
from bench.host import wait_for
from bench.processes import cpu_used_ns, descendants
from bench.report import Figure, interval, print_report, print_table, spread
from farm.model import KEEP_ALL, Retention
from farm.store.prunes import PruneStore
from farm.store.reads import ReadStore
from farm.store.session import Session
from farm.supervisor.upkeep.retention import LOCK_MS_MAX, LOCK_MS_MIN

JOBS = int(os.environ.get("FARM_BENCH_JOBS", "5_000_000"))
LIVE_JOBS = 300_000 if JOBS >= 5_000_000 else 60_000
PAIRS = 10 if JOBS >= 5_000_000 else 2
SWAPS = 10
LOOKS = 20
COMMANDS = 5
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
PROBE_EVERY_S = 0.002
WEEK = Retention(7 * DAY_S, 30 * DAY_S, 30 * DAY_S)


class Waits(NamedTuple):
    """How long anybody waited while partitions changed places, in milliseconds."""

    held: list[float]
    """A statement of another session, the longest one during each change."""
    free: float
    """The longest one of as long a time without."""
    tries: int


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server, server.database(jobs=JOBS, owner="finished", fill=_fill) as dsn:
        found = environment(server.dsn)
        print(f"\nretention: {JOBS:,} old jobs, {PAIRS} pairs of {LIVE_JOBS:,} jobs", flush=True)
        session = Session(dsn, application_name="bench", deadline_s=60.0)
        sql_ms, command_s = measure_reads(session, dsn)
        store = PruneStore(session)
        if not (store.begin_next(0.0) and store.begin_due(WEEK)):
            raise RuntimeError("there is nothing to prune: this is no measurement")
        pairs = [measure_pair(server, dsn, turned=bool(number % 2)) for number in range(PAIRS)]
        copied = query(dsn, "count_copied")[0][0]
        if not 0 < copied < 1:
            raise RuntimeError("the old partition was copied before the pairs were over, or never begun: this is no measurement")
        waits = measure_waits(server, dsn, store)
        session.close()
    ratios = [with_it / without for with_it, without in pairs]
    print_table(
        ("pair", "with: CPU us/job", "without", "ratio"),
        [(str(number), f"{one:.2f}", f"{other:.2f}", f"{one / other:.3f}") for number, (one, other) in enumerate(pairs, 1)],
    )
    print(f"{SWAPS} changes in {waits.tries} tries; without one the longest statement took {waits.free:.1f} ms")
    figures = [
        Figure(name="CPU per job with retention / without", value=median(ratios), unit="", must=1.1, aim=1.03),
        Figure(name="longest wait, median of changes", value=median(waits.held), unit="ms", must=50, aim=10),
        Figure(name="longest wait of all", value=max(waits.held), unit="ms", must=50, aim=10),
        Figure(name="farm jobs: SQL", value=max(sql_ms.values()), unit="ms", must=50, aim=10),
        Figure(name="farm jobs: in all", value=command_s, unit="s", must=0.5, aim=0.5),
    ]
    bounds = interval(ratios) if len(ratios) > 2 else (min(ratios), max(ratios))
    details = {
        "ratio": spread(ratios),
        "interval": bounds,
        "waits_ms": spread(waits.held),
        "free_ms": waits.free,
        "reads_ms": sql_ms,
        "copied": copied,
    }
    print_report("retention", figures, environment=found, details=details)


def _fill(dsn: str, jobs: int) -> None:
    migrate(dsn)
    query(dsn, "fill_finished", {"jobs": jobs})


def measure_reads(session: Session, dsn: str) -> tuple[dict[str, float], float]:
    """Return what the lists of `farm jobs` take of SQL, in ms by state, and the whole command, in seconds: medians."""
    reads = ReadStore(session)
    sql_ms = {}
    for state in (None, "succeeded", "failed", "scheduled"):
        sql_ms[state or "any"] = median(_timed(partial(reads.jobs, state)) for _ in range(LOOKS)) * 1000
    command = [str(Path(sys.executable).with_name("farm")), "jobs", "--dsn", dsn]
    run = partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
    return sql_ms, median(_timed(run) for _ in range(COMMANDS))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure_pair(server: Server, dsn: str, *, turned: bool) -> tuple[float, float]:
    """Return the CPU for a job, in us, with retention going on and with it resting; turned: the other way round."""
    found = {pruning: _measure_cpu(server, dsn, pruning=pruning) for pruning in (not turned, turned)}
    return found[True], found[False]


def _measure_cpu(server: Server, dsn: str, *, pruning: bool) -> float:
    enqueue_parked(dsn, LIVE_JOBS)
    analyze(dsn)
    query_one(dsn, "rest_pruning", 0.0 if pruning else HOUR_S)
    with started(server, dsn) as (host,):
        farm = descendants(host.pid)
        before = sum(backends_ns(dsn).values()) + sum(cpu_used_ns(farm).values())
        query(dsn, "release_parked")
        wait_for(partial(_is_done, dsn), "the last commit", every_s=0.1)
        used = sum(backends_ns(dsn).values()) + sum(cpu_used_ns(farm).values()) - before
        query(dsn, "park_jobs")
    return used / LIVE_JOBS / 1e3


def _is_done(dsn: str) -> bool:
    return not query(dsn, "count_ready")[0][0] and not query(dsn, "count_leases")[0][0]


def query_one(dsn: str, name: str, rest_s: float) -> None:
    """Run a statement of bench/sql that takes so many seconds and returns nothing."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((SQL_DIRECTORY / f"{name}.sql").read_bytes(), {"rest_s": rest_s})


def measure_waits(server: Server, dsn: str, store: PruneStore) -> Waits:
    """Have partitions change places, the first of them the old one, and time what another session does meanwhile."""
    held, tries = [], 0
    query_one(dsn, "rest_pruning", HOUR_S)
    enqueue_parked(dsn, LIVE_JOBS * 2)
    with started(server, dsn), _probing(dsn) as probes:
        query(dsn, "release_parked")
        for _change in range(SWAPS):
            while store.go_on(10_000, 1.0).state == "copying":
                pass
            began, locked = time.perf_counter(), 0
            while store.finish(min(LOCK_MS_MAX, LOCK_MS_MIN << min(locked, 8))) == "locked":
                locked += 1
                time.sleep(0.25)
            held.append(_longest(probes, began))
            tries += locked + 1
            while store.drop():
                pass
            # What is left of it takes its own place: the same again, with less to copy.
            oldest = store.partitions()[0]
            while not store.begin(oldest, oldest, KEEP_ALL):
                time.sleep(0.1)
        free_from = time.perf_counter()
        time.sleep(5.0)
        free = _longest(probes, free_from)
    return Waits(held, free, tries)


def _longest(probes: list[tuple[float, float]], since: float) -> float:
    """Return how long the longest statement since then took, in ms; the one that was under way is waited for."""
    time.sleep(0.1)
    return max((took for at, took in list(probes) if at >= since), default=0.0) * 1000


@contextmanager
def _probing(dsn: str) -> Iterator[list[tuple[float, float]]]:
    """Read the tables again and again; gives when each statement ended, and how long it took."""
    probes: list[tuple[float, float]] = []
    stop = threading.Event()

    def probe() -> None:
        statement = (SQL_DIRECTORY / "probe_tables.sql").read_bytes()
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.is_set():
                began = time.perf_counter()
                connection.execute(statement)
                ended = time.perf_counter()
                probes.append((ended, ended - began))
                time.sleep(PROBE_EVERY_S)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
