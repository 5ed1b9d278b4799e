"""Passes on what running jobs have said of their progress: a statement at a beat at which any of it has changed, none at all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from farm.headway import Progress
from farm.shm.slots import Slot
from farm.supervisor.processes.generation import Generation

JOBS_MAX = 1000
"""Of which a host passes it on, those that have run for longest: a row that is rewritten every second has to have a bound."""


class Told(Protocol):
    """What is asked of the store."""

    def tell_progress(self, host_id: int, said: Mapping[int, Progress]) -> None: ...


class ProgressTeller:
    """Knows what was told last. Of the heartbeat's thread."""

    def __init__(self, store: Told) -> None:
        self._store = store
        self._told: tuple[int, dict[int, Progress]] = (0, {})
        """For which host row, and what."""

    def tell(self, host_id: int, running: Iterable[tuple[Generation, Slot]]) -> None:
        """Tell what these jobs say, if it is not what was told last. Raises StoreUnavailable; then it is told at the next beat."""
        said = [
            (slot.started_ns, slot.job_id, progress)
            for generation, slot in running
            if (progress := generation.file.progress.read(slot.slot, slot.seq)) is not None
        ]
        if len(said) > JOBS_MAX:
            said = sorted(said)[:JOBS_MAX]
        now = (host_id, {job_id: progress for _started_ns, job_id, progress in said})
        # Nothing was told for this host row, and there is nothing: it needs no row.
        if now != self._told and (now[1] or self._told[0] == host_id):
            self._store.tell_progress(*now)
            self._told = now
