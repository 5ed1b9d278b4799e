"""A farm that is only played, for looking at the screen without one: the same seed gives the same pictures."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from farm.errors import FarmError
from farm.screen.model import (
    DatabaseView,
    FailureView,
    FarmState,
    Flow,
    Horizon,
    HostView,
    JobRun,
    LaneView,
    Quantiles,
    QueueView,
    Snapshot,
    SubworkerView,
)

NOON = datetime(2026, 5, 1, 12, 4, 31, tzinfo=UTC)
LANES = (("fast", ("thumbs", "webhooks"), 8, 9870.0), ("emails", ("mail",), 4, 1240.0), ("reports", ("reports", "exports"), 6, 3.2),
         ("legacy", ("old",), 2, 0.0))  # fmt: skip
TASKS = {"fast": "images.resize:thumb", "emails": "mailer.send:one", "reports": "reports.monthly:build", "legacy": "legacy.sync:run"}
WHY = (
    ("failed", "HTTPError: 503 from api.example.com", "retry in 8 s"),
    ("memory", "took 271 MB of 256 MB, most of it in images.resize:thumb", "retry in 2 s"),
    ("timed_out", "ran for 30 s, its limit", "final"),
    ("crashed", "its process was ended by SIGSEGV", "retry in 4 s"),
    ("failed", "KeyError: 'customer' in reports.monthly:build, line 88", "final"),
    ("cancelled", "cancelled by ada on vm", "final"),
)
MB = 1_000_000


def snapshot(step: int = 0, *, seed: int = 1, troubled: bool = True, slots: int = 0) -> Snapshot:
    """Return the farm as it is after so many quarters of a second. slots: instead of a few, one lane with so many subworkers."""
    chance = random.Random(seed * 1_000_003 + step)
    lanes = tuple(_lane(index, step, chance, troubled=troubled) for index in range(len(LANES)))
    members = tuple(_subworkers(step, chance))
    if slots:
        lanes = (replace(lanes[0], capacity=slots, running=slots, subworkers=slots, serving=slots), *lanes[1:])
        members = tuple(replace(members[0], name=f"w{number}", pid=40_000 + number) for number in range(slots))
    return Snapshot(
        at=NOON + timedelta(seconds=step / 4),
        instance="default",
        host="prod-a",
        version="0.1.0",
        state=FarmState.RUNNING,
        up_s=274_320 + step / 4,
        database=DatabaseView(
            name="embedded PostgreSQL 18.4",
            latency_s=0.0004 + chance.random() * 0.0002,
            horizon=Horizon(holder="pid 4711 (psql of ada, idle in transaction)", age_s=760 + step / 4) if troubled else None,
        ),
        rate=sum(lane.rate or 0.0 for lane in lanes),
        queue_time=Quantiles(p50_s=0.0018, p95_s=0.031, p99_s=0.14 + chance.random() / 50),
        run_time=Quantiles(p50_s=0.0012, p95_s=0.0044 + chance.random() / 1000, p99_s=0.0098),
        failure_share=0.0012,
        memory_bytes=8_000 * MB,
        lanes=lanes,
        subworkers=members,
        flow=Flow(
            claim_rate=22 + chance.random(), claim_size=512 - chance.randrange(9), claim_time=Quantiles(p50_s=0.0021, p99_s=0.0044),
            job_rings=0.61 + chance.random() / 50, result_rings=0.03, commit_rate=25.4, commit_size=438 + chance.randrange(9),
            commit_time=Quantiles(p50_s=0.0031, p99_s=0.0063), backlog=91 + chance.randrange(40), stale=2 if troubled else 0,
        ),
        failures=tuple(_failure(step, number) for number in range(12)) if troubled else (),
        hosts=(
            _host("prod-a", "live", 0.4, 12, 20), _host("prod-b", "live", 0.7, 20, 20), _host("agent-eu-1", "live", 0.9, 4, 4),
            _host("prod-c", "lost", 41.0, 0, 20),
        ),
        queues=(QueueView(name="mail", ready=10_001, oldest_s=41.0), QueueView(name="thumbs", ready=1204, oldest_s=0.3),
                QueueView(name="old", ready=17, oldest_s=130.0, paused=True)),
        log_path="/var/lib/farm/instances/default/farm.log",
        notices=("2 of 8 slots of fast are taken by images.resize:thumb for up to 40 s",) if troubled else (),
    )  # fmt: skip


def _lane(index: int, step: int, chance: random.Random, *, troubled: bool) -> LaneView:
    name, queues, capacity, rate = LANES[index]
    curve = tuple(max(0.0, rate * (0.7 + 0.3 * math.sin((step / 4 + at) / (5 + index)))) for at in range(60))
    held = troubled and name == "legacy"
    return LaneView(
        name=name,
        queues=queues,
        capacity=capacity,
        running=0 if held else chance.randint(capacity // 2, capacity),
        subworkers=capacity // 2,
        serving=capacity // 2,
        stolen=(1, 2, 0, -3)[index],
        buffered=(512, 40, 2, 0)[index],
        queued=(1204, 10_001, 0, 17)[index],
        oldest_s=(0.3, 41.0, None, 130.0)[index],
        rates=curve,
        rate=curve[-1],
        queue_time=Quantiles(p50_s=0.002, p95_s=0.01, p99_s=0.3) if rate else Quantiles(),
        run_time=Quantiles(p50_s=(0.0008, 0.031, 0.81, 0)[index], p95_s=0.09, p99_s=(0.004, 0.14, 4.4, 0)[index]) if rate else Quantiles(),
        failure_share=(0.0, 0.019, 0.12, None)[index],
        occupancy=(0.71, 0.98, 0.31, 0.0)[index],
        paused=held,
        held_by=("paused",) if held else (),
        trouble="4 of 4 slots are taken by mailer.send:one for up to 40 s, and 10,000 jobs wait" if troubled and name == "emails" else "",
    )


def _subworkers(step: int, chance: random.Random) -> list[SubworkerView]:
    members = []
    for number in range(10):
        lane = LANES[(0, 0, 0, 0, 1, 1, 2, 2, 2, 3)[number]][0]
        busy = number not in (7, 9)
        run = JobRun(job_id=4_711_000 + step * 16 + number, task=TASKS[lane], running_s=(0.012, 1.204, 0.23, 41.0)[number % 4],
                     progress=0.42 if lane == "reports" else None, text="page 42 of 100" if lane == "reports" else "")  # fmt: skip
        members.append(
            SubworkerView(
                name=f"w{number}", pid=40_112 + number, lane=lane,
                state="leaving" if number == 5 else "busy" if busy else "idle",
                rss_bytes=(164, 243, 51, 49)[number % 4] * MB + chance.randrange(MB), limit_bytes=256 * MB,
                cpu=(0.98, 0.97, 0.04, 0.0)[number % 4],
                jobs=(run,) if busy else (), ended=182_331 // (number + 1), buffered=3, restarts=1 if number == 1 else 0,
                restarted_why="memory: took 271 MB of 256 MB" if number == 1 else "",
            )
        )  # fmt: skip
    return members


def _failure(step: int, number: int) -> FailureView:
    kind, text, then = WHY[number % len(WHY)]
    lane = LANES[number % 3][0]
    return FailureView(at=NOON + timedelta(seconds=step // 4 - 11 * number), lane=lane, job_id=4_700_321 - number * 97, task=TASKS[lane],
                       attempt=1 + number % 3, kind=kind, text=text, then=then)  # fmt: skip


def _host(name: str, state: str, beat_s: float, running: int, capacity: int) -> HostView:
    return HostView(name=name, instance="default", state=state, beat_s=beat_s, running=running, capacity=capacity, memory_bytes=8_000 * MB,
                    version="0.1.0", lanes=tuple(lane for lane, *_ in LANES))  # fmt: skip


class LivelySource:
    """A `Source` of such snapshots, which does what it is asked and remembers it. slow_s: how long it takes for everything but a look.

    looks_max: after so many it breaks.
    """

    def __init__(self, *, seed: int = 1, troubled: bool = True, slow_s: float = 0.0, looks_max: int = 1 << 30) -> None:
        self._seed = seed
        self._troubled = troubled
        self._slow_s = slow_s
        self._looks_max = looks_max
        self._step = 0
        self._paused: set[str] = {"legacy"} if troubled else set()
        self.asked: list[str] = []

    def look(self, seen: Collection[str] | None = None) -> Snapshot:
        self._step += 1
        if self._step > self._looks_max:
            raise RuntimeError("a mistake in the source")
        made = snapshot(self._step, seed=self._seed, troubled=self._troubled)
        lanes = tuple(
            replace(lane, paused=lane.name in self._paused, held_by=("paused",) if lane.name in self._paused else ()) for lane in made.lanes
        )
        return replace(made, lanes=lanes)

    def job(self, job_id: int) -> dict[str, Any]:
        self._ask(f"job {job_id}")
        return {
            "id": job_id, "state": "failed", "task": "reports.monthly:build", "args": {"customer": 17}, "queue": "reports", "priority": 4,
            "attempt": 2, "max_attempts": 3, "created_at": NOON, "error": {"type": "KeyError", "message": "'customer'"},
            "attempts": [
                {"attempt": 1, "kind": "failed", "started_at": NOON, "finished_at": NOON, "took_s": 1.5, "host": "prod-a",
                 "peak_bytes": 9e7,
                 "error": {"type": "KeyError", "message": "'customer'", "traceback": 'Traceback:\n  File "a.py", line 88\nKeyError: 1'},
                 "log": "opening\nreading 17\n"},
                {"attempt": 2, "kind": "failed", "started_at": NOON, "finished_at": NOON, "took_s": 2.5, "host": "prod-a",
                 "error": {"type": "KeyError", "message": "'customer'"}, "log": "not shown twice"},
            ],
            "logs": "".join(f"line {number}\n" for number in range(60)),
        }  # fmt: skip

    def pause(self, lane: str) -> str:
        self._ask(f"pause {lane}")
        self._paused.add(lane)
        return f"paused: lane {lane}"

    def resume(self, lane: str) -> str:
        self._ask(f"resume {lane}")
        self._paused.discard(lane)
        return f"goes on: lane {lane}"

    def drain(self) -> str:
        self._ask("drain")
        return "draining: running jobs may end within 30 s"

    def cancel(self, job_id: int) -> str:
        self._ask(f"cancel {job_id}")
        return f"cancelling job {job_id}"

    def retry(self, job_id: int) -> str:
        self._ask(f"retry {job_id}")
        raise FarmError(f"job {job_id} has not failed")

    def close(self) -> None:
        self.asked.append("close")

    def _ask(self, what: str) -> None:
        time.sleep(self._slow_s)
        self.asked.append(what)
