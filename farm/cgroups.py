"""Linux's control groups for memory: where this process may make some, and what one of them can do. Version 1 and version 2.

Nothing is ever written outside of the subtree that is ours: below our own group of version 1, and of version 2 only where that, or the one
that it is in, was delegated to us.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOUNTS = "sys/fs/cgroup"
PROCS = "cgroup.procs"
ITSELF = "0"
"""Written to PROCS: the process that writes it."""
DELEGATED = ("user.delegate", "trusted.delegate")
"""Attributes by which systemd marks a group that it leaves to whoever runs in it."""
NEAR_BYTES = 4 << 20
"""A charge that was refused may have been of a huge page: the peak is so much below the limit then at the most."""
GO_S = 0.5
"""A process that was killed is in its group until all of it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where groups can be made, or in `why` why they cannot."""

    version: int = 0
    """Of the memory controller; 0: there is none."""
    base: Path | None = None
    """The group below which they stand."""
    is_ours: bool = False
    """Of version 2: we are in base ourselves, and have to leave it for a group below, since only leaves may hold processes."""
    why: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"usable": not self.why, "version": self.version, "path": None if self.base is None else str(self.base), "why": self.why}


class Group:
    """One group, for one subworker and all that it starts."""

    def __init__(self, path: Path, *, version: int) -> None:
        """Make it. Raises OSError."""
        self.path = path
        self._version = version
        self.limit_bytes = 0
        """What it may hold; 0: whatever it likes."""
        self._kills_before = 0
        path.mkdir(mode=0o755)
        if version == 2:
            # The subworker and all that it has started, or nobody: a job without one of its programs would go on without it.
            with suppress(FileNotFoundError):
                _write(path / "memory.oom.group", "1")

    def holds(self, pid: int) -> bool:
        """Tell whether a process is in it."""
        return str(pid) in _words(self.path / PROCS)

    def limit(self, limit_bytes: int) -> None:
        """Have the kernel end somebody in it rather than let it hold more, whether in memory or swapped out. Raises OSError."""
        if self._version == 1:
            # The second one is of both together, never less than the first, and not there without swap accounting.
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            for name in names if not 0 < self.limit_bytes < limit_bytes else reversed(names):
                with suppress(FileNotFoundError) if name == names[1] else nullcontext():
                    _write(self.path / name, str(limit_bytes))
        else:
            with suppress(FileNotFoundError):
                _write(self.path / "memory.swap.max", "0")
            _write(self.path / "memory.max", str(limit_bytes))
        self.limit_bytes = limit_bytes

    @property
    def kills(self) -> int:
        """How many processes in it the kernel has ended for its limit. One that a larger group's limit has ended is none of them."""
        if not self.limit_bytes:
            return 0
        if self._version == 1:
            kills = _counts(self.path / "memory.oom_control").get("oom_kill", 0)
            return kills if kills and self.peak_bytes >= self.limit_bytes - NEAR_BYTES else 0
        events = _counts(self.path / "memory.events")
        return events.get("oom_kill", 0) if events.get("oom") else 0

    def new_kills(self) -> int:
        """Return how many since the last call."""
        kills = self.kills
        new, self._kills_before = kills - self._kills_before, kills
        return new

    @property
    def shared_bytes(self) -> int:
        """What it holds of shared memory, mapped or in files of `/dev/shm` alone."""
        return _counts(self.path / "memory.stat").get("shmem", 0)

    @property
    def peak_bytes(self) -> int:
        """The most that it has ever held; 0: the kernel does not tell."""
        name = "memory.max_usage_in_bytes" if self._version == 1 else "memory.peak"
        (word, *_) = [*_words(self.path / name), "0"]
        return int(word) if word.isdigit() else 0

    def remove(self) -> bool:
        """Remove it, True if it is gone: while anybody is in it, it stays."""
        return _remove(self.path)


def find(root: Path = Path("/")) -> Site:
    """Look where groups could be made; whether they can is seen when one is. `root` is the directory that holds proc and sys, for tests."""
    groups = _own_groups(root)
    if "memory" in groups:
        return _find_1(root / MOUNTS / "memory", groups["memory"])
    top = root / MOUNTS
    top = top if (top / "cgroup.controllers").exists() else top / "unified"
    if "" not in groups or not top.is_dir():
        return Site(why="this system has no control groups for memory")
    return _find_2(top, groups[""])


def probe(root: Path = Path("/")) -> Site:
    """Look whether groups can be made here, by making one that is removed at once. Nobody is moved for it."""
    site = find(root)
    if site.base is None or site.why:
        return site
    try:
        Group(site.base / f"farm-probe-{os.getpid()}", version=site.version).remove()
    except OSError as error:
        return Site(version=site.version, base=site.base, why=reason_of(error))
    return site


