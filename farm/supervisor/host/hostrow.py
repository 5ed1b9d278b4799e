"""What the row of a host says of its configuration: what it can take, for screens and for whoever asks why a job waits."""

from __future__ import annotations

from typing import Any

from farm.config.model import Config, Lane


def described(config: Config) -> dict[str, Any]:
    """Return lanes, runners, capacity (jobs at once) and memory_bytes, as HostStore.register and describe take them."""
    return {
        # jsonb keeps no order: it is told beside.
        "lanes": {lane.name: {"place": place, **_lane(lane)} for place, lane in enumerate(config.lanes)},
        "runners": sorted(config.runners),
        "capacity": sum(lane.subworkers * lane.concurrency for lane in config.lanes),
        "memory_bytes": config.host.memory_bytes,
    }


def _lane(lane: Lane) -> dict[str, Any]:
    """Return what a lane is; of its variables the names alone, since values may be secret. What it does without is left out."""
    recycle = {"max_jobs": lane.recycle.max_jobs, "rss_growth_bytes": lane.recycle.rss_growth_bytes, "max_age_s": lane.recycle.max_age_s}
    optional = {
        "timeout_s": lane.timeout_s,
        "setup": list(lane.setup),
        "env": sorted(lane.env),
        "cpus": list(lane.cpus),
        "nice": lane.nice,
        "recycle": {name: value for name, value in recycle.items() if value},
    }
    return {
        "queues": list(lane.queues),
        "subworkers": lane.subworkers,
        "concurrency": lane.concurrency,
        "memory_bytes": lane.memory_bytes,
        **{name: value for name, value in optional.items() if value},
    }
