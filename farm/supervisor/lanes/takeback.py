"""Takes back jobs that wait behind a running one while somebody else, of their lane or one like it, has nothing to do. Main thread only."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from farm.supervisor.lanes.handover import Handover
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation, Phase

IDLE_S = 0.001
"""How long a slot must have had nothing to do: a recall is answered in 0.2 ms where processors are free."""
STILL_S = 0.005
"""How long a ring must not have moved: in a shorter time its next job may well start by itself."""
WORK_S = 0.025
"""A ring that moves is left alone when it will be empty in this time."""
PAUSE_S = 0.05
"""The time between two recalls of the same subworker: where processors are busy, one takes up to 20 ms."""
STUCK_S = 1.0
"""What waits in a ring that has not moved for so long is held again though nobody is idle: whatever came later would overtake it."""
LOOK_S, BUSY_LOOK_S = 0.001, 0.25
"""Between two looks at a lane in which jobs wait behind others: with idle slots in it, and without."""

assert IDLE_S < STILL_S < WORK_S < PAUSE_S < STUCK_S, "a ring that is recalled again before it could have moved is a ring that never works"


class Load(NamedTuple):
    """What one subworker has to do."""

    number: int
    spare: int
    """Slots that could start a job at once, and have none."""
    waiting: int
    """Frames that wait for a running job to end."""
    waiting_s: float
    """Seconds that those will take at the pace that was measured last."""
    moved_at: float | None = None
    """When it last started a job, if all its slots are busy: since then the same jobs wait. None: it is about to start another one."""
    helps: bool = False
    """It is of another lane: it has nothing of its own, and may take what waits here."""
    movable: bool = True
    """Somebody who has nothing to do may have what waits."""


@dataclass(slots=True)
class Seen:
    """What was seen of a subworker over several looks."""

    still_since: float
    """Since when the same jobs wait, as far as is known."""
    idle_since: float | None = None
    recalled_at: float = float("-inf")


class Balance:
    """Decides, for one lane and whoever could help it, whose waiting jobs to take back. Knows no clock and no memory but its own.

    A recall empties a ring and costs a round trip. So it takes an idle one that has been idle for a while, and a busy one whose
    ring has not moved for as long or holds more than a moment's work.
    """

    def __init__(self) -> None:
        self._seen: dict[int, Seen] = {}
        self._any_idle = False

    def decide(self, loads: Sequence[Load], now: float, *, held: bool) -> tuple[list[int], float]:
        """Return the numbers of those to recall, and the seconds until the next look that could find one, if nothing else happens.

        held: jobs of the lane wait outside of rings. Then nobody of it is idle for want of work. With one load there is nobody to help.
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
            if not load.movable:
                movable_at = stuck_at
            if stuck_at <= now or (movable_at <= now and wanted > 0):
                victims.append(load.number)
                wanted -= load.waiting
                self._seen[load.number].recalled_at = now
            else:
                next_at = min(next_at, stuck_at, movable_at)
        return victims, max(LOOK_S, next_at - now)

    @property
    def numbers(self) -> Container[int]:
        """Those that were there at the last look."""
        return self._seen.keys()

    def forget_idle(self) -> None:
        """Take note that nobody is idle, or that nothing waits: whoever is idle later has not been since now."""
        if self._any_idle:
            self._any_idle = False
            for seen in self._seen.values():
                seen.idle_since = None

    def _note(self, loads: Sequence[Load], now: float, *, held: bool) -> None:
        before, self._seen = self._seen, {}
        for load in loads:
            seen = self._seen[load.number] = before.get(load.number) or Seen(now)
            if load.moved_at is not None or not load.waiting:
                seen.still_since = now if load.moved_at is None else load.moved_at
            if (held and not load.helps) or not load.spare:
                seen.idle_since = None
            elif seen.idle_since is None:
                seen.idle_since, self._any_idle = now, True

    def _movable_at(self, load: Load) -> float:
        """Say from when on its jobs may be taken for an idle one, if it does not move until then."""
        seen = self._seen[load.number]
        return max(seen.recalled_at + PAUSE_S, seen.still_since + (STILL_S if load.waiting_s < WORK_S else 0.0))

    def _stuck_at(self, load: Load) -> float:
        seen = self._seen[load.number]
        return max(seen.recalled_at + PAUSE_S, seen.still_since + STUCK_S)


@dataclass(slots=True)
class Watch:
    """A lane that is looked at."""

    lane: Lane
    balance: Balance
    looked_at: float = 0.0
    movable: dict[int, tuple[object, bool]] = field(default_factory=dict)
    """By number of a subworker, for what was in its ring when that was asked: whether the lanes that could help may have any of it."""


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
        try_s = self._handover.pass_on(lane, helpers, now) if helpers and lane.held else float("inf")
        if not any(generation.waiting for generation in lane.astir):
            watch.balance.forget_idle()
            return try_s
        held = bool(lane.waiting)
        idle_here = not held and lane.spare > 0
        if not (idle_here or helpers):
            watch.balance.forget_idle()
        look_at = watch.looked_at + (LOOK_S if idle_here or helpers else BUSY_LOOK_S)
        if now < look_at:
            return min(try_s, look_at - now)
        watch.looked_at = now
        serving = {generation.number: generation for generation in lane.generations if generation.phase is Phase.SERVING}
        loads = [load_of(generation, now) for generation in serving.values()]
        if helpers:
            if not idle_here:
                loads = [load._replace(movable=self._is_movable(watch, serving[load.number], helpers)) for load in loads]
            loads += [helping(generation) for helper in helpers for generation in helper.generations if generation.spare]
        victims, wait_s = watch.balance.decide(loads, now, held=held)
        for number in victims:
            serving[number].recall()
            lane.take_back(serving[number].recall_now())
        if victims and helpers:
            # Free slots first, whoever's they are.
            lane.dispatch(now, behind=False)
            try_s = self._handover.pass_on(lane, helpers, now) if lane.held else float("inf")
            wait_s = min(wait_s, IDLE_S)
        lane.dispatch(now)
        return min(try_s, wait_s)

    def _is_movable(self, watch: Watch, generation: Generation, helpers: Sequence[Lane]) -> bool:
        """Tell whether a helper may have something of a ring; asked once for what is in it."""
        asked = (generation.next_seq, [helper.name for helper in helpers])
        known = watch.movable.get(generation.number)
        if known is None or known[0] != asked:
            watch.movable = {number: answer for number, answer in watch.movable.items() if number in watch.balance.numbers}
            known = watch.movable[generation.number] = asked, self._handover.may_help(generation, helpers)
        return known[1]


def load_of(generation: Generation, now: float) -> Load:
    """Look at a subworker. While it is recalled it has nothing, and can be given nothing."""
    waiting = generation.waiting
    if not waiting:
        return Load(generation.number, generation.spare, 0, 0.0)
    # A job can write over its slot table: what lies ahead is as good as now.
    moved_at = min(now, generation.file.slots.last_start_ns() / 1e9) if generation.occupied >= generation.slots else None
    return Load(generation.number, generation.spare, waiting, generation.waiting_s(now), moved_at)


def helping(generation: Generation) -> Load:
    """Look at a subworker of another lane that could help."""
    return Load(generation.number, generation.spare, 0, 0.0, helps=True)
