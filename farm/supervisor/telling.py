"""Has the monitor tell of a farm that is about to work."""

from __future__ import annotations

import logging

from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk
from farm.supervisor.crew.mainstays import Mainstays
from farm.supervisor.parts import Parts
from farm.supervisor.supervisor import Supervisor
from farm.supervisor.views.exposition import Exposition
from farm.supervisor.views.monitor import Monitor
from farm.supervisor.vitals import Vitals

log = logging.getLogger("farm")


def watch_farm(
    monitor: Monitor, *, supervisor: Supervisor, parts: Parts, mainstays: Mainstays, crew: Crew, desk: Desk, farm: str, version: str
) -> None:
    """Give it what it needs to tell how this farm does. farm: the instance."""
    figures = parts.figures(crew)
    vitals = Vitals(
        supervisor=supervisor,
        crew=crew,
        desk=desk,
        figures=figures,
        mainstays=mainstays,
        steps=parts.steps,
        knows_work=parts.knows_work,
    )
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
