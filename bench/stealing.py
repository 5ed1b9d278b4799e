"""Is a slot ever free while somebody waits? Jobs that sleep for 1 ms to 2 s, very unevenly, in bursts that drain before the next comes.

A job waits from the moment at which the enqueue of its burst has returned, wherever it stands then (in `ready`, held by a lane, in a ring),
until it begins; it occupies a slot of the lane that ran it from its begin to its end. All these times are CLOCK_MONOTONIC of this machine:
each job returns its own, with the name of its subworker. A lane is short-changed while fewer jobs run in it than it has slots and at least
one job waits of a queue in its chain. The figure is the share of time, from the first burst to the last begin, in which any lane is so.
It counts everything: the gap from one job to the next, the claim of a new burst, what stands behind a long job until it is taken back.

Three runs with four subworkers: one lane and lengths spread evenly over all magnitudes; one lane and nine short jobs on each long one;
two lanes with two subworkers each that prefer different queues and serve both, of which first the one and then the other is filled.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.database import Server, own_server, query
from bench.environment import environment
from bench.host import Host, wait_for
from bench.report import Figure, print_report, print_table
from farm.client import Client

SUBWORKERS = 4
BURSTS, BURST_S = 10, 1.4
"""Bursts in a run, and how many seconds of four subworkers each is worth."""
SHORT_S, LONG_S = 0.001, 2.0
SEED = 11
TASKS = """
import time
from functools import cache

@cache
def post():
    with open("/proc/self/comm") as file:
        return file.read().split()[-1]

def nap(number, length):
    begun = time.monotonic_ns()
    time.sleep(length)
    return [post(), begun, time.monotonic_ns()]
