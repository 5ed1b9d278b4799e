"""Jobs that sleep: does farm keep all its slots busy? Many at once on two loops, and one at a time in many subworkers.

What is possible is that every slot sleeps all the time. Judged is the steady part of a run, without the first and last jobs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host
from bench.report import Figure, print_report, print_table
from farm.client import Client

ASYNC_JOBS, ASYNC_EDGE, ASYNC_S = 200_000, 2_000, 0.1
"""Jobs of asyncio:sleep, how many are left out at each end, and how long each sleeps."""
ASYNC_SUBWORKERS, ASYNC_CONCURRENCY = 2, 500
PLAIN_JOBS, PLAIN_EDGE, PLAIN_S = 960, 48, (0.3, 0.7)
"""Jobs of time:sleep, how many are left out at each end, and between which bounds each sleeps."""
PLAIN_SUBWORKERS = 24
SEED = 7


class Sleep(NamedTuple):
    """One job, in seconds."""

    started: float
    finished: float
    asked_s: float


class Steady(NamedTuple):
    """What the steady part of a run came to."""

    rate: float
    """Jobs started in a second."""
    share: float
    """Of the time of all slots: how much was spent in the sleeps that were asked for."""
    late_s: float
    """How much longer than asked a job took from its start to its end, on average."""


def main() -> None:
    """Run both measurements and print them."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nsleeps: {ASYNC_JOBS:,} jobs `asyncio:sleep` of {ASYNC_S} s, {PLAIN_JOBS:,} jobs `time:sleep` of {PLAIN_S} s", flush=True)
        many, plain = measure_async(server), measure_plain(server)
        possible = ASYNC_SUBWORKERS * ASYNC_CONCURRENCY / ASYNC_S
        print_table(
            ("task", "subworkers x jobs at once", "jobs/s", "share of the slots' time", "longer than asked"),
            [
                _row("asyncio:sleep", f"{ASYNC_SUBWORKERS} x {ASYNC_CONCURRENCY}", many),
                _row("time:sleep", f"{PLAIN_SUBWORKERS} x 1", plain),
            ],
        )
        figures = [
            Figure(name=f"asyncio:sleep / {possible:,.0f}/s", value=many.rate / possible, unit="", must=0.9, aim=0.98, more_is_better=True),
            Figure(name="time:sleep / ideal", value=plain.share, unit="", must=0.97, aim=0.99, more_is_better=True),
        ]
        print_report("sleeps", figures, environment=found, details={"asyncio": many._asdict(), "time": plain._asdict()})


def measure_async(server: Server) -> Steady:
    """Many at once in each of two subworkers."""
    sleeps = _run(server, "asyncio:sleep", [ASYNC_S] * ASYNC_JOBS, ASYNC_SUBWORKERS, ASYNC_CONCURRENCY)
    return steady_part(sleeps, ASYNC_EDGE, ASYNC_SUBWORKERS * ASYNC_CONCURRENCY)


def measure_plain(server: Server) -> Steady:
    """One at a time in each of many subworkers."""
    chance = random.Random(SEED)
    sleeps = _run(server, "time:sleep", [chance.uniform(*PLAIN_S) for _ in range(PLAIN_JOBS)], PLAIN_SUBWORKERS, 1)
    return steady_part(sleeps, PLAIN_EDGE, PLAIN_SUBWORKERS)


def steady_part(sleeps: Sequence[Sleep], edge: int, slots: int) -> Steady:
    """Judge what lies between the start of one of the first jobs and that of one of the last. sleeps: in the order of their starts."""
    begin, end = sleeps[edge].started, sleeps[-edge].started
    inner = sleeps[edge:-edge]
    asleep_s = sum(max(0.0, min(end, one.started + one.asked_s) - max(begin, one.started)) for one in sleeps)
    late_s = sum(one.finished - one.started - one.asked_s for one in inner) / len(inner)
    return Steady(len(inner) / (end - begin), asleep_s / slots / (end - begin), late_s)


def _run(server: Server, task: str, asked: Sequence[float], subworkers: int, concurrency: int) -> list[Sleep]:
    """Drain a fresh database that holds a job for each of these sleeps."""
    with server.database(jobs=0) as dsn:
        with Client(dsn) as client:
            client.enqueue_many({"task": task, "args": [one]} for one in asked)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        with Host(server.home, _config(dsn, task, subworkers, concurrency), burst=True) as host:
            host.wait_end()
        sleeps = [Sleep(*row) for row in query(dsn, "read_sleeps")]
    if len(sleeps) != len(asked):
        raise RuntimeError(f"{len(sleeps):,} of {len(asked):,} jobs succeeded: this is no measurement")
    return sleeps


def _config(dsn: str, task: str, subworkers: int, concurrency: int) -> str:
    """Everything else stands at its defaults."""
    return (
        f'database: "{dsn}"\n'
        f'runners: {{python: {{allow: ["{task}"]}}}}\n'
        f'lanes: {{default: {{queues: ["*"], subworkers: {subworkers}, concurrency: {concurrency}}}}}\n'
    )


def _row(task: str, slots: str, steady: Steady) -> tuple[str, ...]:
    return (task, slots, f"{steady.rate:,.0f}", f"{steady.share:.3f}", f"{steady.late_s * 1000:.2f} ms")


if __name__ == "__main__":
    main()
