"""Jobs that sleep: does farm keep all its slots busy? Many in flight on two loops, and one at a time in many subworkers.

Of what is possible: as many sleeps as there are slots, one after the other without a gap. Judged is the steady part, between the
start of the first job that follows a start-up and the last one before the slots run empty.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host
from bench.report import Figure, print_report, print_table
from farm.client import Client

ASYNC_JOBS, ASYNC_EDGE, ASYNC_S = 200_000, 2_000, 0.1
"""Jobs of asyncio:sleep, how many are left out at each end, and how long each sleeps."""
ASYNC_SUBWORKERS, ASYNC_CONCURRENCY = 2, 500
PLAIN_JOBS, PLAIN_EDGE, PLAIN_S = 960, 24, (0.3, 0.7)
"""Jobs of time:sleep, how many are left out at each end, and between which bounds each sleeps."""
PLAIN_SUBWORKERS = 24
SEED = 7


class Steady(NamedTuple):
    """The steady part of a run."""

    jobs: int
    elapsed_s: float
    slot_s: float
    """Seconds that its jobs took together, from start to end."""


def main() -> None:
    """Run both measurements and print them."""
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nsleeps: {ASYNC_JOBS:,} jobs `asyncio:sleep` of {ASYNC_S} s, {PLAIN_JOBS:,} jobs `time:sleep` of {PLAIN_S} s", flush=True)
        many, many_share = measure_async(server)
        plain, plain_share = measure_plain(server)
        print_table(
            ("jobs", "slots", "jobs/s", "of what is possible", "a job takes"),
            [
                _row("asyncio:sleep", ASYNC_SUBWORKERS, ASYNC_CONCURRENCY, many, many_share),
                _row("time:sleep", PLAIN_SUBWORKERS, 1, plain, plain_share),
            ],
        )
        figures = [
            Figure(name="asyncio:sleep / possible", value=many_share, unit="", must=0.9, aim=0.98, more_is_better=True),
            Figure(name="time:sleep / possible", value=plain_share, unit="", must=0.97, aim=0.99, more_is_better=True),
        ]
        details: dict[str, Any] = {"asyncio": many._asdict(), "time": plain._asdict()}
        print_report("sleeps", figures, environment=found, details=details)


def measure_async(server: Server) -> tuple[Steady, float]:
    """Many in flight: the rate against slots divided by the length of a sleep."""
    steady = _run(server, "asyncio:sleep", [ASYNC_S] * ASYNC_JOBS, ASYNC_EDGE, ASYNC_SUBWORKERS, ASYNC_CONCURRENCY)
    possible = ASYNC_SUBWORKERS * ASYNC_CONCURRENCY / ASYNC_S
    return steady, steady.jobs / steady.elapsed_s / possible


def measure_plain(server: Server) -> tuple[Steady, float]:
    """One at a time: the mean of all sleeps, a slot's share of the elapsed time, against the time from one start to the next."""
    chance = random.Random(SEED)
    sleeps = [chance.uniform(*PLAIN_S) for _ in range(PLAIN_JOBS)]
    steady = _run(server, "time:sleep", sleeps, PLAIN_EDGE, PLAIN_SUBWORKERS, 1)
    ideal_s = sum(sleeps[PLAIN_EDGE:-PLAIN_EDGE]) / PLAIN_SUBWORKERS
    return steady, ideal_s / steady.elapsed_s


def _run(server: Server, task: str, sleeps: Sequence[float], edge: int, subworkers: int, concurrency: int) -> Steady:
    """Drain a fresh database that holds a job for each of these sleeps."""
    with server.database(jobs=0) as dsn:
        with Client(dsn) as client:
            client.enqueue_many({"task": task, "args": [one]} for one in sleeps)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        with Host(server.home, _config(dsn, task, subworkers, concurrency), burst=True) as host:
            host.wait_end()
        return steady_part(query(dsn, "read_run_times"), len(sleeps), edge)


def _config(dsn: str, task: str, subworkers: int, concurrency: int) -> str:
    """Everything else stands at its defaults."""
    return (
        f'database: "{dsn}"\n'
        f'runners: {{python: {{allow: ["{task}"]}}}}\n'
        f'lanes: {{default: {{queues: ["*"], subworkers: {subworkers}, concurrency: {concurrency}}}}}\n'
    )


def steady_part(times: Sequence[tuple[float, ...]], jobs: int, edge: int) -> Steady:
    """Cut off so many jobs at either end. times: (started, finished) of each, in the order of the starts."""
    if len(times) != jobs:
        raise RuntimeError(f"{len(times):,} of {jobs:,} jobs succeeded: this is no measurement")
    inner = times[edge:-edge]
    return Steady(len(inner), times[-edge][0] - times[edge][0], sum(finished - started for started, finished in inner))


def _row(name: str, subworkers: int, concurrency: int, steady: Steady, share: float) -> tuple[str, ...]:
    rate, taken_ms = steady.jobs / steady.elapsed_s, steady.slot_s / steady.jobs * 1000
    return (name, f"{subworkers} x {concurrency}", f"{rate:,.0f}", f"{share:.3f}", f"{taken_ms:.2f} ms")


if __name__ == "__main__":
    main()
