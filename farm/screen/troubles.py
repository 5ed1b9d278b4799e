"""What an operator should read first, in words. Rules: pure functions of what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from farm.headway import printable
from farm.screen.model import JobRun, QueueView, SubworkerView
from farm.units import format_duration, format_size

SLOW_S = 2.0
SLOW_FACTOR = 4.0
"""A job is slow that runs for longer than this, and than so many times what half of its lane's jobs take."""
TAKEN_SHARE = 0.75
"""So many of a lane's slots taken by slow jobs are what keeps it from the others."""
NEAR_SHARE = 0.75
"""Of a subworker's limit: from here on it is told of, if it grows."""
SOON_SHARE, SOON_S = 0.4, 10.0
"""From here on, if it would reach its limit within so long."""
FULL_SHARE = 0.92
"""From here on in any case."""
GROWS = 1e6
"""Bytes a second."""
HORIZON_S = 30.0
"""What has kept the database from cleaning up for so long is told of."""
HORIZON_S_MIN, HORIZON_JOBS = 2.0, 20_000
"""Sooner, if about so many jobs have ended since: each leaves two or three dead rows. Or if it is a session that does nothing."""

QUEUES_NAMED = 5
"""Of those that no lane serves."""

HELD = {
    "paused": "paused",
    "memory": "claims nothing: the host is short of memory",
    "leaving": "is about to leave: the configuration has no such lane any more",
}


class Slots(NamedTuple):
    """What the slots of a lane are taken by."""

    capacity: int
    running: int
    slow: int
    """Jobs that have run for longer than slow_s()."""
    jobs: Sequence[JobRun]
    """Those that run, or of very many the longest."""


def slow_s(median_s: float | None) -> float:
    """Return from when on a job is slow, where half of its lane's jobs take median_s or less."""
    return max(SLOW_S, SLOW_FACTOR * (median_s or 0.0))


def starved(slots: Slots, *, waiting: int, median_s: float | None) -> str:
    """Say which slow task has taken the slots of a lane while others wait; "" if none has."""
    if not slots.capacity or not waiting or slots.running < slots.capacity:
        return ""
    slow = [job for job in slots.jobs if job.running_s >= slow_s(median_s)]
    if not slow or slots.slow < TAKEN_SHARE * slots.capacity:
        return ""
    task, listed = Counter(job.task for job in slow).most_common(1)[0]
    # Of very many some are looked at, and stand for the others.
    count = round(slots.slow * listed / len(slow))
    longest_s = max(job.running_s for job in slow if job.task == task)
    of = f"{count} of {slots.capacity} slots" if slots.capacity > 1 else "its only slot"
    return f"{of} taken by {task or 'slow jobs'} for up to {format_duration(longest_s)} while {more_than(waiting)} wait"


def trouble_of(held_by: Iterable[str], *, missing: str, serving: int, full: int, starved_by: str) -> str:
    """Say why a lane does less than it should; "" if nothing is wrong."""
    for reason in held_by:
        return HELD.get(reason, f"is held: {reason}")
    if serving < full:
        return f"{serving} of {full} subworkers{f': {missing}' if missing else ''}"
    return starved_by or missing


def eaters(subworkers: Iterable[SubworkerView], growth: dict[int, float]) -> Iterator[str]:
    """Say which subworkers are about to be ended for their memory, and the jobs that take it. growth: bytes a second, by pid."""
    for one in subworkers:
        share = one.rss_bytes / one.limit_bytes if one.limit_bytes else 0.0
        grows = growth.get(one.pid, 0.0)
        left_s = (one.limit_bytes - one.rss_bytes) / grows if grows >= GROWS else float("inf")
        near = (share >= NEAR_SHARE and grows >= GROWS) or (share >= SOON_SHARE and left_s <= SOON_S)
        if not near and share < FULL_SHARE:
            continue
        by = f", and grows by {format_size(grows)} a second" if grows >= GROWS else ""
        holds = f"holds {format_size(one.rss_bytes)} of at most {format_size(one.limit_bytes)}{by}"
        yield f"{one.name} of lane {one.lane} {holds}: {_jobs(one.jobs)}"


def horizon_hurts(age_s: float, rate: float, *, idle: bool) -> bool:
    """Tell whether what has held the horizon for so long is to be told of, while so many jobs a second end.

    idle: a session that has left its transaction open and does nothing: who comes back after a moment is not meant.
    """
    return age_s >= HORIZON_S or (age_s >= HORIZON_S_MIN and (idle or age_s * rate >= HORIZON_JOBS))


def horizon_notice(holder: str, age_s: float) -> str:
    """Say what keeps the database from cleaning up."""
    return f"{holder} keeps all that was done in the last {format_duration(age_s)} from being cleaned up"


def notices_of_lanes(troubles: Mapping[str, str]) -> Iterator[str]:
    """Say which lanes have trouble, except that somebody has paused them: that is meant so. troubles: by lane, "" if nothing is wrong."""
    for lane, trouble in troubles.items():
        if trouble and trouble != HELD["paused"]:
            yield f"lane {lane}: {trouble}"


def notices_of_queues(queues: Iterable[QueueView]) -> Iterator[str]:
    """Say in which queues jobs wait in vain: those that no lane takes from. One sentence, however many they are."""
    names = [queue.name for queue in queues if queue.unserved and queue.ready]
    if not names:
        return
    more = f" and {len(names) - QUEUES_NAMED:,} more" if len(names) > QUEUES_NAMED else ""
    yield f"no lane serves the queue{'s' if len(names) > 1 else ''} {', '.join(names[:QUEUES_NAMED])}{more}"


def more_than(number: int) -> str:
    """Show how many jobs wait: what was counted up to its bound is a lower one."""
    return f"{number:,}" if number <= 10_000 else "more than 10,000"


def _jobs(jobs: Sequence[JobRun]) -> str:
    if not jobs:
        return "it runs nothing"
    first = jobs[0]
    more = f" and {len(jobs) - 1} more jobs" if len(jobs) > 1 else ""
    return printable(f"job {first.job_id}{f' ({first.task})' if first.task else ''}{more}")
