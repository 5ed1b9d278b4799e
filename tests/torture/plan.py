"""What is done to the farm, and when: made from a seed alone, so that a run can be tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from farm.failpoints import POINTS


class Blow(StrEnum):
    """Everything that is done on purpose."""

    KILL_SUBWORKER = "kill -9 of a subworker"
    KILL_WRITER = "kill -9 of a writer"
    KILL_ZYGOTE = "kill -9 of a zygote"
    KILL_SUPERVISOR = "kill -9 of a supervisor"
    STOP_SUBWORKER = "stop of a subworker"
    STOP_WRITER = "stop of a writer"
    STOP_ZYGOTE = "stop of a zygote"
    STOP_SUPERVISOR = "stop of a supervisor"
    STOP_HOST = "stop of a whole host"
    LOSE_HOST = "loss of a host"
    RESTART_SERVER = "immediate restart of PostgreSQL"
    KILL_BACKEND = "kill of a backend"
    CUT_AFTER = "COMMIT done, its answer cut"
    CUT_BEFORE = "cut before COMMIT"
    CUT_CLAIM = "claim done, its answer cut"
    DELAY = "COMMIT delayed"
    RESET = "reset of a connection"
    HOLE = "blackhole, both ways"
    DEAF = "blackhole, answers only"
    RELOAD = "reload of another configuration"
    BAD_RELOAD = "reload of a wrong configuration"
    PAUSE_LANE = "pause of a lane"
    PAUSE_QUEUE = "pause of a queue"
    PRUNE = "old partition put together anew"


A_MINUTE: dict[Blow, float] = {
    Blow.KILL_SUBWORKER: 120,
    Blow.KILL_WRITER: 12,
    Blow.KILL_ZYGOTE: 4,
    Blow.KILL_SUPERVISOR: 10,
    Blow.STOP_SUBWORKER: 5,
    Blow.STOP_WRITER: 4,
    Blow.STOP_ZYGOTE: 2,
    Blow.STOP_SUPERVISOR: 3,
    Blow.STOP_HOST: 2,
    Blow.LOSE_HOST: 1,
    Blow.RESTART_SERVER: 6,
    Blow.KILL_BACKEND: 10,
    Blow.CUT_AFTER: 130,
    Blow.CUT_BEFORE: 20,
    Blow.CUT_CLAIM: 10,
    Blow.DELAY: 10,
    Blow.RESET: 8,
    Blow.HOLE: 1,
    Blow.DEAF: 1,
    Blow.RELOAD: 12,
    Blow.BAD_RELOAD: 8,
    Blow.PAUSE_LANE: 15,
    Blow.PAUSE_QUEUE: 10,
    Blow.PRUNE: 10,
}
"""How often, on the average, while the torture lasts."""

LONG = {
    Blow.HOLE: (0.3, 6.0),
    Blow.DEAF: (0.3, 6.0),
    Blow.STOP_SUPERVISOR: (0.1, 4.0),
    Blow.STOP_HOST: (2.5, 4.5),
    Blow.DELAY: (0.02, 0.5),
    Blow.PAUSE_LANE: (0.1, 3.0),
    Blow.PAUSE_QUEUE: (0.1, 3.0),
}
"""Seconds that it lasts, from and to; past the lease time at times."""
SHORT = (0.05, 1.0)


class Strike(NamedTuple):
    """One blow at its time."""

    at_s: float
    blow: Blow
    host: int
    lasts_s: float
    pick: float
    """0 to 1: whom of several."""


def make_plan(seed: int, seconds: float, hosts: int, only: Sequence[str] = ()) -> list[Strike]:
    """Return all strikes in order of time, the same for the same arguments. only: parts of the names of blows, all if there are none."""
    strikes = []
    for blow, rate in A_MINUTE.items():
        if only and not any(part in blow.value for part in only):
            continue
        rng = random.Random(f"{seed} {blow}")
        at_s = rng.expovariate(rate / 60)
        while at_s < seconds:
            strikes.append(Strike(at_s, blow, rng.randrange(hosts), rng.uniform(*LONG.get(blow, SHORT)), rng.random()))
            at_s += rng.expovariate(rate / 60)
    return sorted(strikes)


PASSINGS = {
    "writer": 60,
    "subworker": 40,
    "supervisor": 40,
    "claimer": 20,
    "heartbeat": 15,
    "zygote": 6,
    "upkeep": 5,
    "retention": 2,
    "takeover": 1,
}
"""A failpoint acts at one of the first so many passings."""
MAY_FAIL = ("claimer.", "heartbeat.", "upkeep.", "retention.", "writer.after_read", "writer.before_")
"""Where the database may be said to be away: elsewhere nobody expects that."""


def choose_failpoint(rng: random.Random) -> str:
    """Return what FARM_FAILPOINT says for one start of a supervisor."""
    name = rng.choice(list(POINTS))
    nth = rng.randint(1, PASSINGS[name.partition(".")[0]])
    action = rng.choices(("kill9", "exit", "sleep400ms", "stop", "error" if name.startswith(MAY_FAIL) else "kill9"), (6, 1, 1, 1, 1))[0]
    return f"{name}:{action}@{nth}"
