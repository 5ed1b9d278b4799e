"""Has those tell of a farm that is about to work who are asked how it does: the monitor, and the service manager's watchdog."""

from __future__ import annotations

import logging
from collections.abc import Callable

from farm.metrics.health import Health, mendable
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.parts import Parts
from farm.supervisor.views.exposition import Exposition
from farm.supervisor.views.monitor import Monitor
from farm.supervisor.vitals import Vitals

log = logging.getLogger("farm")


def judge_of(vitals: Vitals) -> Callable[[], str]:
    """Return what says why this farm makes no progress though a new start could mend that, "" if it does; to be called regularly."""
    health = Health()
    return lambda: "; ".join(health.look(mendable(vitals.facts())))


def watch_farm(monitor: Monitor, vitals: Vitals, *, parts: Parts, mainstays: Mainstays, crew: Crew, farm: str, version: str) -> None:
    """Give it what it needs to tell how this farm does. farm: the instance."""
    figures = parts.figures(crew)
    exposition = Exposition(
        crew=crew,
        mainstays=mainstays,
        figures=figures,
        depths=parts.depths,
        commits=vitals.commits,
        thread_failures=parts.thread_failures,
        farm=farm,
        version=version,
    )
    monitor.watch(vitals.facts, exposition.page)
    log.info("metrics are at %s/metrics", monitor.url)
