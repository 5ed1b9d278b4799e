"""A farm as it stands this moment, as data: read from memory alone, for whoever asks through the control socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farm.supervisor.lanes.lane import Lane
from farm.supervisor.processes.generation import Generation


def lane_snapshot(lane: Lane) -> dict[str, Any]:
    """Return what a lane has, does and waits for. `held` jobs are claimed and in no ring; `held_by` says why it claims nothing, if so."""
    return {
        "name": lane.name,
        "queues": list(lane.config.queues),
        "subworkers": lane.config.subworkers,
        "concurrency": lane.config.concurrency,
        "memory_bytes": lane.config.memory_bytes,
        "held_by": sorted(lane.held_by),
        "held": lane.waiting,
        "started": lane.started,
        "crew": [_subworker(generation) for generation in lane.generations],
    }


def _subworker(generation: Generation) -> dict[str, Any]:
    """Return what one subworker does; `unstarted` jobs stand in its ring."""
    return {
        "name": generation.post,
        "pid": generation.pid,
        "phase": str(generation.phase),
        "running": generation.occupied,
        "unstarted": generation.unstarted,
    }


def running(lanes: Sequence[Lane]) -> int:
    """Count the jobs that have started and not ended."""
    return sum(generation.occupied for lane in lanes for generation in lane.generations)
