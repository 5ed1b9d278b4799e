"""What a farm says of its lanes when it starts: their capacity, whose jobs they take, and what they may come to in memory."""

from __future__ import annotations

import logging

from farm.config.budget import budget_of
from farm.config.model import Config

log = logging.getLogger("farm")


def announce_lanes(config: Config) -> None:
    """Log the lanes, the queues if there are any that no lane takes, and the table of their memory; as a warning if it is too much."""
    lanes = ", ".join(f"{lane.name} ({lane.capacity}; queues {' > '.join(lane.queues)})" for lane in config.lanes)
    log.info("lanes: %s", lanes)
    if not config.takes_any_queue:
        log.info("queues: %s; no lane has '*', so jobs in any other queue wait for another host", ", ".join(config.queues))
    budget = budget_of(config)
    level = logging.INFO if budget.fits else logging.WARNING
    log.log(level, "%s", budget.headline, extra={"rows": budget.rows(), "fields": {"memory": budget.as_data()}})
