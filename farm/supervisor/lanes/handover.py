"""Jobs that one lane has claimed and another one runs, or that go back to the database: what a lane has not started is anybody's.

Four occasions: a lane has free slots and nothing of its own, and jobs that it could have claimed wait in another (takeback.py says
when); a lane stands back, paused or about to leave; a queue is paused; jobs have become so slow that a lane holds too many. A move
writes nothing anywhere, since the lease is the host's. What goes back is released: no attempt is used. Where a job may go is decided by
the origin of its lease. Main thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

from farm.shm.frames import JOB_ID, LEASE_ID, HeldJob
from farm.supervisor.lanes.lane import ANY_QUEUE, LEAVING, Lane
from farm.supervisor.lanes.origins import Origin, Origins
from farm.supervisor.processes.generation import Generation, Phase

SCAN_MAX = 1000
"""Held jobs that are looked at for one that another lane may have: a tenth of a millisecond."""
FRUITLESS_S = 0.01
"""After a scan that found none."""
SWEEP_S = 1.0
"""While a queue is paused it is looked this often whether any of its jobs came back from somebody who has died."""


class Handover:
    """A part: has lanes that stand back give up what they have not started, and jobs of paused queues go back; moves jobs when asked."""

    def __init__(self, lanes: Sequence[Lane], *, origins: Origins, give_back: Callable[[list[HeldJob]], None]) -> None:
        """give_back: release these jobs to the database."""
        self._origins = origins
        self._give_back = give_back
        self._paused: frozenset[str] = frozenset()
        self._sweep_at = float("inf")
        self._fruitless_until: dict[str, float] = {}
        self._of_before: list[Generation] = []
        """Those that were there before the lanes have changed, until they are buried: what comes back from them, their lane may not be
        meant for any more."""
        self.set_lanes(lanes)

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Know these lanes from now on, with the chains that they have now."""
        self._lanes = tuple(lanes)
        self._related = {
            lane.name: frozenset(other.name for other in lanes if other is not lane and _related(lane, other)) for lane in lanes
        }

    def lanes_changed(self, lanes: Sequence[Lane]) -> None:
        """Know these lanes from now on, and have all go back that they would not claim any more: they have other queues, or less memory."""
        self.set_lanes(lanes)
        self._of_before = [generation for lane in lanes for generation in lane.generations]
        self._sweep_at = float("-inf")

    def pause_queues(self, queues: frozenset[str]) -> None:
        """Have nothing of these queues start, from now on; what had started goes on."""
        self._paused = queues
        self._sweep_at = float("-inf") if queues or self._of_before else float("inf")

    def is_paused(self, origin: Origin) -> bool:
        """Tell whether a claim may hold jobs of a paused queue."""
        return not self._paused.isdisjoint(origin.queues)

    def is_unwanted(self, lane: Lane, origin: Origin) -> bool:
        """Tell whether what was claimed for a lane is not to start there now."""
        return self.is_paused(origin) or LEAVING in lane.held_by or not lane.serves(origin)

    def has_kin(self, lane: Lane) -> bool:
        """Tell whether any other lane might run jobs of this one."""
        return bool(self._related[lane.name])

    def step(self, now: float) -> float:
        """Give up what is not to start here; returns the seconds until the next look, infinite while nothing is held or paused."""
        for lane in self._lanes:
            if lane.held_by and lane.stands_back:
                self._step_aside(lane, now)
            elif lane.excess:
                self._reduce(lane)
        if now >= self._sweep_at:
            self.sweep()
            self._of_before = [generation for generation in self._of_before if generation.phase is not Phase.BURIED]
            self._sweep_at = now + SWEEP_S if self._paused or self._of_before else float("inf")
        return self._sweep_at - now

    def sweep(self) -> None:
        """Have all go back that is of a paused queue, or in the wrong lane since the lanes have changed: when jobs have come back from
        subworkers, before they are handed out again."""
        if self._paused or self._of_before:
            for lane in self._lanes:
                self._sweep(lane)

    def idle_lanes(self) -> list[Lane]:
        """Return the lanes that have free slots and nothing for them."""
        return [lane for lane in self._lanes if not lane.held and not lane.held_by and not lane.waiting and lane.spare]

    def helpers(self, lane: Lane, idle: Collection[Lane]) -> list[Lane]:
        """Return those of some idle lanes that might run jobs of this one."""
        related = self._related[lane.name]
        return [other for other in idle if other.name in related]

    def may_help(self, generation: Generation, helpers: Sequence[Lane]) -> bool:
        """Tell whether any of these lanes may have something of what a subworker has not started."""
        leases = {job[LEASE_ID] for job in generation.unstarted_jobs()}
        return any(self._may_have(helper, lease) for lease in leases for helper in helpers)

    def pass_on(self, lane: Lane, helpers: Sequence[Lane], now: float) -> float:
        """Give of what a lane holds to each of these that may have it, no more than it hands out at once.

        Returns the seconds until that is worth another try, infinite if something has to happen first.
        """
        wait_s = self._fruitless_until.get(lane.name, 0.0) - now
        if wait_s > 0:
            return wait_s
        asked = found = 0
        # A slot that has nothing to do comes first, whoever's it is.
        for behind in (False, True):
            for helper in helpers:
                if lane.held and (wanted := share_of(lane, helper, now, behind=behind)):
                    jobs = take_first(lane.held, wanted, partial(self._may_have, helper))
                    helper.arrive(0, jobs)
                    helper.stolen, lane.stolen = helper.stolen + len(jobs), lane.stolen - len(jobs)
                    asked, found = asked + wanted, found + len(jobs)
        for helper in helpers if found else ():
            helper.dispatch(now)
        if not asked or found:
            return float("inf")
        self._fruitless_until[lane.name] = now + FRUITLESS_S
        return FRUITLESS_S

    def _may_have(self, helper: Lane, lease_id: int) -> bool:
        return helper.serves(self._origins.of(lease_id))

    def _step_aside(self, lane: Lane, now: float) -> None:
        for generation in lane.generations:
            if generation.unstarted:
                _recall(lane, generation)
        if not lane.waiting:
            return
        self.pass_on(lane, self.helpers(lane, self.idle_lanes()), now)
        for other in self._lanes:
            # Those that are to run alone may come to any of them.
            other.loners.know(job[JOB_ID] for job in lane.loners.waiting)
        self._give_back(lane.take_all())

    def _reduce(self, lane: Lane) -> None:
        """Give back what a lane has too much of. Most of it may stand in rings that were filled when jobs were quicker."""
        if lane.excess > len(lane.held):
            for generation in lane.generations:
                if generation.waiting:
                    _recall(lane, generation)
        if jobs := lane.take_excess():
            self._give_back(jobs)

    def _sweep(self, lane: Lane) -> None:
        """Give back what a lane has not started and may be of a paused queue, or not for this lane any more."""
        may_be_wrong = bool(self._of_before)

        def is_meant(job: HeldJob) -> bool:
            origin = self._origins.of(job[LEASE_ID])
            return self.is_paused(origin) or (may_be_wrong and not lane.serves(origin))

        for generation in lane.generations:
            if generation.unstarted and any(map(is_meant, generation.unstarted_jobs())):
                _recall(lane, generation)
        found = {job[JOB_ID] for job in lane.all_waiting() if is_meant(job)}
        if found:
            self._give_back(lane.take_out(found))


