"""Start latency of a lane whose host drowns in other work, against the same lane on the same host with nothing else to do.

A farm has a lane `fast` with one subworker, and a lane for everything else with one for each core. The jobs of `fast` come one by one,
as in start_latency: gaps drawn from 15 to 45 ms, each waited for, the producer's own commit included. In stretches that take turns, the
other lane has nothing to do, or is saturated with jobs that need a processor for 5 ms each (judged), or with no-ops (printed).

The last rows are a farm of as many subworkers in one lane for everything: what it would be without a lane of its own.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from bench.database import NOOP, Server, migrate, own_server, query
from bench.drain import PARKED, started
from bench.environment import environment
from bench.host import wait_for
from bench.report import Figure, percentile, print_report, print_table, spread
from bench.start_latency import GAP_S, TASK, WARM_UP_JOBS, one_by_one
from farm.client import Client

ROUNDS, ROUNDS_QUICK = 8, 2
JOBS = 125
"""Of the fast queue, in one stretch of the judged pairs."""
NOOP_ROUNDS, NOOP_JOBS = 2, 30
"""Stretches with no-ops are short: those take up 200,000 of them a second."""
SINGLE_ROUNDS, SINGLE_JOBS = 2, 8
"""Without a lane of its own a job waits for what was claimed before it: few of them say enough."""
FAST, NOTHING, CPU, NOOPS = "fast", "", "cpu", "noops"
"""Queues; and that there is nothing else to do."""
WORDS = {NOTHING: "nothing else", CPU: "CPU jobs of 5 ms", NOOPS: "no-ops"}
SPIN, JOB_S = "farm.demo:spin", 0.005
BACKLOGS = {CPU: 25_000, NOOPS: 1_400_000}
"""More than is done of each."""
SEED = 5
SETTLE_S = 0.5
LOOK_EVERY_S = 0.02


class Stretch(NamedTuple):
    """Some jobs of the fast queue, and what was done beside them."""

    ms: list[float]
    """From the begin of each enqueue to the start of its job."""
    other_rate: float
    """Jobs of another queue that were claimed in a second."""

    @property
    def p99(self) -> float:
        return percentile(self.ms, 99)


class Bench:
    """A running farm, and the stretches that were measured on it."""

    def __init__(self, dsn: str, client: Client) -> None:
        self._dsn = dsn
        self._client = client
        self._gaps = random.Random(SEED)
        one_by_one(client, WARM_UP_JOBS, gaps=self._gaps, queue=FAST)

    def measure(self, jobs: int, beside: str) -> Stretch:
        """Enqueue so many jobs, one by one, while there is this to do besides. Raises RuntimeError if there was not enough of it."""
        if beside == NOTHING:
            return Stretch(one_by_one(self._client, jobs, gaps=self._gaps, queue=FAST).to_start, 0.0)
        params = {"queue": beside}
        query(self._dsn, "release_queue", params)
        time.sleep(SETTLE_S)
        before, begun = query(self._dsn, "count_queue", params)[0][0], time.monotonic()
        taken = one_by_one(self._client, jobs, gaps=self._gaps, queue=FAST)
        elapsed_s, after = time.monotonic() - begun, query(self._dsn, "count_queue", params)[0][0]
        query(self._dsn, "park_queue", params)
        wait_for(lambda: not query(self._dsn, "count_leases")[0][0], "what was claimed", every_s=LOOK_EVERY_S)
        if not after:
            raise RuntimeError(f"nothing was left to do in the queue {beside}: this is no measurement")
        return Stretch(taken.to_start, (before - after) / elapsed_s)


def main(*, quick: bool = False) -> None:
    """Run the measurement and print it. quick: fewer stretches."""
    rounds, cores = ROUNDS_QUICK if quick else ROUNDS, len(os.sched_getaffinity(0))
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nlanes: {rounds} pairs of {JOBS} jobs `{TASK}`, gaps of {GAP_S[0] * 1000:.0f}-{GAP_S[1] * 1000:.0f} ms", flush=True)
        own = measure_own(server, cores, rounds)
        single = measure_single(server, cores)
        rows = [_row(f"own lane, {WORDS[beside]}", stretches) for beside, stretches in own.items()]
        rows += [_row(f"one lane for all, {WORDS[beside]}", stretches) for beside, stretches in single.items()]
        print_table(("enqueue to start, ms", "jobs", "p50", "p90", "p99", "maximum", "other jobs/s"), rows)
        pairs = [busy.p99 / idle.p99 for idle, busy in zip(own[NOTHING], own[CPU], strict=True)]
        print("p99 busy / idle in each pair: " + ", ".join(f"{ratio:.2f}" for ratio in pairs))
        ratio = _p99(own[CPU]) / _p99(own[NOTHING])
        figure = Figure(name="p99 of a lane beside CPU jobs / on an idle farm", value=ratio, unit="x", must=2, aim=1.3)
        details = {
            "pairs": spread(pairs),
            "p99_ms": {
                lanes: {WORDS[beside]: _p99(stretches) for beside, stretches in measured.items()}
                for lanes, measured in (("own", own), ("single", single))
            },
        }
        print_report("lanes", [figure], environment=found, details=details)


def measure_own(server: Server, cores: int, rounds: int) -> dict[str, list[Stretch]]:
    """Measure a lane of its own, pair by pair, and then beside no-ops."""
    lanes = f'{{fast: {{queues: [{FAST}], subworkers: 1}}, default: {{queues: ["*"], subworkers: {cores}}}}}'
    stretches: dict[str, list[Stretch]] = {NOTHING: [], CPU: [], NOOPS: []}
    with _database(server) as dsn, started(server, dsn, allow=f"{TASK},farm.demo:*", lanes=lanes), Client(dsn) as client:
        bench = Bench(dsn, client)
        for number in range(rounds):
            for beside in (NOTHING, CPU) if number % 2 else (CPU, NOTHING):
                stretches[beside].append(bench.measure(JOBS, beside))
        stretches[NOOPS] += [bench.measure(NOOP_JOBS, NOOPS) for _ in range(NOOP_ROUNDS)]
    return stretches


def measure_single(server: Server, cores: int) -> dict[str, list[Stretch]]:
    """Measure a farm with as many subworkers in one lane."""
    lanes = f'{{default: {{queues: ["*"], subworkers: {cores + 1}}}}}'
    with _database(server) as dsn, started(server, dsn, allow=f"{TASK},farm.demo:*", lanes=lanes), Client(dsn) as client:
        bench = Bench(dsn, client)
        rounds = {NOTHING: SINGLE_ROUNDS, CPU: SINGLE_ROUNDS, NOOPS: 1}
        return {beside: [bench.measure(SINGLE_JOBS, beside) for _ in range(times)] for beside, times in rounds.items()}


def fill(dsn: str, _jobs: int) -> None:
    """Put parked jobs into an empty database: enough to keep the other lane busy for as long as is measured."""
    migrate(dsn)
    with Client(dsn) as client:
        for queue, task, args in ((CPU, SPIN, [JOB_S]), (NOOPS, NOOP, [])):
            client.enqueue_many({"task": task, "args": args, "runner": PARKED, "queue": queue} for _ in range(BACKLOGS[queue]))


def _database(server: Server) -> AbstractContextManager[str]:
    return server.database(jobs=sum(BACKLOGS.values()), owner="drowning", fill=fill)


def _p99(stretches: Sequence[Stretch]) -> float:
    return percentile([ms for stretch in stretches for ms in stretch.ms], 99)


def _row(name: str, stretches: Sequence[Stretch]) -> tuple[str, ...]:
    ms = [one for stretch in stretches for one in stretch.ms]
    rate = sum(stretch.other_rate for stretch in stretches) / len(stretches)
    return (name, str(len(ms)), *(f"{percentile(ms, percent):.2f}" for percent in (50, 90, 99)), f"{max(ms):.2f}", f"{rate:,.0f}")


if __name__ == "__main__":
    main(quick="--quick" in sys.argv[1:])
