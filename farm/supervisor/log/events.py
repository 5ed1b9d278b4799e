"""What the farm's own log tells of, for machines: each change of the farm has a name that stays, whatever its sentence says."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Event(StrEnum):
    """Names of changes; docs/log.md says which fields each has."""

    STARTED = "farm.started"
    READY = "farm.ready"
    DRAINING = "farm.draining"
    HURRIED = "farm.hurried"
    LEFT = "farm.left"
    GAVE_UP = "farm.gave_up"
    RELOADED = "farm.reloaded"
    RELOAD_REFUSED = "farm.reload_refused"
    ASKED = "farm.asked"
    REFUSED = "farm.refused"
    STUCK = "farm.stuck"
    GETS_ON = "farm.gets_on"
    TOOK_OVER = "farm.took_over"
    RETIRED = "host.retired"
    REAPED = "host.reaped"
    TAKEN_FOR_DEAD = "host.taken_for_dead"
    DATABASE_AWAY = "database.away"
    DATABASE_BACK = "database.back"
    HORIZON_HELD = "database.horizon_held"
    WRITER_ENDED = "writer.ended"
    ZYGOTE_ENDED = "zygote.ended"
    SUBWORKER_ENDED = "subworker.ended"
    SUBWORKER_REPLACED = "subworker.replaced"
    LANE_SHORT = "lane.short"
    LANE_FULL = "lane.full"
    MEMORY_SHORT = "memory.short"
    MEMORY_ENOUGH = "memory.enough"
    JOBS_PRUNED = "jobs.pruned"
    JOBS_SPARED = "jobs.spared"
    PRUNING_REFUSED = "jobs.pruning_refused"
    PRUNING_HELD = "jobs.pruning_held"
    PART_FAILED = "part.failed"


def event(name: Event, /, **fields: Any) -> dict[str, Any]:
    """Return what goes along with a log record as `extra`: its event and that one's fields, JSON values all."""
    return {"event": str(name), "fields": fields}