def take_first(held: deque[HeldJob], wanted: int, allows: Callable[[int], bool]) -> list[HeldJob]:
    """Take out the first jobs whose lease is allowed, at most so many; the others stay, in their order."""
    taken: list[HeldJob] = []
    passed: list[HeldJob] = []
    allowed: dict[int, bool] = {}
    for _ in range(min(len(held), SCAN_MAX)):
        if len(taken) >= wanted:
            break
        job = held.popleft()
        lease = job[LEASE_ID]
        if lease not in allowed:
            allowed[lease] = allows(lease)
        (taken if allowed[lease] else passed).append(job)
    held.extendleft(reversed(passed))
    return taken


def share_of(lane: Lane, helper: Lane, now: float, *, behind: bool) -> int:
    """Say how many of a lane's held jobs a helper should have: one for each free slot that has none yet.

    behind: of many short ones also what is put behind those, up to the helper's share of all slots.
    """
    spare, more = helper.appetite(now)
    if not behind:
        return max(0, spare - helper.waiting)
    even = len(lane.held) * helper.slots // (lane.slots + helper.slots)
    return max(0, min(even, spare + more - helper.waiting))


def _related(lane: Lane, other: Lane) -> bool:
    queues = other.config.queues
    return ANY_QUEUE in queues or ANY_QUEUE in lane.config.queues or not set(queues).isdisjoint(lane.config.queues)


def _recall(lane: Lane, generation: Generation) -> None:
    """Have a lane hold again what its subworker has not started."""
    assert generation.phase is Phase.SERVING, "nothing else has jobs that can be recalled"
    generation.recall()
    lane.take_back(generation.recall_now())
