"""Takes back jobs that wait behind a running one while somebody else, of their lane or one like it, has nothing to do. Main thread only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from farm.supervisor.generation import Generation, Phase
from farm.supervisor.handover import Handover
from farm.supervisor.lane import Lane

IDLE_S = 0.005
"""How long a slot must have had nothing to do, and a ring not have moved: a recall is answered in 0.2 ms where processors are free."""
WORK_S = 0.025
"""A ring that moves is left alone when it will be empty in this time."""
PAUSE_S = 0.05
"""The time between two recalls of the same subworker: where processors are busy, one takes up to 20 ms."""
STUCK_S = 1.0
"""What waits in a ring that has not moved for so long is held again though nobody is idle: whatever came later would overtake it."""
LOOK_S, BUSY_LOOK_S = 0.001, 0.25
"""Between two looks at a lane in which jobs wait behind others: with idle slots in it, and without."""

assert IDLE_S < WORK_S < PAUSE_S < STUCK_S, "a ring that is recalled again before it could have moved is a ring that never works"


class Load(NamedTuple):
    """What one subworker has to do."""

    number: int
    spare: int
    """Slots that could start a job at once, and have none."""
    waiting: int
    """Frames that wait for a running job to end."""
    waiting_s: float
    """Seconds that those will take at the pace that was measured last."""
    started: int
    """Jobs started in all: it moves while this grows."""


@dataclass(slots=True)
class Seen:
    """What was seen of a subworker over several looks."""

    started: int
    moved_at: float
    """Since when the same jobs wait."""
    idle_since: float | None = None
    recalled_at: float = float("-inf")


class Balance:
    """Decides, for one lane and whoever could help it, whose waiting jobs to take back. Knows no clock and no memory but its own.

    A recall empties a ring and costs a round trip. So it takes an idle one that has been idle for a while, and a busy one whose
    ring has not moved for as long or holds more than a moment's work.
    """

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}

    def decide(self, loads: Sequence[Load], now: float, *, held: bool) -> tuple[list[int], float]:
        """Return the numbers of those to recall, and the seconds until the next look that could find one, if nothing else happens.

        held: jobs of the lane wait outside of rings. Then nobody is idle for want of work. With one load there is nobody to help.
        """
        self._note(loads, now, held=held)
        idle = [(seen.idle_since + IDLE_S, load.spare) for load in loads if (seen := self._seen[load.number]).idle_since is not None]
        help_at = min((since for since, _spare in idle), default=float("inf"))
        wanted = sum(spare for since, spare in idle if since <= now)
        victims: list[int] = []
        next_at = float("inf")
        for load in sorted(loads, key=lambda load: -load.waiting) if len(loads) > 1 else ():
            if not load.waiting:
                break
            stuck_at, movable_at = self._stuck_at(load), max(help_at, self._movable_at(load))
            if stuck_at <= now or (movable_at <= now and wanted > 0):
                victims.append(load.number)
                wanted -= load.waiting
                self._seen[load.number].recalled_at = now
            else:
                next_at = min(next_at, stuck_at, movable_at)
        return victims, max(LOOK_S, next_at - now)

    def forget_idle(self) -> None:
        """Take note that nobody is idle, or that nothing waits: whoever is idle later has not been since now."""
        for seen in self._seen.values():
            seen.idle_since = None

    def _note(self, loads: Sequence[Load], now: float, *, held: bool) -> None:
        before, self._seen = self._seen, {}
        for load in loads:
            seen = self._seen[load.number] = before.get(load.number) or Seen(load.started, now)
            if seen.started != load.started or not load.waiting:
                seen.started, seen.moved_at = load.started, now
            if held or not load.spare:
                seen.idle_since = None
            elif seen.idle_since is None:
                seen.idle_since = now

    def _movable_at(self, load: Load) -> float:
        """Say from when on its jobs may be taken for an idle one, if it does not move until then."""
        seen = self._seen[load.number]
        return max(seen.recalled_at + PAUSE_S, seen.moved_at + (IDLE_S if load.waiting_s < WORK_S else 0.0))

    def _stuck_at(self, load: Load) -> float:
        seen = self._seen[load.number]
        return max(seen.recalled_at + PAUSE_S, seen.moved_at + STUCK_S)


@dataclass(slots=True)
class Watch:
    """A lane that is looked at."""

    lane: Lane
    balance: Balance
    looked_at: float = 0.0


class TakeBack:
    """A part: looks at every lane, recalls, and has the lane hand out again what came back at once. The rest comes with the answers.

    Lanes that have nothing to do help those whose jobs they could have claimed: they get what is held first, then what waits in rings.
    """

    def __init__(self, lanes: Sequence[Lane], handover: Handover) -> None:
        self._handover = handover
        self._watches: list[Watch] = []
        self.set_lanes(lanes)

    def set_lanes(self, lanes: Sequence[Lane]) -> None:
        """Look at these lanes from now on; to be told after the handover."""
        known = {watch.lane.name: watch for watch in self._watches}
        watches = [known.get(lane.name, Watch(lane, Balance())) for lane in lanes]
        self._watches = [
            watch if watch.lane is lane else Watch(lane, Balance())
            for watch, lane in zip(watches, lanes, strict=True)
            if lane.config.subworkers > 1 or self._handover.has_kin(lane)
        ]
        self._kin = any(self._handover.has_kin(lane) for lane in lanes)

    def step(self, now: float) -> float:
        """Look at the lanes; returns the seconds until the next look, infinite while there is nothing that could be taken back."""
        idle = self._handover.idle_lanes() if self._kin else []
        return min((self._look(watch, idle, now) for watch in self._watches), default=float("inf"))

    def _look(self, watch: Watch, idle: Sequence[Lane], now: float) -> float:
        lane = watch.lane
        helpers = self._handover.helpers(lane, idle) if idle else []
        if helpers and lane.held:
            self._handover.pass_on(lane, helpers, now)
        if not any(generation.waiting for generation in lane.generations):
            watch.balance.forget_idle()
            return float("inf")
        held = bool(lane.waiting)
        spare = not held and (bool(helpers) or lane.spare > 0)
        if not spare:
            watch.balance.forget_idle()
        look_at = watch.looked_at + (LOOK_S if spare else BUSY_LOOK_S)
        if now < look_at:
            return look_at - now
        watch.looked_at = now
        serving = {generation.number: generation for generation in lane.generations if generation.phase is Phase.SERVING}
        loads = [load_of(generation, now) for generation in serving.values()]
        own = sum(load.spare for load in loads)
        loads += [idle_load(generation) for helper in helpers for generation in helper.generations if generation.spare]
        victims, wait_s = watch.balance.decide(loads, now, held=held)
        for number in victims:
            if own or held or not helpers or self._handover.may_help(serving[number], helpers):
                serving[number].recall()
                lane.take_back(serving[number].recall_now())
        lane.dispatch(now)
        if helpers and lane.held:
            self._handover.pass_on(lane, helpers, now)
        return wait_s


def load_of(generation: Generation, now: float) -> Load:
    """Look at a subworker. While it is recalled it has nothing, and can be given nothing."""
    waiting = generation.waiting
    return Load(generation.number, generation.spare, waiting, generation.waiting_s(now) if waiting else 0.0, generation.started)


def idle_load(generation: Generation) -> Load:
    """Look at a subworker of another lane that could help; what it has of its own is not for this lane to take back."""
    return Load(generation.number, generation.spare, 0, 0.0, generation.started)