"""


class Nap(NamedTuple):
    """One job; times in seconds."""

    lane: str
    """That ran it."""
    queue: str
    ready: float
    begun: float
    ended: float


class LaneShape(NamedTuple):
    """A lane of a run."""

    chain: tuple[str, ...]
    subworkers: int


class Waste(NamedTuple):
    """What a run came to."""

    share: float
    """Of time: some lane has a free slot while a job waits that it serves."""
    slot_share: float
    """Of the time of all slots: a slot is free while there is a job for it."""
    busy_share: float
    """Of the time of all slots: in naps."""
    jobs: int


def main() -> None:
    """Run the measurement and print it."""
    one = {"default": LaneShape(("red", "blue"), SUBWORKERS)}
    two = {"red": LaneShape(("red", "blue"), SUBWORKERS // 2), "blue": LaneShape(("blue", "red"), SUBWORKERS // 2)}
    with own_server() as server:
        found = environment(server.dsn)
        print(f"\nstealing: {BURSTS} bursts of naps of 1 ms to 2 s, {SUBWORKERS} subworkers", flush=True)
        wastes = {
            "one lane, all magnitudes": measure(server, one, evenly),
            "one lane, nine short on a long one": measure(server, one, nine_to_one),
            "two lanes, all magnitudes": measure(server, two, evenly),
        }
    rows = [(name, f"{w.jobs:,}", f"{w.share:.2%}", f"{w.slot_share:.2%}", f"{w.busy_share:.1%}") for name, w in wastes.items()]
    print_table(("run", "jobs", "time with a free slot and a job for it", "of all slots' time", "slots busy"), rows)
    figures = [Figure(name=f"free while one waits, {name}", value=100 * w.share, unit="%", must=3, aim=1) for name, w in wastes.items()]
    print_report("stealing", figures, environment=found, details={name: waste._asdict() for name, waste in wastes.items()})


def evenly(chance: random.Random) -> float:
    """Draw a length of which every magnitude is as likely as any other."""
    return float(SHORT_S * (LONG_S / SHORT_S) ** chance.random())


def nine_to_one(chance: random.Random) -> float:
    """Draw a short length, or one time in ten a long one."""
    return LONG_S if chance.random() < 0.1 else SHORT_S


def measure(server: Server, lanes: Mapping[str, LaneShape], draw: Callable[[random.Random], float]) -> Waste:
    """Send bursts to a farm with these lanes, and judge it."""
    chance = random.Random(SEED)
    bursts = [_burst(chance, draw) for _ in range(BURSTS)]
    ready: list[float] = []
    queues = ("red", "blue")
    with server.database(jobs=0) as dsn, tempfile.TemporaryDirectory() as directory:
        Path(directory, "naps.py").write_text(TASKS)
        with Host(server.home, _config(dsn, directory, lanes)) as host, Client(dsn) as client:
            host.wait_ready()
            for index, burst in enumerate(bursts):
                begun, first = time.monotonic(), len(ready)
                queue = queues[index % 2]
                client.enqueue_many({"task": "naps:nap", "args": [first + n, s], "queue": queue} for n, s in enumerate(burst))
                ready += [time.monotonic()] * len(burst)
                time.sleep(max(0.0, begun + BURST_S - time.monotonic()))
            jobs = len(ready)
            wait_for(lambda: len(query(dsn, "read_naps")) >= jobs, "the last nap", every_s=0.2)
        rows = query(dsn, "read_naps")
    if len(rows) != jobs:
        raise RuntimeError(f"{len(rows):,} of {jobs:,} jobs succeeded: this is no measurement")
    lane_of = dict(enumerate(name for name, lane in lanes.items() for _ in range(lane.subworkers)))
    naps = [Nap(lane_of[int(post[1:])], queue, ready[number], begun / 1e9, ended / 1e9) for number, queue, post, begun, ended in rows]
    return judge(naps, lanes)


def judge(naps: Sequence[Nap], lanes: Mapping[str, LaneShape]) -> Waste:
    """Walk through a run from event to event: who runs where, and what waits for whom."""
    events: list[tuple[float, str, str, int, int]] = []
    for nap in naps:
        events.append((nap.ready, nap.lane, nap.queue, 0, 1))
        events.append((nap.begun, nap.lane, nap.queue, 1, -1))
        events.append((nap.ended, nap.lane, nap.queue, -1, 0))
    events.sort()
    last = max(nap.begun for nap in naps)
    running = dict.fromkeys(lanes, 0)
    waiting = {queue: 0 for lane in lanes.values() for queue in lane.chain}
    short_s = slots_s = 0.0
    for (at, lane, queue, starts, waits), (until, *_) in pairwise(events):
        running[lane] += starts
        waiting[queue] += waits
        if at >= last:
            break
        free = {name: shape.subworkers - running[name] for name, shape in lanes.items()}
        lacking = [min(free[name], sum(waiting[queue] for queue in shape.chain)) for name, shape in lanes.items()]
        short_s += (until - at) * any(lacking)
        slots_s += (until - at) * min(sum(lacking), sum(waiting.values()))
    span_s = last - events[0][0]
    slots = sum(lane.subworkers for lane in lanes.values())
    asleep_s = sum(min(last, nap.ended) - nap.begun for nap in naps)
    return Waste(short_s / span_s, slots_s / slots / span_s, asleep_s / slots / span_s, len(naps))


def _burst(chance: random.Random, draw: Callable[[random.Random], float]) -> list[float]:
    """Draw as many lengths as keep four subworkers busy for BURST_S."""
    burst: list[float] = []
    while sum(burst) < BURST_S * SUBWORKERS:
        burst.append(draw(chance))
    return burst


def _config(dsn: str, path: str, lanes: Mapping[str, LaneShape]) -> str:
    """Everything else stands at its defaults."""
    shown = ", ".join(f"{name}: {{queues: [{', '.join(lane.chain)}], subworkers: {lane.subworkers}}}" for name, lane in lanes.items())
    return f'database: "{dsn}"\nrunners: {{python: {{allow: ["naps:*"], path: ["{path}"]}}}}\nlanes: {{{shown}}}\n'


if __name__ == "__main__":
    main()
