"""Bulk enqueue: `client.enqueue_many` against bare COPY of the same rows.

Bare is two COPYs of ready-made binary buffers, farm.job and farm.ready, in one transaction: no check, no packing, no ids taken, nobody
woken. Both fill databases that are alike, in pairs, who begins taking turns; connections are open before, and the clock runs from the
call to the end of the commit. The jobs are made while they are enqueued, as an application would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from struct import Struct
from typing import Any

import orjson
import psycopg

from bench.bare_loops import CLASS_ID, COPY_HEAD, COPY_TAIL
from bench.database import ARGS, NOOP, Server, own_server, query
from bench.environment import environment
from bench.report import Figure, print_report, print_table, spread
from farm.client import Client
from farm.model import PRIORITY_DEFAULT
from farm.store.statements import load

JOBS = 200_000
PAIRS = 7
FILLED_JOBS = 1000
"""In the database before: its class is made, its pages are warm, and their ids are below those of the bare rows."""
TASK, TEXT = NOOP.encode(), orjson.dumps(ARGS)
JOB = Struct(f">hiiihiiii{len(TASK)}siB{len(TEXT)}siq")
"""A row of farm.job, its columns as copy_jobs.sql names them; -1 stands for null."""
READY = Struct(">hihiiihiq")


def main() -> None:
    """Run the measurement and print it."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nbulk_enqueue: {JOBS:,} jobs `{NOOP}`, args {len(TEXT)} bytes, one transaction, {PAIRS} pairs", flush=True)
        buffers = make_buffers()
        ways: dict[str, Callable[[str], float]] = {"farm": enqueue, "bare": lambda dsn: copy(dsn, buffers)}
        for way in ways.values():
            measure(server, way)
        pairs = [measure_pair(server, ways, turned=bool(number % 2)) for number in range(PAIRS)]
        ratios = [pair["farm"] / pair["bare"] for pair in pairs]
        print_table(
            ("pair", "enqueue_many jobs/s", "bare COPY jobs/s", "ratio"),
            [
                (str(n), f"{pair['farm']:,.0f}", f"{pair['bare']:,.0f}", f"{pair['farm'] / pair['bare']:.3f}")
                for n, pair in enumerate(pairs, 1)
            ],
        )
        print(f"ratio {median(ratios):.3f}, minimum {min(ratios):.3f}, maximum {max(ratios):.3f}")
        details = {
            "ratio": spread(ratios),
            "enqueue_many_jobs_per_s": spread([pair["farm"] for pair in pairs]),
            "bare_jobs_per_s": spread([pair["bare"] for pair in pairs]),
        }
        figure = Figure(name="bulk enqueue / bare COPY", value=median(ratios), unit="", must=0.6, aim=0.9, more_is_better=True)
        print_report("bulk_enqueue", [figure], environment=found, details=details)


def measure_pair(server: Server, ways: dict[str, Callable[[str], float]], *, turned: bool) -> dict[str, float]:
    """Measure each way once; returns jobs a second."""
    order = sorted(ways, reverse=turned)
    return {name: measure(server, ways[name]) for name in order}


def measure(server: Server, way: Callable[[str], float]) -> float:
    """Fill a fresh database in one way; returns jobs a second."""
    with server.database(jobs=FILLED_JOBS) as dsn:
        elapsed_s = way(dsn)
        ready = query(dsn, "count_ready")[0][0]
        if ready < FILLED_JOBS + JOBS:
            raise RuntimeError(f"{ready:,} jobs are ready: this is no measurement")
        return JOBS / elapsed_s


def enqueue(dsn: str) -> float:
    """File the jobs as an application does; returns the seconds that it took."""
    with Client(dsn) as client:
        client.enqueue_many([{"task": NOOP}])
        began = time.perf_counter()
        client.enqueue_many(jobs())
        return time.perf_counter() - began


def jobs() -> Iterator[dict[str, Any]]:
    for _ in range(JOBS):
        yield {"task": NOOP, "args": {"customer": 123456, "message": "hello", "tags": ["a", "b"], "n": 1}}


def copy(dsn: str, buffers: dict[str, bytes]) -> float:
    """Send the buffers; returns the seconds that it took."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        for name, rows in buffers.items():
            with cursor.copy(load(name)) as sink:
                sink.write(rows)
        connection.commit()
        return time.perf_counter() - began


def make_buffers() -> dict[str, bytes]:
    """Return what each COPY sends."""
    ids = range(FILLED_JOBS + 1, FILLED_JOBS + 1 + JOBS)
    job = [JOB.pack(8, 4, CLASS_ID, 2, PRIORITY_DEFAULT, -1, -1, -1, len(TASK), TASK, len(TEXT) + 1, 1, TEXT, 8, job_id) for job_id in ids]
    ready = [READY.pack(4, 2, 0, 4, CLASS_ID, 2, PRIORITY_DEFAULT, 8, job_id) for job_id in ids]
    return {name: b"".join((COPY_HEAD, *rows, COPY_TAIL)) for name, rows in (("copy_jobs", job), ("copy_ready", ready))}


if __name__ == "__main__":
    main()
