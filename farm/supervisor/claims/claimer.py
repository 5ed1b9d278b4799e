"""Claims jobs for the lanes: one statement and one lease a batch, then the jobs' rows, both for the main thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from farm.errors import StoreError
from farm.failpoints import passing
from farm.model import Claim, JobRow
from farm.supervisor.claims.idleness import Declarations, Idleness
from farm.supervisor.claims.sweep import Sweep
from farm.supervisor.claims.turns import FEW_JOBS, Turns
from farm.supervisor.claims.worklist import ENDLESS, Pair, Worklist
from farm.supervisor.counts.figures import ClaimFigures
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.origins import Origin

LEASE_SHIFT = 32
LEARN_EVERY_S = 2.0
GIVE_WAY_S = 0.001
PASSED_OVER_S = 0.01
"""How soon to look again when others may have had the classes of a claim to themselves."""
MANY_JOBS = 8
"""A claim that brought so many, though not all that it asked for, may have been robbed of some; one of fewer found what was there."""
SWEEP_S, SWEEP_SHARE = 1.0, 0.05
"""Late commits below the bounds are looked for at most once in SWEEP_S, and with this share of the time at the most."""
SWEEP_AGAIN_S = 10.0
"""Pause after a sweep that failed."""

Bounds = Mapping[tuple[int, int], int]
Found = tuple[int, int, bool, int]
"""(class, priority, whether in `returned`, its first entry)."""
Late = tuple[int, int, bool, int, int]
"""The same, and how far was looked."""


class Claims(Declarations, Protocol):
    """What the claimer asks of the store."""

    def classes(self) -> Mapping[int, tuple[str, str, int]]: ...
    def find_work(self, class_ids: Sequence[int], id_bounds: Bounds, seq_bounds: Bounds) -> Sequence[Found]: ...
    def find_late(
        self, id_bounds: Bounds, seq_bounds: Bounds, *, id_windows: Sequence[tuple[int, int]], seq_windows: Sequence[tuple[int, int]]
    ) -> Sequence[Late]: ...
    def claim(
        self,
        *,
        lease_id: int,
        priority: int,
        class_ids: Sequence[int],
        above_ids: Sequence[int],
        above_seqs: Sequence[int],
        returned_max: int,
        each_max: int,
        jobs_max: int,
        upto_ids: Sequence[int] | None,
        upto_seqs: Sequence[int] | None,
    ) -> Claim | None: ...
    def read_jobs(self, job_ids: Sequence[int]) -> Sequence[JobRow]: ...


class Arrival(NamedTuple):
    """One claimed batch on its way to the main thread."""

    host_id: int
    """The host row for which it was claimed."""
    lane: Lane
    runner: str
    claim: Claim
    rows: Sequence[JobRow]
    origin: Origin


@dataclass(slots=True)
class Asked:
    """A claim that was sent, until its jobs are on their way: the same claim is asked again after a lost answer."""

    lane: Lane
    pairs: list[Pair]
    went_back: bool
    """For late commits: over entries that may be dead."""
    arguments: dict[str, Any]
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
        self._lanes = tuple(lanes)
        self._host_id = host_id
        self._deliver = deliver
        self._poll_s = poll_s
        self._idleness = Idleness(store=store, poll_s=poll_s)
        self._worklist = Worklist(runner_names=runner_names)
        self._worklist.know(lanes)
        self._claims_made = 0
        self._turns = Turns(claim_max=claim_max)
        self.figures = ClaimFigures()
        self._resting: frozenset[str] = frozenset()
        """Lanes for which nothing of what is known of has work. Replaced as a whole, since the main thread reads it."""
        self._asked: Asked | None = None
        self._look_at = 0.0
        self._learn_at = 0.0
        self._sweep_at = 0.0
        self._id_sweep, self._seq_sweep = Sweep(), Sweep()
        self._passed_over = False
        """Something came short though there may be more of it: worth a look when nothing else is left."""
        self._sweep_owed = True
        """Something may lie below the bounds: a look everywhere is to come as soon as it may."""
        self._burst = burst
        self._clock = clock
        self._rumours: list[tuple[int, int]] = []
        self._new_host: int | None = None
        self._wanted_lanes = self._lanes
        """Set by others, as is the next one; each as a whole, and taken over by the next step."""
        self._wanted_pause = self._paused = frozenset[str]()
        self._unheld: frozenset[str] = frozenset()
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

    def knows_work(self, lane: Lane) -> bool:
        """Tell whether there is work that this lane could claim: else only news or the next look are worth waking for."""
        return not self.closed and self._worklist.has_pairs and lane.name not in self._resting

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

    def claim_for(self, runner_names: Iterable[str]) -> None:
        """Claim jobs of these runners from the next look on; from any thread."""
        self._worklist.runner_names = frozenset(runner_names)
        self.news = True

    def adopt(self, *, claim_max: int, poll_s: float) -> None:
        """Go by these from the next look on; from any thread."""
        self._turns.claim_max = claim_max
        self._poll_s = self._idleness.poll_s = poll_s
        self.news = True

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Claim for these lanes from the next step on; from any thread, which then wakes the one that steps.

        What was asked for a lane that is no longer among them is delivered to it all the same.
        """
        self._wanted_lanes = tuple(lanes)

    def pause_queues(self, queues: frozenset[str]) -> None:
        """Claim nothing of these queues from the next step on, and again of those that were paused before and are not among them.

        From any thread, which then wakes the one that steps. What was claimed before is not touched.
        """
        self._wanted_pause = queues

    @property
    def paused_queues(self) -> frozenset[str]:
        """Those of which nothing is to be claimed."""
        return self._wanted_pause

    def step(self, now: float) -> float:
        """Finish what was asked, look for work when it is time or there is news, claim for each lane with demand."""
        self._become_new_host()
        self._take_orders()
        if self._asked is not None:
            self._finish(self._asked, now)
        if self.closed:
            return self._poll_s
        self._heed_rumours()
        if self.news or now >= self._look_at:
            self._look(now)
        if self._serve_in_turn(now):
            # With nothing more to claim the main thread, which has the jobs now, goes first: the interpreter runs one at a time.
            return 0.0 if self._worklist.has_pairs else GIVE_WAY_S
        return max(0.0, self._look_at - now)

    def _become_new_host(self) -> None:
        if self._new_host is not None:
            self._host_id, self._new_host = self._new_host, None
            self._claims_made = 0
            self._asked = None
            self._idleness.forget()

    def _take_orders(self) -> None:
        """Do what others have set since the last step."""
        if self._wanted_lanes is not self._lanes:
            self._lanes = self._wanted_lanes
            self._worklist.know(self._lanes)
            self.figures.keep(frozenset(lane.name for lane in self._lanes))
            self.news = True
        if self._wanted_pause != self._paused:
            self._paused = self._wanted_pause
            self._worklist.pause(self._paused)
            self.news = True
        unheld = frozenset(lane.name for lane in self._lanes if not lane.held_by)
        if unheld != self._unheld:
            self._unheld = unheld
            self.news = True
            for name in self._idleness.declared - unheld:
                # Nobody need ring for a lane that would not claim.
                self._idleness.leave(self._host_id, name)

    def _heed_rumours(self) -> None:
        """Believe what was heard: a claim tells whether it is true, and costs no more than a look. Unknown classes need the look."""
        self._sweep_owed = self._sweep_owed or bool(self._rumours)
        rumours, self._rumours = self._rumours, []
        if rumours:
            self._resting = frozenset()
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
        if now >= self._sweep_at:
            self._sweep()
        # What only lanes that stand back could have is none of ours for now.
        lanes = [lane for lane in self._lanes if not lane.stands_back]
        # That nothing is left must be known for certain, but only once nothing is left above the bounds.
        everywhere = self._burst and not any(self._worklist.next_pairs(lane.config.queues, lane.memory_mb) for lane in lanes)
        ready, returned = self._worklist.ready.bounds, self._worklist.returned.bounds
        found = self._store.find_work(self._worklist.class_ids(lanes), {} if everywhere else ready, {} if everywhere else returned)
        self._worklist.note_found(found)
        self._resting = frozenset()
        if everywhere:
            self.nothing_left_since = float("-inf") if found else now
        self._look_at = now + self._idleness.pause_s(len(self._unheld))
        if self._sweep_owed:
            self._look_at = min(self._look_at, self._sweep_at)

    def _sweep(self) -> None:
        """Look below the bounds for late commits."""
        ready, returned = self._worklist.ready, self._worklist.returned
        settled = self._idleness.settled
        begun = self._clock()
        try:
            found = self._store.find_late(
                ready.bounds,
                returned.bounds,
                id_windows=self._id_sweep.windows(ready.newest, settled=settled),
                seq_windows=self._seq_sweep.windows(returned.newest, settled=settled),
            )
        except StoreError:
            # Looks and claims must not wait for a sweep that has too far to walk.
            self._note_swept(0.0, failed=True)
            self._sweep_at = self._clock() + SWEEP_AGAIN_S
            raise
        self._worklist.note_late(found)
        self._note_swept(self._clock() - begun)
        self._sweep_at = begun + SWEEP_S
        self._sweep_owed = not (settled and self._id_sweep.certain and self._seq_sweep.certain)
        self._note_walk(self._clock() - begun)

    def _note_swept(self, taken_s: float, *, failed: bool = False) -> None:
        for sweep, reach in ((self._id_sweep, self._worklist.ready), (self._seq_sweep, self._worklist.returned)):
            sweep.note(taken_s, reach.newest, failed=failed)

    def _note_walk(self, taken_s: float) -> None:
        """However long it is to walk over dead entries: that takes a twentieth of the time at the most."""
        self._sweep_at = max(self._sweep_at, self._clock() + taken_s / SWEEP_SHARE)

    def _serve_in_turn(self, now: float) -> bool:
        """Claim once for each lane that has demand, up to a large claim: then it is to be heard what has come meanwhile, for those that
        want few and come first. True if anything was claimed."""
        any_claimed = False
        for lane, demand in self._turns.order(self._lanes, now):
            claimed = self._serve(lane, demand, now)
            any_claimed = any_claimed or claimed
            if claimed and demand > FEW_JOBS:
                break
        return any_claimed

    def _serve(self, lane: Lane, demand: int, now: float) -> bool:
        """Claim once for a lane that has this demand; False if there is nothing for it."""
        lane.turns += 1
        wanted = min(demand, self._turns.jobs_max(lane, self._lanes))
        pairs = self._worklist.next_pairs(lane.config.queues, lane.memory_mb)[:wanted]
        if not pairs:
            self._resting |= {lane.name}
            if self._idleness.rest(self._host_id, lane.name, self._worklist.classes_wanted(lane.config.queues, lane.memory_mb)):
                self._look_at = now
            return False
        returned_max = 0
        if any(pair.returned for pair in pairs):
            returned_max = wanted // 2 or 1 if any(pair.ready for pair in pairs) else wanted
        self._claims_made += 1
        arguments = {
            "lease_id": (self._host_id << LEASE_SHIFT) + self._claims_made,
            "priority": pairs[0].priority,
            "class_ids": [pair.class_id for pair in pairs],
            "returned_max": returned_max,
            "each_max": -(-wanted // len(pairs)),
            "jobs_max": wanted,
        }
        went_back = False
        for name, reach in (("ids", self._worklist.ready), ("seqs", self._worklist.returned)):
            spans = [reach.span((pair.class_id, pair.priority)) for pair in pairs]
            goes_back = any(upto != ENDLESS for _, upto in spans)
            arguments[f"above_{name}"] = [above for above, _ in spans]
            arguments[f"upto_{name}"] = [upto for _, upto in spans] if goes_back else None
            went_back = went_back or goes_back
        self._asked = Asked(lane, pairs, went_back, arguments)
        if self._idleness.work(self._host_id, lane.name, now):
            self._look_at = min(self._look_at, now + self._poll_s)
        return self._finish(self._asked, now)

    def _finish(self, asked: Asked, now: float) -> bool:
        """Bring a claim to its end: ask (again, under the same lease), read the jobs, hand them over."""
        begun = self._clock()
        if asked.claim is None:
            passing("claimer.before_claim")
            asked.claim = self._store.claim(**asked.arguments)
            passing("claimer.after_claim")
            if asked.went_back:
                self._note_walk(self._clock() - begun)
            self._worklist.note_claimed(
                asked.pairs,
                () if asked.claim is None else asked.claim.shares,
                each_max=asked.arguments["each_max"],
                jobs_max=asked.arguments["jobs_max"],
                returned_max=asked.arguments["returned_max"],
            )
            self._plan_look(asked, now)
        claim = asked.claim
        if claim is not None:
            rows = self._store.read_jobs(claim.job_ids)
            passing("claimer.before_deliver")
            taken_s = self._clock() - begun
            self._turns.note(asked.lane, self._claims_made, len(claim.job_ids), taken_s)
            self.figures.note(asked.lane.name, len(claim.job_ids), taken_s)
            asked.lane.claimed += len(claim.job_ids)
            runner = self._worklist.runner(asked.pairs[0].class_id)
            # Of a claim whose first answer was lost nobody knows what it brought: of any of what it asked for.
            origin = self._worklist.origin([share.class_id for share in claim.shares] or [pair.class_id for pair in asked.pairs])
            self._deliver(Arrival(claim.lease_id >> LEASE_SHIFT, asked.lane, runner, claim, rows, origin))
        else:
            self.figures.note(asked.lane.name, 0, self._clock() - begun)
        self._asked = None
        return claim is not None

    def _plan_look(self, asked: Asked, now: float) -> None:
        """Look again sooner than planned where a claim may have left something that nothing else tells of."""
        claim = asked.claim
        if claim is None:
            if self._sweep_owed:
                # What was announced is not there: it may stand below the bounds.
                self._look_at = min(self._look_at, max(now, self._sweep_at))
        elif not claim.shares:
            # Its first answer was lost: nobody knows what it brought of which class.
            self._look_at = now
        brought = 0 if claim is None else len(claim.job_ids)
        passed_over = len(asked.pairs) > 1 and (claim is None or len(claim.shares) < len(asked.pairs))
        # Another host may have had a class to itself, or may have taken the rows that we had picked.
        self._passed_over = self._passed_over or passed_over or MANY_JOBS <= brought < asked.arguments["jobs_max"]
        if self._passed_over and not self._worklist.has_pairs:
            self._passed_over = False
            self._look_at = min(self._look_at, now + PASSED_OVER_S)
