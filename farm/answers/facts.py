"""What is known of a job and of what is around it, as data: what `farm why` reasons from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

COUNTED_MAX = 10_000
"""Counts stop at one more, which then means: more than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Jobs of its queue that are claimed before a job, each counted up to COUNTED_MAX + 1."""

    more_urgent: int = 0
    older: int = 0
    """Of its priority, runner and memory class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """Jobs of one task and queue that run in one lane."""

    host_id: int
    lane: str
    queue: str
    runner: str
    task: str
    jobs: int
    longest_s: float
    """How long the one that has run longest has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The claim that holds a job."""

    host_id: int
    claimed_at: datetime
    before: int
    """Jobs of the same claim that are in front of it and have not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """Somebody wants it to end."""

    asked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it. job and hosts are as ReadStore.job and ReadStore.hosts have them."""

    now: datetime
    """By the database's clock, which all other times are of."""
    job_id: int
    job: dict[str, Any] | None
    hosts: Sequence[dict[str, Any]] = ()
    ahead: Ahead = field(default_factory=Ahead)
    """Of a job that is ready."""
    running: Sequence[RunningTask] = ()
    """Of a job that is ready or claimed."""
    waiting_queues: frozenset[str] = frozenset()
    """Those in which anything waits; of a job that is ready."""
    hold: Hold | None = None
    timeout_s: float | None = None
    """The job's own; its lane or task may give it one too."""
    cancel: CancelAsked | None = None
    last_id: int = 0
    """The last one that was given out."""
