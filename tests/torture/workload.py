"""What the torture has done: kinds of jobs with how they may end, and the producer that files them and remembers every id it was given."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import farm
from farm.store.session import Session

SUCCEEDED, FAILED, CANCELLED = 1, 2, 3
MANY = 100
"""Attempts of a job that is to succeed whatever is done to it."""
BATCH = 40
RETRY_SHARE = 0.5
"""Of the moments in which some old job is picked, to be tried again if it is one that fails."""


class Kind(NamedTuple):
    """One kind of job."""

    weight: float
    function: str
    more: Callable[[random.Random], tuple[object, ...]] = lambda rng: ()
    """Arguments after path and number."""
    options: Mapping[str, Any] = {}
    ends: frozenset[int] = frozenset({SUCCEEDED})
    """Status that it may have at the end."""
    runs: bool = True
    """False for one that must never be started."""
    never: frozenset[str] = frozenset()
    """Kinds of failure that no attempt of it may have."""
    cancel_s: tuple[float, float] | None = None
    """From and to how many seconds after it was filed somebody cancels it."""

    @property
    def max_attempts(self) -> int:
        return int(self.options["max_attempts"])


GOOD = {"max_attempts": MANY}
BAD = frozenset({FAILED})
HOG = {"max_attempts": 2, "timeout_s": 3.0}
"""Options of jobs that are ended for the memory that they take. In a lane that allows as much their time is over first."""

KINDS: dict[str, Kind] = {
    "quick": Kind(50, "work", options=GOOD),
    "short": Kind(25, "work", lambda rng: (round(rng.uniform(0.002, 0.06), 4),), GOOD),
    "async": Kind(15, "work_async", lambda rng: (round(rng.uniform(0.01, 0.15), 4),), {**GOOD, "queue": "async"}),
    "later": Kind(2, "work", options={**GOOD, "delay_s": 0.5}),
    "large": Kind(0.6, "carry", lambda rng: ("a" * rng.choice((10, 90_000)), rng.choice((10, 400_000))), GOOD),
    "waver": Kind(3, "waver", options=GOOD),
    "fail": Kind(2, "fail", options={"max_attempts": 2}, ends=BAD),
    "vanish": Kind(0.4, "vanish", options={"max_attempts": 3}, ends=BAD),
    "segfault": Kind(0.2, "segfault", options={"max_attempts": 2}, ends=BAD),
    "hang": Kind(0.4, "hang", options={"max_attempts": 2, "timeout_s": 0.2}, ends=BAD),
    "hang_async": Kind(0.3, "hang_async", options={"max_attempts": 2, "timeout_s": 0.3, "queue": "async"}, ends=BAD),
    "devour": Kind(0.4, "devour", options={"max_attempts": 2}, ends=BAD),
    "odd": Kind(0.4, "odd", options={"max_attempts": 2}, ends=BAD),
    "wish": Kind(2, "wish", options=GOOD),
    "give_up": Kind(0.5, "give_up", options={"max_attempts": 2}, ends=frozenset({CANCELLED, FAILED})),
    "leak": Kind(4, "leak", options=GOOD),
    "roomy": Kind(1, "roomy", lambda rng: (80,), {**GOOD, "memory": "256MB"}, never=frozenset({"memory"})),
    "share": Kind(0.2, "share", lambda rng: (100,), {**HOG, "queue": "small"}, ends=BAD),
    "fork": Kind(0.2, "fork", lambda rng: (160,), {**HOG, "queue": "small"}, ends=BAD),
    "small": Kind(3, "work", options={**GOOD, "queue": "small"}),
    "forbidden": Kind(0.3, "forbidden", options={"max_attempts": 2}, ends=BAD, runs=False),
}
if hasattr(farm, "progress"):
    KINDS["tell"] = Kind(3, "tell", lambda rng: (8, round(rng.uniform(0.01, 0.1), 3)), GOOD)
if hasattr(farm.Client, "cancel"):
    KINDS["stay"] = Kind(0.1, "hang", options=GOOD, ends=frozenset({CANCELLED}), cancel_s=(0.5, 3.0))
    KINDS["stay_async"] = Kind(0.4, "hang_async", options={**GOOD, "queue": "async"}, ends=frozenset({CANCELLED}), cancel_s=(0.5, 3.0))
    KINDS["called_off"] = Kind(2, "work", options=GOOD, ends=frozenset({SUCCEEDED, CANCELLED}), cancel_s=(0.0, 1.0))
    KINDS["expires"] = Kind(1, "work", options={**GOOD, "expires_s": 0.5}, ends=frozenset({SUCCEEDED, CANCELLED}))

HUNGRY = ("leak", "roomy", "share", "fork", "devour")
"""Kinds that take memory."""


class Filed(NamedTuple):
    """A job whose id was acknowledged."""

    job_id: int
    number: int
    kind: str


class Producer:
    """Files jobs in a thread of its own, so that there are always some hundreds to do, until it is told to stop."""

    def __init__(self, *, dsn: str, effects: Path, acked: Path, rng: random.Random, backlog: int) -> None:
        self.filed: list[Filed] = []
        self.unknown = 0
        """Jobs of enqueues whose answer was lost: they may be there or not."""
        self.errors: list[str] = []
        self.cancelled = 0
        """Cancels that were answered."""
        self.retried: set[int] = set()
        """Jobs that somebody wanted tried again when they had failed, whether or not that was answered."""
        self._to_cancel: list[tuple[float, int]] = []
        self._client: Any = farm.connect(dsn)
        self._pending = Session(dsn, application_name="torture")
        self._effects = effects
        self._acked = acked
        self._rng = rng
        self._backlog = backlog
        self._number = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """File nothing more."""
        self._stopping.set()
        self._thread.join(120)
        self._client.close()
        self._pending.close()

    def _run(self) -> None:
        with self._acked.open("a") as acked:
            while not self._stopping.is_set():
                try:
                    self._meddle(now())
                    if self._waiting() > self._backlog:
                        self._stopping.wait(0.05)
                        continue
                    kinds, jobs = self._batch()
                    self.unknown += len(jobs)
                    ids = self._client.enqueue_many(jobs)
                    self.unknown -= len(jobs)
                except farm.StoreUnavailable:
                    self._stopping.wait(0.1)
                    continue
                except farm.FarmError as error:
                    self.errors.append(f"enqueue: {error}")
                    return
                first = self._number - len(jobs)
                filed = [Filed(job_id, first + index, kind) for index, (job_id, kind) in enumerate(zip(ids, kinds, strict=True))]
                acked.write("".join(f"{one.job_id} {one.number} {one.kind}\n" for one in filed))
                acked.flush()
                self.filed.extend(filed)
                for one in filed:
                    if (span := KINDS[one.kind].cancel_s) is not None:
                        heapq.heappush(self._to_cancel, (now() + self._rng.uniform(*span), one.job_id))
        self._cancel_the_rest()

    def _meddle(self, at: float) -> None:
        """Cancel those whose time has come, and have one that has failed tried again, now and then. Raises StoreUnavailable."""
        while self._to_cancel and self._to_cancel[0][0] <= at:
            self._client.cancel(self._to_cancel[0][1])
            heapq.heappop(self._to_cancel)
            self.cancelled += 1
        if self.filed and self._rng.random() < RETRY_SHARE:
            old = self._rng.choice(self.filed)
            if old.kind in ("fail", "odd"):
                self.retried.add(old.job_id)
                self._client.retry([old.job_id])

    def _cancel_the_rest(self) -> None:
        """Cancel those that would stay for ever, whatever it takes."""
        deadline = now() + 60
        while self._to_cancel and now() < deadline:
            try:
                self._meddle(float("inf"))
            except farm.StoreUnavailable:
                time.sleep(0.1)

    def _batch(self) -> tuple[list[str], list[dict[str, Any]]]:
        names = self._rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()], k=BATCH)
        jobs = []
        for name in names:
            kind = KINDS[name]
            args = [str(self._effects), self._number, *kind.more(self._rng)]
            module = "elsewhere" if not kind.runs else "victims"
            jobs.append({"task": f"{module}:{kind.function}", "args": args, **kind.options})
            self._number += 1
        return names, jobs

    def _waiting(self) -> int:
        return waiting(self._pending)


def waiting(session: Session) -> int:
    """Count jobs that have no result yet, from the tables that are short; leases count as a claim's worth."""
    return int(
        session.run(
            lambda connection: connection.execute(
                b"SELECT (SELECT count(*) FROM farm.ready) + (SELECT count(*) FROM farm.returned) + (SELECT count(*) FROM farm.scheduled)"
                b" + coalesce((SELECT sum(n - bit_count(done)) FROM farm.lease), 0)"
            ).fetchall()
        )[0][0]
    )


def now() -> float:
    """The clock of all lines and times here: that of the effect log."""
    return time.time()