def join(group: str) -> None:
    """Put this process into a group, with all that it starts from now on. What it has in memory stays counted where it was. Raises OSError.

    It takes some milliseconds: the kernel waits until no process of the machine is in the middle of a fork.
    """
    _write(Path(group, PROCS), ITSELF)


def remove_all(home: Path) -> bool:
    """Remove a group and those below it, True if all are gone: whatever still holds a process stays."""
    with suppress(OSError):
        for path in [entry for entry in home.iterdir() if entry.is_dir()]:
            _remove(path)
    return _remove(home)


def remove_in_time(home: Path) -> None:
    """Remove a group and those below it, whose processes have just been killed."""
    deadline = time.monotonic() + GO_S
    while not remove_all(home) and time.monotonic() < deadline:
        time.sleep(0.01)


class Leaf:
    """The group of version 2 that a farm is in itself, `main`, beside those of its subworkers: their parents must hold no process."""

    def __init__(self, base: Path, home: Path) -> None:
        """Move this process there from base, and have groups below home be limited. Raises OSError, and then nothing has changed."""
        self._base, self._home, self._path = base, home, home / "main"
        self._path.mkdir(mode=0o755)
        try:
            _write(self._path / PROCS, ITSELF)
            enable_memory(base)
            enable_memory(home)
        except OSError:
            self.leave()
            raise

    def leave(self) -> None:
        """Go back to base, as far as that can be done: not while somebody else needs what was enabled there."""
        for group in (self._home, self._base):
            with suppress(OSError):
                _write(group / "cgroup.subtree_control", "-memory")
        with suppress(OSError):
            _write(self._base / PROCS, ITSELF)
        _remove(self._path)


def enable_memory(group: Path) -> None:
    """Have the groups below this one of version 2 be limited. Raises OSError."""
    _write(group / "cgroup.subtree_control", "+memory")


def reason_of(error: OSError) -> str:
    """Say in words what could not be done."""
    return f"{error.filename}: {error.strerror}" if error.filename else f"{error.strerror or error}"


def _find_1(top: Path, path: str) -> Site:
    base = _place_of(top, path)
    if base is None:
        return Site(version=1, why=f"our own control group is not to be seen below {top}")
    return Site(version=1, base=base, why="" if os.access(base, os.W_OK) else f"{base} cannot be written")


def _find_2(top: Path, path: str) -> Site:
    own = _place_of(top, path)
    if own is None:
        return Site(version=2, why=f"our own control group is not to be seen below {top}")
    base, is_ours = own, True
    if _is_marked(own.parent) and not _words(own.parent / PROCS) and own != top:
        base, is_ours = own.parent, False
    if why := _unfit_2(base, is_ours, in_own_namespace=own == top):
        return Site(version=2, base=base, why=f"{base} {why}")
    return Site(version=2, base=base, is_ours=is_ours)


def _unfit_2(base: Path, is_ours: bool, *, in_own_namespace: bool) -> str:
    if not (base / "cgroup.type").exists():
        return "is the root of all control groups, and not ours"
    owner = base.stat().st_uid
    if not (_is_marked(base) or in_own_namespace or owner == os.geteuid() != 0):
        return "was not delegated to us (Delegate=yes in systemd)"
    if not os.access(base, os.W_OK):
        return "cannot be written"
    if "memory" not in _words(base / "cgroup.controllers"):
        return "was not given the memory controller"
    if is_ours and set(_words(base / PROCS)) != {str(os.getpid())}:
        return "holds other processes than ours"
    return ""


def _is_marked(group: Path) -> bool:
    for name in DELEGATED:
        with suppress(OSError):
            if os.getxattr(group, name) == b"1":
                return True
    return False


def _place_of(top: Path, path: str) -> Path | None:
    """Return the directory of our own group. In a container its path may be that of the host: then only the mount's own is there."""
    inside = Path(os.path.normpath(top / path.lstrip("/")))
    return next((place for place in (inside, top) if place.is_relative_to(top) and str(os.getpid()) in _words(place / PROCS)), None)


def _own_groups(root: Path) -> dict[str, str]:
    """Return the path of our own group by controller of version 1; "" is that of version 2."""
    groups: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            groups.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return groups


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    # Of a file that is not there none is to be made: a directory that is no control group is told so.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def _counts(path: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for line in _lines(path) if len(words := line.split()) == 2 and words[1].isdigit()}


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> Iterator[str]:
    with suppress(OSError):
        yield from path.read_text("ascii", "replace").splitlines()
