"""What a test must not leave behind: processes, locks that a process still holds, files in shared memory."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

from farm.cgroups import remove_in_time
from farm.embedded.cluster import Cluster
from farm.filelock import FileLock
from farm.home import StateDir
from farm.supervisor.processes.groups import NOTES

LEAVE_S_MAX = 15.0
SHARED_MEMORY = Path("/dev/shm")


def postgres_segments() -> set[Path]:
    """List what PostgreSQL servers have in shared memory."""
    return set(SHARED_MEMORY.glob("PostgreSQL.*"))


def remove_orphaned_segments(known: set[Path]) -> None:
    """Remove segments that came up since and that no process maps: an initdb that a test killed has nobody to clean up after it."""
    new = postgres_segments() - known
    mapped: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            mapped |= {path.name for path in new if path.name in maps.read_text()}
    for path in new:
        if path.name not in mapped:
            with suppress(OSError):
                path.unlink()


def children_left(known: set[int]) -> list[str]:
    """List our children that are not among the known ones, after giving them time to go; those that stay are killed."""
    deadline = time.monotonic() + LEAVE_S_MAX
    while left := _children(known):
        if time.monotonic() >= deadline:
            texts = [_describe(child) for child in left]
            for child in left:
                _kill(child)
            return texts
        time.sleep(0.02)
    return []


def home_left(home: Path, *, rings_may_stay: bool) -> list[str]:
    """List what still runs on a FARM_HOME or lies in shared memory for it, after giving it time to go; removes the files."""
    left = []
    for state in StateDir.all(home):
        for path in (state.supervisor_lock_path, state.crew_lock_path):
            if path.exists() and not _becomes_free(path):
                left.append(f"{path} is held by {_holders(path)}")
        rings = SHARED_MEMORY / f"farm-{state.id}"
        if rings.exists():
            if not rings_may_stay:
                left.append(f"{rings}: {sorted(path.name for path in rings.rglob('*'))}")
            shutil.rmtree(rings)
        for group in groups_left(state.path):
            # A stray that a test has ended itself was in one when the farm left: then it is empty now, and goes.
            remove_in_time(group)
            if group.exists():
                left.append(f"{group}: {[path.name for path in group.iterdir() if path.is_dir()]}")
    hurry_keepers(home)
    for cluster in Cluster.existing(home):
        for path in (cluster.users_lock_path, cluster.keeper_lock_path):
            if path.exists() and not _becomes_free(path):
                left.append(f"{path} is held by {_holders(path)}")
    return left


def groups_left(state_path: Path) -> list[Path]:
    """Return the control groups that farms of a state directory have made and that are still there."""
    notes = state_path / NOTES
    return [Path(line) for line in notes.read_text().splitlines() if Path(line).exists()] if notes.exists() else []


def hurry_keepers(home: Path) -> None:
    """Tell the keepers of embedded servers to go as soon as nobody uses them, without waiting for another user."""
    for cluster in Cluster.existing(home):
        if not cluster.keeper_lock_path.exists():
            continue
        with FileLock(cluster.keeper_lock_path) as lock:
            pid = None if lock.try_shared() else lock.noted_pid()
        if pid is not None and "keep.py" in _describe_pid(pid):
            os.kill(pid, signal.SIGTERM)


def _children(known: set[int]) -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.pid not in known]


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return str(process.pid)


def _describe_pid(pid: int) -> str:
    try:
        return _describe(psutil.Process(pid))
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
        process.wait(5)
    except psutil.Error:
        pass


def _becomes_free(path: Path) -> bool:
    with FileLock(path) as lock:
        return lock.exclusive(time.monotonic() + LEAVE_S_MAX)


def _holders(path: Path) -> list[str]:
    found = path.stat()
    holders = []
    for process in psutil.process_iter():
        try:
            opened = [os.stat(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")]
        except OSError:
            continue
        if any((each.st_dev, each.st_ino) == (found.st_dev, found.st_ino) for each in opened):
            holders.append(_describe(process))
    return holders
