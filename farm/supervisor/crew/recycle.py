"""When a subworker has served for long enough: the rule, on figures that are there anyhow. Knows no clock and no process."""

from __future__ import annotations

from dataclasses import dataclass

from farm.config.model import Recycle
from farm.units import counted, format_duration, format_size

JITTER = 0.1
"""Those that were born together are not to go together: each goes up to this share of `max_age` before its time."""
GOLDEN = 0.618034
FORGIVEN_SHARE = 4
"""Where rss_growth is at most this part of the lane's memory, the first growth by that much is taken for what its tasks have loaded."""
GROWN_S = 1.0
"""How long one with many jobs in flight must have grown: it is never seen between two jobs, and theirs may be freed in a moment."""
ASK_S = 1.0
"""Between two times that the same subworker stands back to be measured."""


def age_limit_s(recycle: Recycle, number: int) -> float:
    """Return the age at which the subworker of this number goes, infinite if it goes at none. Neighbours are far from each other."""
    return recycle.max_age_s * (1 - JITTER * (number * GOLDEN % 1)) if recycle.max_age_s else float("inf")


def why_due(recycle: Recycle, *, number: int, started: int, age_s: float) -> str:
    """Say why a subworker that has started so many jobs at this age is due, "" if it is not."""
    if 0 < recycle.max_jobs <= started:
        return f"after {counted(started, 'job')}"
    if age_s >= age_limit_s(recycle, number):
        return f"at the age of {format_duration(round(age_s, 1))}"
    return ""


@dataclass(slots=True)
class Growth:
    """What the heap of one subworker has come to since it was set up."""

    floor_bytes: int
    grown_bytes: int = 0
    since: float = float("inf")
    """Since when it was found to have grown too much at every look."""
    asked_at: float = float("-inf")
    """When it was asked last to stand back and be measured."""
    forgave: bool = False
    started: int = 0
    """What it had started at the last look."""

    def note(self, recycle: Recycle, private_bytes: int, now: float) -> bool:
        """Take in a look; True if it has grown by more than it may."""
        self.grown_bytes = private_bytes - self.floor_bytes
        too_much = 0 < recycle.rss_growth_bytes < self.grown_bytes
        self.since = min(self.since, now) if too_much else float("inf")
        return too_much

    def suspect(self, now: float, *, single: bool) -> bool:
        """Tell whether it is time to do something about it: to have one that runs one job at a time measured between two jobs, as a job
        may need much and give it all back; or, where there is nothing between jobs, to replace it."""
        if single:
            return self.since <= now and now >= self.asked_at + ASK_S
        return now >= self.since + GROWN_S

    def forgive(self, recycle: Recycle, memory_bytes: int) -> bool:
        """Take what it has grown by for modules and caches that stay, once, where there is room for as much again; False if not."""
        if self.forgave or recycle.rss_growth_bytes * FORGIVEN_SHARE > memory_bytes:
            return False
        self.forgave, self.since, self.asked_at = True, float("inf"), float("-inf")
        self.floor_bytes += self.grown_bytes
        return True

    @property
    def why(self) -> str:
        return f"grown by {format_size(self.grown_bytes // 1_000_000 * 1_000_000)}"
