"""Taking over from a supervisor that died: its crew is waited for, its files are the evidence, and nobody else is signalled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from farm import linux
from farm.filelock import FileLock
from farm.shm.generation import GenerationFile
from farm.shm.place import Place
from farm.supervisor.host import takeover
from farm.supervisor.host.takeover import Predecessor, end_old_crew


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[FileLock]:
    with FileLock(tmp_path / "crew.lock") as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "run").mkdir()
    return Place(tmp_path / "run")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "GRACE_S", 0.05)
    monkeypatch.setattr(takeover, "END_S", 0.05)


def test_nothing_is_taken_over_while_somebody_holds_the_lock_of_the_old_crew(lock: FileLock, place: Place, hasty: None) -> None:
    """A stray that no kill has reached: its jobs are left to the lease time."""
    with FileLock(lock.path) as stray:
        assert stray.try_exclusive()
        assert not end_old_crew(lock, [place])
    assert end_old_crew(lock, [place])


def test_the_old_crew_is_killed_by_pid_and_start_time(lock: FileLock, place: Place, hasty: None) -> None:
    """A process that has come to the pid of one of the crew since is none of ours."""
    stranger, orphan = (subprocess.Popen(["sleep", "3600"], start_new_session=True) for _ in range(2))
    for process, later in ((stranger, 1), (orphan, 0)):
        file = GenerationFile.create(place.path / f"w{later}.1", slots=1, host_id=1)
        file.pid, file.pid_start_time = process.pid, (linux.start_time(process.pid) or 0) + later
        file.close()
    try:
        with FileLock(lock.path) as held:
            assert held.try_exclusive()
            end_old_crew(lock, [place])
        assert orphan.wait(10) == -9
        assert stranger.poll() is None
    finally:
        for process in (stranger, orphan):
            process.kill()
            process.wait()


class FakeStore:
    """Plays the store: a host with one lease, and what is said of it."""

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []
        self.leases = 1

    def retire(self, host_id: int) -> bool:
        self.said.append(("retire", host_id))
        return True

    def reap(self, host_id: int, started: Sequence[int]) -> int:
        self.said.append(("reap", host_id, list(started)))
        self.leases = 0
        return 2

    def leases_left(self, host_id: int) -> int:
        return self.leases


def test_slots_tell_which_jobs_had_started(place: Place) -> None:
    """Its host row is retired first: after that it can claim nothing more that this reap would miss."""
    for number in range(2):
        file = GenerationFile.create(place.path / f"w{number}.1", slots=1, host_id=7)
        file.slots.mark(0, 1, 7 << 32, 0, 40 + number, 0, 0, 1, 0)
        if number:
            file.slots.set_running(0)
        file.close()
    store = FakeStore()
    assert Predecessor(place).reap(store) == (2, 1)
    assert store.said == [("retire", 7), ("reap", 7, [41])]
