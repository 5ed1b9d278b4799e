"""Finds a job that runs on this host, and reads what it prints. Takes no part in anything: any process of the same user may look."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from farm import linux
from farm.errors import RingBroken
from farm.home import StateDir
from farm.shm.generation import GenerationFile
from farm.shm.logtails import LogTailReader, Tail
from farm.shm.place import Place, find_places
from farm.shm.slots import RUNNING, Slot


class RunningJob:
    """An attempt that runs, or ran until just now."""

    def __init__(self, file: GenerationFile, slot: Slot) -> None:
        self._file = file
        self._slot = slot
        self._tails = LogTailReader.beside(file.path)

    @property
    def attempt(self) -> int:
        """Which attempt it is, counted from 1."""
        return self._slot.attempt + 1

    @property
    def keeps_log(self) -> bool:
        """False where nobody can look at what is printed before the attempt has ended, if ever."""
        return self._tails is not None

    @property
    def limit_bytes(self) -> int:
        """How much of its log is kept."""
        return 0 if self._tails is None else self._tails.limit_bytes

    @property
    def runs(self) -> bool:
        """True while it has not ended, as far as its subworker has said. A subworker that died says nothing any more."""
        row = self._file.slots.read(self._slot.slot)
        return row is None or (row.state == RUNNING and row.seq == self._slot.seq)

    @property
    def is_gone(self) -> bool:
        """True when its subworker is dead."""
        return not self._file.path.exists() or linux.start_time(self._file.pid) != self._file.pid_start_time

    def read(self, after: int) -> Tail | None:
        """Return what it has printed behind the first `after` bytes, as far as it is still there; None if it has printed nothing.

        Also after its end, until the next job in its slot prints.
        """
        return None if self._tails is None else self._tails.read(self._slot.slot, self._slot.seq, after)

    def close(self) -> None:
        """Let go of its files."""
        self._file.close()
        if self._tails is not None:
            self._tails.close()


def find_here(home: Path, *, host_id: int, job_id: int) -> RunningJob | None:
    """Find a job that runs in a farm of this machine, below this FARM_HOME. host_id: the host that is said to run it."""
    places = (place for state in StateDir.all(home) for place in find_places(state_id=state.id, state_dir=state.path))
    return find_running(places, host_id=host_id, job_id=job_id)


def find_running(places: Iterable[Place], *, host_id: int, job_id: int) -> RunningJob | None:
    """Find a job that runs in one of the runs of this machine's supervisors. host_id: the host that is said to run it."""
    for place in places:
        with suppress(FileNotFoundError):
            for name in place.generations():
                with suppress(FileNotFoundError, PermissionError, RingBroken):
                    file = GenerationFile.open(name.path, read_only=True)
                    found = [slot for slot in file.slots.running() if slot.job_id == job_id] if file.host_id == host_id else []
                    if found:
                        return RunningJob(file, found[0])
                    file.close()
    return None
