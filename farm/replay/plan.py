"""How a job is to be run again: the lane whose limits hold, and all that its process is told. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import runners
from farm.config.model import ANYTHING, Config, Lane
from farm.errors import FarmError
from farm.replay.order import ReplayOrder
from farm.retry import Policies
from farm.spelling import did_you_mean
from farm.subworker.order import ForkOrder

ENDED_KINDS = ("succeeded", "failed", "timed_out", "crashed", "memory", "lost", "stopped", "cancelled")
"""Attempts that have run and ended."""


def attempt_of(job: Mapping[str, Any], number: int | None) -> Mapping[str, Any]:
    """Return the attempt to be run again: the last that has run, or the newest with that number; with its `result` if it has one.

    Raises FarmError.
    """
    ran = [attempt for attempt in job["attempts"] if attempt["kind"] in ENDED_KINDS and attempt["started_at"] is not None]
    if not ran:
        raise FarmError(f"job {job['id']} is {job['state']} and has not run yet: there is nothing to be run again")
    chosen = ran if number is None else [attempt for attempt in ran if attempt["attempt"] == number]
    if not chosen:
        raise FarmError(f"job {job['id']} has no attempt {number} that ran; it has {', '.join(str(one['attempt']) for one in ran)}")
    last = chosen[-1]
    return {**last, "result": job["result"]} if last["kind"] == "succeeded" else last


def lane_of(config: Config, job: Mapping[str, Any], name: str | None) -> Lane:
    """Return the lane that would run the job on this host, or the one that was named. Raises FarmError."""
    if name is not None:
        for lane in config.lanes:
            if lane.name == name:
                return lane
        close = did_you_mean(name, [lane.name for lane in config.lanes])
        raise FarmError(f"{config.path} has no lane {name!r}{close}")
    needed = job["memory_bytes"] or 0
    takers = [lane for lane in config.lanes if (job["queue"] in lane.queues or ANYTHING in lane.queues) and lane.memory_bytes >= needed]
    if not takers:
        raise FarmError(f"no lane of {config.path} takes job {job['id']} (queue {job['queue']}): name one with --lane")
    named = [lane for lane in takers if job["queue"] in lane.queues]
    return (named or takers)[0]


def timeout_s_of(config: Config, lane: Lane, job: Mapping[str, Any]) -> float:
    """Return how long it may run, 0 for as long as it likes: as it says itself, else as its task's policy says, else as its lane does."""
    return float(job["timeout_s"] or Policies(config.tasks).of(job["task"]).timeout_s or lane.timeout_s)


def order_of(config: Config, lane: Lane, job: Mapping[str, Any], attempt: int, *, debugger: bool) -> ReplayOrder:
    """Return what the process is told. Raises FarmError for a job that may not run on this host."""
    runner = job["runner"]
    if runner not in config.runners:
        raise FarmError(f"{config.path} has no runner {runner!r}, which job {job['id']} needs")
    options = config.runners[runner]
    if (refused := runners.load(runner).allows(options, job["task"])) is not None:
        raise FarmError(f"{job['task']}: {refused}")
    fork = ForkOrder(
        name="replay",
        path="",
        lane=lane.name,
        concurrency=1,
        memory_bytes=lane.memory_bytes,
        keep_result=lane.keep_result,
        runners=((runner, options),),
        env=lane.env,
        cpus=lane.cpus,
        nice=lane.nice,
        setup=lane.setup,
        spill_directory="",
        spill_owner="",
        spill_bytes_max=0,
        supervisor_pid=0,
    )
    return ReplayOrder(fork=fork, job_id=job["id"], task=job["task"], args=job["args"], attempt=attempt, debugger=debugger)
