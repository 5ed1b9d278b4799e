"""What the parts of a supervisor have done since its start: plain numbers, each written by one thread and read by any, without a lock.

Something is added for a claim, a beat, a death, never for a job. A mapping that grows is replaced as a whole, so that whoever goes
through it meets no change.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from farm.model import OutcomeKind
from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread
from farm.subworker.limits import LEAVES_FULL
from farm.supervisor.processes.generation import Generation


@dataclass(slots=True)
class LaneClaims:
    """What was claimed for one lane."""

    claims: int = 0
    """Those that brought nothing included."""
    jobs: int = 0
    empty: int = 0


class ClaimFigures:
    """Written by the claim thread."""

    def __init__(self) -> None:
        self.times = Spread(TIME_BOUNDS_S)
        """Seconds of each claim: the statement, and the reading of what it has brought."""
        self.sizes = Spread(SIZE_BOUNDS)
        """Jobs of each claim that has brought any."""
        self.by_lane: Mapping[str, LaneClaims] = {}

    def note(self, lane: str, jobs: int, taken_s: float) -> None:
        """Count a claim that was answered."""
        self.times.note(taken_s)
        of_lane = self.by_lane.get(lane)
        if of_lane is None:
            of_lane = LaneClaims()
            self.by_lane = {**self.by_lane, lane: of_lane}
        of_lane.claims += 1
        if jobs:
            self.sizes.note(jobs)
            of_lane.jobs += jobs
        else:
            of_lane.empty += 1

    def keep(self, lanes: frozenset[str]) -> None:
        """Forget lanes that are gone."""
        self.by_lane = {name: claims for name, claims in self.by_lane.items() if name in lanes}


@dataclass(slots=True)
class BeatFigures:
    """Written by the heartbeat's thread, which is the one that notices when the database goes and comes back."""

    beats: int = 0
    last_s: float | None = None
    """How long the last good one took."""
    outages: int = 0
    """That have begun."""
    away_s: float = 0.0
    """Of those that are over, together."""
    away_since: float | None = None
    """On the monotonic clock; None while the database answers."""

    def note_beat(self, taken_s: float, now: float) -> None:
        """Count a beat that was answered; an outage is over with it."""
        self.beats += 1
        self.last_s = taken_s
        if self.away_since is not None:
            self.away_s += now - self.away_since
            self.away_since = None

    def note_away(self, now: float) -> None:
        """Take in that the database did not answer."""
        if self.away_since is None:
            self.outages += 1
            self.away_since = now

    def outage_s(self, now: float) -> float:
        """Return for how long the database was away in all, up to now."""
        since = self.away_since
        return self.away_s + (0.0 if since is None else max(0.0, now - since))


@dataclass(slots=True)
class UpkeepFigures:
    """Written by the upkeep thread. Every supervisor does this for all hosts: these are what this one has done."""

    hosts_retired: int = 0
    """Other hosts that had not beaten for a lease time."""
    leases_reaped: int = 0
    """Of retired hosts, ended."""
    jobs_reaped: int = 0
    """Taken back from these."""
    jobs_promoted: int = 0
    """Scheduled ones that became due."""
    jobs_expired: int = 0
    commits_ended: int = 0
    """Commits of writers that are gone, which held leases."""
    horizon_age_s: float = 0.0
    """Age of the oldest thing that kept the database from cleaning up at the last look, within a minute; 0: there was none."""


class Reason(StrEnum):
    """Why a subworker has a successor."""

    CRASHED = "crashed"
    MEMORY = "memory"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    RECYCLED = "recycled"
    """Due after so many jobs, at its age, or grown too much."""
    RELOAD = "reload"
    """The configuration has changed."""
    RETIRED = "retired"
    """Its host was declared dead and began again."""
    SETUP = "setup"
    """It could not be set up."""


_OF_DOOM = {
    OutcomeKind.TIMED_OUT: Reason.TIMEOUT,
    OutcomeKind.MEMORY: Reason.MEMORY,
    OutcomeKind.CANCELLED: Reason.CANCELLED,
    OutcomeKind.CRASHED: Reason.CRASHED,
}


@dataclass(slots=True)
class RestartFigures:
    """Written by the main thread."""

    by_lane: Mapping[tuple[str, Reason], int] = field(default_factory=dict)
    """By the name of the lane, and why."""

    def note(self, lane: str, reason: Reason) -> None:
        """Count one subworker that has, or is to have, a successor."""
        known = self.by_lane
        self.by_lane = {**known, (lane, reason): known.get((lane, reason), 0) + 1}

    def forget(self, lane: str) -> None:
        """Forget a lane that is gone."""
        self.by_lane = {key: count for key, count in self.by_lane.items() if key[0] != lane}


def reason_of(generation: Generation, *, served: bool, told_to_end: bool) -> Reason | None:
    """Return why one that has died is to have a successor; None if it has one already, or none comes for it.

    served: it had a post and was set up. told_to_end: it did not end by itself.
    """
    if not served:
        return None if told_to_end and not generation.missed_why else Reason.SETUP
    if generation.doom is not None:
        return _OF_DOOM.get(generation.doom.kind)
    if generation.leaving:
        # Replaced while it lived, or not to be replaced.
        return None
    if told_to_end:
        return Reason.RETIRED
    code = 0 if generation.exit_status is None else os.waitstatus_to_exitcode(generation.exit_status)
    return Reason.MEMORY if code == LEAVES_FULL or generation.killed_by_kernel else Reason.CRASHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All of them."""

    claims: ClaimFigures
    beats: BeatFigures
    upkeep: UpkeepFigures
    restarts: RestartFigures
