"""Whether a farm makes progress: not whether its processes live, which a wedged one does too. Rules on facts; no clock, no process.

Each rule is of the form: there is something to do, somebody could do it, and for so long nothing of the kind was done. Work that takes
long is progress, and so is waiting for a database that is away: to restart a farm would end the one and not bring back the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

STILL_S = 60.0
"""Nothing was done for so long, though it could have been."""
STEP_S = 120.0
"""A thread's step is a few calls of the database, each with a deadline; and one brings up an embedded server, which may take a minute."""
TURN_S = 15.0
"""The main loop turns once a second at the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts:
    """One lane, now."""

    name: str
    held: bool
    """It is to claim nothing."""
    serving: int
    """Subworkers that take jobs."""
    free: int
    """Slots that run nothing and could start a job, or have one in front of them that they do not start."""
    buffered: int
    """Jobs claimed and not started."""
    alone: int
    """Those of them that wait until they have a subworker to themselves, which may take hours while others have free slots."""
    started: int
    """Jobs started in all."""
    turns: int
    """How often it has been its turn to claim, in all."""
    knows_work: bool
    """It knows of jobs that it could claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A farm, now. Moments are on the monotonic clock, in seconds."""

    now: float
    turned_at: float
    """When the main loop turned last."""
    steps: dict[str, float] = field(default_factory=dict)
    """By the name of a thread: for how long it has been at its present step."""
    served: bool = True
    """A lane has been ready."""
    draining: bool = False
    away_since: float | None = None
    """Since when the database is away."""
    failing_since: float | None = None
    """Since when commits fail."""
    failures: int = 0
    """Commits that have failed, in all."""
    claims_fail: bool = False
    """The last claim, or look for work, has failed."""
    backlog: int = 0
    """Outcomes that wait for their commit."""
    settled: int = 0
    """Outcomes committed in all."""
    lanes: Sequence[LaneFacts] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the other pages say, for that of the numbers."""

    ready: bool
    healthy: bool
    draining: bool


class Health:
    """Remembers since when things have stood still. `look` regularly, from one thread."""

    def __init__(self) -> None:
        self._still: dict[Hashable, tuple[int, float]] = {}
        self._seen: set[Hashable] = set()

    def look(self, facts: Facts) -> list[str]:
        """Return what keeps work from progress, a sentence each; none if nothing does."""
        self._seen = set()
        now = facts.now
        found = []
        if now - facts.turned_at > TURN_S:
            found.append(f"the main loop has not turned for {now - facts.turned_at:.0f} s")
        for name, step_s in facts.steps.items():
            if step_s > STEP_S:
                found.append(f"the thread for {name} has been at one step for {step_s:.0f} s")
        if facts.away_since is not None:
            # Nothing is to be expected now, and in the first moments afterwards.
            self._still.clear()
        else:
            found += self._look_at_commits(facts)
            if not facts.draining:
                for lane in facts.lanes:
                    found += self._look_at_lane(lane, now)
        self._still = {key: still for key, still in self._still.items() if key in self._seen}
        return found

    def _look_at_commits(self, facts: Facts) -> list[str]:
        if facts.failing_since is not None and facts.now - facts.failing_since > STILL_S:
            return [f"commits have failed for {facts.now - facts.failing_since:.0f} s, though the database answers; the log says why"]
        still_s = self._still_s("commits", facts.backlog > 0, facts.settled, facts.now)
        return [f"{facts.backlog:,} outcomes wait, and none was committed for {still_s:.0f} s"] if still_s > STILL_S else []

    def _look_at_lane(self, lane: LaneFacts, now: float) -> list[str]:
        able = lane.serving > 0 and lane.free > 0 and not lane.held
        waiting = lane.buffered - lane.alone
        still_s = self._still_s(("starts", lane.name), able and waiting > 0, lane.started, now)
        if still_s > STILL_S:
            return [f"lane {lane.name} holds {waiting:,} jobs and has {lane.free:,} free slots, and has started none for {still_s:.0f} s"]
        still_s = self._still_s(("claims", lane.name), able and not lane.buffered and lane.knows_work, lane.turns, now)
        if still_s > STILL_S:
            return [f"lane {lane.name} knows of jobs and has {lane.free:,} free slots, and has claimed nothing for {still_s:.0f} s"]
        return []

    def _still_s(self, key: Hashable, could: bool, done: int, now: float) -> float:
        """Return for how long something could have been done of which nothing was."""
        if not could:
            return 0.0
        self._seen.add(key)
        known = self._still.get(key)
        if known is None or known[0] != done:
            self._still[key] = done, now
            return 0.0
        return now - known[1]


def mendable(facts: Facts) -> Facts:
    """Return of these facts what could be mended by starting the farm anew, for whoever does just that: it ends all jobs that run.

    A farm that drains leaves by itself. What the database refuses, for a full disk or a lock that somebody holds, it would refuse the next
    farm as well: then a try is as good as a commit, and of the lanes, which may wait for that, nothing is expected.
    """
    if facts.draining:
        return Facts(now=facts.now, turned_at=facts.turned_at, draining=True)
    if facts.failing_since is not None:
        return replace(facts, failing_since=None, settled=facts.settled + facts.failures, lanes=())
    facts = replace(facts, settled=facts.settled + facts.failures)
    return replace(facts, lanes=[replace(lane, knows_work=False) for lane in facts.lanes]) if facts.claims_fail else facts


def why_not_ready(facts: Facts) -> list[str]:
    """Return what keeps the farm from taking work, a sentence each."""
    found = []
    if facts.draining:
        found.append("the farm is draining")
    elif not facts.served:
        found.append("the farm is starting: no lane has been ready yet")
    else:
        found += [f"lane {lane.name} has no subworker that serves" for lane in facts.lanes if not lane.serving and not lane.held]
    if facts.away_since is not None:
        found.append(f"the database has been away for {facts.now - facts.away_since:.0f} s")
    return found
