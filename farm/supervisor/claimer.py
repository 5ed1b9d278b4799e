"""Claims jobs for the lanes: one statement and one lease a batch, then the jobs' rows, both for the main thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from farm.model import Claim, JobRow
from farm.supervisor.idleness import Declarations, Idleness
from farm.supervisor.lane import Lane
from farm.supervisor.worklist import Pair, Worklist

LEASE_SHIFT = 32
LEARN_EVERY_S = 2.0
GIVE_WAY_S = 0.001
SWEEP_S, SWEEP_SHARE = 1.0, 0.05
"""Late commits with ids below the bounds are looked for at most once in SWEEP_S, and with this share of the time at the most."""


class Claims(Declarations, Protocol):
    """What the claimer asks of the store."""

    def classes(self) -> Mapping[int, tuple[str, str, int]]: ...
    def find_work(self, class_ids: Sequence[int], bounds: Mapping[tuple[int, int], int] | None) -> Sequence[tuple[int, int, bool]]: ...
    def claim(self, *, lease_id: int, class_id: int, priority: int, above_id: int, returned_max: int, jobs_max: int) -> Claim | None: ...
    def read_jobs(self, job_ids: Sequence[int]) -> Sequence[JobRow]: ...


class Arrival(NamedTuple):
    """One claimed batch on its way to the main thread."""

    host_id: int
    """The host row for which it was claimed."""
    lane: Lane
    runner: str
    claim: Claim
    rows: Sequence[JobRow]


@dataclass(slots=True)
class Asked:
    """A claim that was sent, until its jobs are on their way: the same claim is asked again after a lost answer."""

    lane: Lane
    pair: Pair
    arguments: dict[str, int]
    claim: Claim | None = None


class Claimer:
    """A part: each step serves every lane once. Runs in a thread of its own, with its own connection."""

    def __init__(
        self,
        *,
        store: Claims,
        lanes: Sequence[Lane],
        host_id: int,
        runner_names: Sequence[str],
        deliver: Callable[[Arrival], None],
        claim_max: int,
        poll_s: float,
        burst: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._host_id = host_id
        self._deliver = deliver
        self._claim_max = claim_max
        self._poll_s = poll_s
        self._idleness = Idleness(store=store, poll_s=poll_s)
        self._worklist = Worklist(runner_names=runner_names)
        self._claims_made = 0
        self._asked: Asked | None = None
        self._look_at = 0.0
        self._learn_at = 0.0
        self._sweep_at = 0.0
        self._sweep_owed = True
        """Something may lie below the bounds: a look everywhere is to come as soon as it may."""
        self._burst = burst
        self._clock = clock
        self._rumours: list[tuple[int, int]] = []
        self._new_host: int | None = None
        self.news = False
        """Set by others before they wake the thread: something may have become claimable."""
        self.closed = False
        """Set by others: claim nothing more."""
        self.nothing_left_since = float("-inf")
        """When the last look everywhere began, if it found nothing claimable for any lane."""

    @property
    def idle(self) -> bool:
        """True when no claim is under way."""
        return self._asked is None

    @property
    def knows_work(self) -> bool:
        """True while there is work that a lane with demand could claim: else only news or the next look are worth waking for."""
        return not self.closed and self._worklist.has_pairs

    def hear(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Be told, in the thread that steps, that (class, priority) pairs have work; none at all: that something else is new."""
        self._rumours.extend(pairs)
        self.news = self.news or not pairs

    def hear_anew(self, heard: bool) -> None:
        """Be told, in the thread that steps, that announcements are heard from now on, or no longer: some may have been missed."""
        self._idleness.heard = heard
        # The server may have begun anew, and with it what was declared.
        self._idleness.forget()
        self.news = True

    def begin_as(self, host_id: int) -> None:
        """Claim for a new host row from the next step on: the old one was retired by another host."""
        self._new_host = host_id

    def step(self, now: float) -> float:
        """Finish what was asked, look for work when it is time or there is news, claim for each lane with demand."""
        self._become_new_host()
        if self._asked is not None:
            self._finish(self._asked)
        if self.closed:
            return self._poll_s
        self._heed_rumours()
        if self.news or now >= self._look_at:
            self._look(now)
        claimed = [self._serve(lane, now) for lane in self._lanes]
        if any(claimed):
            # With nothing more to claim the main thread, which has the jobs now, goes first: the interpreter runs one at a time.
            return 0.0 if self._worklist.has_pairs else GIVE_WAY_S
        return max(0.0, self._look_at - now)

    def _become_new_host(self) -> None:
        if self._new_host is not None:
            self._host_id, self._new_host = self._new_host, None
            self._claims_made = 0
            self._asked = None
            self._idleness.forget()

    def _heed_rumours(self) -> None:
        """Believe what was heard: a claim tells whether it is true, and costs no more than a look. Unknown classes need the look."""
        self._sweep_owed = self._sweep_owed or bool(self._rumours)
        rumours, self._rumours = self._rumours, []
        for class_id, priority in rumours:
            if not self._worklist.note_rumour(class_id, priority):
                self.news = True

    def _look(self, now: float) -> None:
        """Ask which classes have work at which priority; a class that is new to us is read first."""
        learns = self.news or now >= self._learn_at
        # Before anything is read: what is new from here on needs another look, and so does a look that fails.
        self.news, self._look_at = False, now
        if learns:
            # New classes are announced; reading them from time to time is for announcements that got lost.
            self._worklist.learn(self._store.classes())
            self._learn_at = now + LEARN_EVERY_S
        self._idleness.settle()
        everywhere = self._burst or now >= self._sweep_at
        found = self._store.find_work(self._worklist.class_ids(self._lanes), None if everywhere else self._worklist.bounds)
        self._worklist.note_found(found, everywhere=everywhere)
        if everywhere:
            self._sweep_at = now + SWEEP_S
            self._sweep_owed = not self._idleness.settled
            self.nothing_left_since = float("-inf") if found else now
        self._look_at = now + self._idleness.pause_s(len(self._lanes))
        if self._sweep_owed:
            self._look_at = min(self._look_at, self._sweep_at)

    def _serve(self, lane: Lane, now: float) -> bool:
        """Claim once for a lane that has demand; False if it has none, or there is nothing for it."""
        wanted = min(lane.demand(now), self._claim_max)
        if wanted <= 0:
            return False
        pair = self._worklist.best(lane.config.queues, lane.memory_mb)
        if pair is None:
            if self._idleness.rest(self._host_id, lane.name, self._worklist.classes_wanted(lane.config.queues, lane.memory_mb)):
                self._look_at = now
            return False
        above_id = self._worklist.above(pair)
        returned_max = 0 if not pair.returned else wanted if not pair.ready else wanted // 2 or 1
        self._claims_made += 1
        arguments = {
            "lease_id": (self._host_id << LEASE_SHIFT) + self._claims_made,
            "class_id": pair.class_id,
            "priority": pair.priority,
            "above_id": above_id,
            "returned_max": returned_max,
            "jobs_max": wanted,
        }
        self._asked = Asked(lane, pair, arguments)
        if self._idleness.work(self._host_id, lane.name, now):
            self._look_at = min(self._look_at, now + self._poll_s)
        return self._finish(self._asked)

    def _finish(self, asked: Asked) -> bool:
        """Bring a claim to its end: ask (again, under the same lease), read the jobs, hand them over."""
        if asked.claim is None:
            begun = self._clock()
            asked.claim = self._store.claim(**asked.arguments)
            if not asked.arguments["above_id"]:
                # However long it is to walk over dead entries: sweeps take a twentieth of the time at the most.
                ended = self._clock()
                self._sweep_at = max(self._sweep_at, ended + (ended - begun) / SWEEP_SHARE)
            taken = 0 if asked.claim is None else asked.claim.from_ready
            last_id = max(asked.claim.job_ids[-taken:]) if asked.claim is not None and taken else 0
            returned = 0 if asked.claim is None else len(asked.claim.job_ids) - taken
            self._worklist.note_claimed(
                asked.pair,
                ready=taken,
                ready_asked=asked.arguments["jobs_max"] - returned,
                returned=returned,
                returned_asked=asked.arguments["returned_max"],
                last_id=last_id,
            )
        claim = asked.claim
        if claim is not None:
            rows = self._store.read_jobs(claim.job_ids)
            asked.lane.claimed += len(claim.job_ids)
            self._deliver(Arrival(claim.lease_id >> LEASE_SHIFT, asked.lane, self._worklist.runner(asked.pair.class_id), claim, rows))
        self._asked = None
        return claim is not None
