"""How busy a lane is: the share of its slots' time, over the last seconds, that they had a job. A rule: no clock, no shared memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from farm.shm.slottime import SlotTime

BUCKET_NS = 1_000_000_000
"""Looks that follow each other more closely are kept as one."""
KEPT_NS = 60 * BUCKET_NS
"""The longest time over which anybody asks."""


class Bucket(NamedTuple):
    """What the slots of a lane came to between two moments."""

    began_ns: int
    ended_ns: int
    busy_ns: int
    slots_ns: int
    """The time of all slots that served."""


class Occupancy:
    """Of one lane, across the lives of its subworkers. What one did between the last look at it and its end is not counted, neither
    as busy nor as time: with a look a second that is a second of one subworker for each that ends."""

    def __init__(self) -> None:
        self._busy_ns: dict[str, int] = {}
        """By name, as of the last look."""
        self._looked_ns = 0
        self._buckets: deque[Bucket] = deque()

    def note(self, now_ns: int, times: Mapping[str, SlotTime]) -> None:
        """Take in what the subworkers that serve say at this moment, by their names, none of which is used twice."""
        since_ns, self._looked_ns = self._looked_ns, now_ns
        known, self._busy_ns = self._busy_ns, {subworker: time.busy_ns for subworker, time in times.items()}
        busy_ns = slots_ns = 0
        for subworker, time in times.items():
            if subworker not in known and not since_ns:
                # Nobody has looked before: what was is not known to be recent.
                continue
            # One that is new has served for a part of the time only.
            served_ns = time.slots * max(0, now_ns - (since_ns if subworker in known else max(since_ns, time.since_ns)))
            busy_ns += min(served_ns, max(0, time.busy_ns - known.get(subworker, 0)))
            slots_ns += served_ns
        if since_ns:
            self._add(Bucket(since_ns, now_ns, busy_ns, slots_ns))

    def percent(self, window_s: float) -> int | None:
        """Return the share of slot time busy over the last seconds, at most 60, in percent; None if no slot served in them."""
        busy_ns = slots_ns = 0
        for bucket in reversed(self._buckets):
            if bucket.ended_ns <= self._looked_ns - window_s * 1e9:
                break
            busy_ns += bucket.busy_ns
            slots_ns += bucket.slots_ns
        return round(100 * busy_ns / slots_ns) if slots_ns else None

    def _add(self, new: Bucket) -> None:
        buckets = self._buckets
        if buckets and new.ended_ns - buckets[-1].began_ns <= BUCKET_NS:
            last = buckets.pop()
            new = Bucket(last.began_ns, new.ended_ns, last.busy_ns + new.busy_ns, last.slots_ns + new.slots_ns)
        buckets.append(new)
        while buckets[0].ended_ns <= new.ended_ns - KEPT_NS:
            buckets.popleft()
