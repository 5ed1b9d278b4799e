"""Taking over from a supervisor that died on this host: its crew is waited for or ended, its rings are drained, its leases reaped.

Only what its own files say is done at once. Leases of still earlier boots wait for the lease time: these files know nothing of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from farm import linux
from farm.errors import FarmError, RingBroken
from farm.failpoints import passing
from farm.filelock import FileLock
from farm.shm.generation import GenerationFile, HeaderPage, RingFile
from farm.shm.place import Place
from farm.shm.ring import Ring
from farm.shm.spill import Spill
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.writer import DESK_NUMBER, Writer
from farm.units import counted

GRACE_S = 1.0
"""How long an orphaned crew may end its jobs by itself."""
END_S = 5.0
"""How long to wait for a crew that was killed. Who still holds its lock then is a stray that a job has made."""
DRAIN_S = 30.0
LOOK_S = 0.005

log = logging.getLogger("farm")


class ReapStore(Protocol):
    """What a take-over asks of the store."""

    def retire(self, host_id: int) -> bool: ...
    def reap(self, host_id: int, started: Sequence[int]) -> int: ...
    def leases_left(self, host_id: int) -> int: ...


def end_old_crew(lock: FileLock, places: Sequence[Place]) -> bool:
    """Wait until the last process of an old crew is gone, kill it after the grace; True when its lock is ours."""
    if lock.try_exclusive():
        return True
    log.info("a crew whose supervisor died is still there: it has %g s to finish", GRACE_S)
    if lock.exclusive(time.monotonic() + GRACE_S):
        return True
    for place in places:
        for file in _files(place):
            if file.pid:
                linux.kill_group(file.pid, file.pid_start_time)
            file.close()
    if lock.exclusive(time.monotonic() + END_S):
        return True
    log.warning("a process that a job left behind still holds the old crew's lock: its jobs come back after the lease time")
    return False


class LateLock:
    """A part: takes the crew's lock as soon as the last stray of an old crew lets go of it, so that a successor waits for ours."""

    EVERY_S, DONE_S = 1.0, 3600.0

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock
        self._held = False

    def step(self, now: float) -> float:
        """Try once; rarely again once it is held."""
        self._held = self._held or self._lock.try_exclusive()
        return self.DONE_S if self._held else self.EVERY_S


class Predecessor:
    """One run of a supervisor that died: its files, which tell what it had started and what it had finished."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._generations: list[GenerationFile] = []
        self._desks: list[RingFile] = []
        for file in _files(place):
            if isinstance(file, GenerationFile):
                self._generations.append(file)
            elif isinstance(file, RingFile) and file.path.name == place.desk.name:
                self._desks.append(file)
            else:
                file.close()
        self._rings = [_ring(file.result_ring) for file in self._generations] + [_ring(file.ring) for file in self._desks]

    def attach(self, writer: Writer) -> None:
        """Have its rings read by our writer."""
        for file in [*self._generations, *self._desks]:
            of_subworker = isinstance(file, GenerationFile)
            writer.attach(name=str(file.path), number=DESK_NUMBER, path=str(file.path), of_subworker=of_subworker, wake_fd=None)

    @property
    def drained(self) -> bool:
        """True when all that it had finished is committed, or dropped by the fence."""
        broken = {index for index, file in enumerate(self._generations) if file.broken}
        return all(ring is None or index in broken or ring.drained for index, ring in enumerate(self._rings))

    def reap(self, store: ReapStore, *, check: Callable[[], None] | None = None) -> tuple[int, int]:
        """Retire its host rows and put its jobs back, with the slots as evidence of what had started. Returns (jobs, started).

        A lease that a commit of its own has locked, perhaps of a backend whose client is gone, is waited for, up to DRAIN_S.
        """
        deadline = time.monotonic() + DRAIN_S
        started = [slot.job_id for file in self._generations for slot in file.slots.running()]
        jobs = 0
        for host_id in sorted({file.host_id for file in [*self._generations, *self._desks]}):
            store.retire(host_id)
            passing("takeover.after_retire")
            while store.leases_left(host_id):
                reaped = store.reap(host_id, started)
                jobs += reaped
                if not reaped:
                    if time.monotonic() > deadline:
                        raise FarmError(f"leases of an earlier run in {self._place.path} are locked by somebody: is the database well?")
                    if check is not None:
                        check()
                    time.sleep(LOOK_S)
        return jobs, len(started)

    def remove(self, writer: Writer, spill: Spill) -> None:
        """Remove its files: nothing in them is needed any more."""
        for file in [*self._generations, *self._desks]:
            writer.detach(str(file.path))
        for ring in self._rings:
            if ring is not None:
                ring.close()
        for file in [*self._generations, *self._desks]:
            file.close()
        spill.remove_of_run(self._place.path.name)
        self._place.remove()


def take_over(places: Sequence[Place], *, writer: Writer, store: ReapStore, spill: Spill, check: Callable[[], None]) -> None:
    """Take over from every run that left files behind, the oldest first. check is called while waiting and may raise."""
    for place in places:
        predecessor = Predecessor(place)
        passing("takeover.before_drain")
        predecessor.attach(writer)
        deadline = time.monotonic() + DRAIN_S
        while not predecessor.drained:
            if time.monotonic() > deadline:
                raise FarmError(f"the results of an earlier run in {place.path} cannot be committed: is the database well?")
            check()
            # They concern nobody, but a writer whose acks nobody takes stands still.
            writer.acks()
            time.sleep(LOOK_S)
        passing("takeover.after_drain")
        jobs, started = predecessor.reap(store, check=check)
        passing("takeover.after_reap")
        predecessor.remove(writer, spill)
        if jobs:
            took = event(Event.TOOK_OVER, jobs=jobs, started=started)
            log.info("took over %s of an earlier run, %s of them had started", counted(jobs, "job"), f"{started:,}", extra=took)


def _files(place: Place) -> list[HeaderPage]:
    """Open every file of a run that can be read."""
    files: list[HeaderPage] = []
    for path in sorted(place.path.iterdir()):
        for kind in (GenerationFile, RingFile):
            with suppress(RingBroken, OSError):
                files.append(kind.open(path))
                break
    return files


def _ring(memory: memoryview) -> Ring | None:
    try:
        return Ring(memory)
    except RingBroken:
        return None
