"""What this machine lets a process have: cores and memory, as CPU affinity and control groups limit them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

UNLIMITED_BYTES = 1 << 60
"""Control groups of version 1 say `no limit` with a number near 2^63."""


class Machine(NamedTuple):
    """Cores and memory that may be used."""

    cores: int
    """How many can be kept busy: CPUs, fewer where a control group allows less CPU time."""
    memory_bytes: int
    cpus: frozenset[int] = frozenset()
    """The numbers of the CPUs that this process may run on."""


def detect(root: Path = Path("/")) -> Machine:
    """Ask the system. `root` is the directory that holds proc and sys, for tests."""
    groups = _groups(root)
    cpus = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    return Machine(_cores(root, groups, len(cpus)), _memory_bytes(root, groups), cpus)


def memory_groups(root: Path = Path("/")) -> list[Path]:
    """Return the directories of our control group and of those above it, as far as they may limit memory or tell of it."""
    return list(_directories(root, _groups(root), "memory"))


def can_take_nice(nice: int) -> bool:
    """Say whether this process may add so much to its niceness: tried with this thread, since rights and limits do not tell all."""
    if nice >= 0:
        return True
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, mine + nice)
    except OSError:
        return False
    os.setpriority(os.PRIO_PROCESS, 0, mine)
    return True


def _cores(root: Path, groups: dict[str, str], cores: int) -> int:
    for directory in _directories(root, groups, "cpu"):
        quota, period = _quota(directory)
        if quota > 0 and period > 0:
            cores = min(cores, -(-quota // period))
    return max(cores, 1)


def _quota(directory: Path) -> tuple[int, int]:
    """Return microseconds of CPU per period and the period; 0, 0 for no limit."""
    both = _words(directory / "cpu.max") or [*_words(directory / "cpu.cfs_quota_us"), *_words(directory / "cpu.cfs_period_us")]
    if len(both) == 2 and both[0].isdigit() and both[1].isdigit():
        return int(both[0]), int(both[1])
    return 0, 0


def _memory_bytes(root: Path, groups: dict[str, str]) -> int:
    limits = [_installed_bytes(root)]
    for directory in _directories(root, groups, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _words(directory / name)
            if words and words[0].isdigit() and 0 < int(words[0]) < UNLIMITED_BYTES:
                limits.append(int(words[0]))
    return min(limits)


def _installed_bytes(root: Path) -> int:
    words = _words(root / "proc/meminfo")
    if "MemTotal:" in words:
        return int(words[words.index("MemTotal:") + 1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _groups(root: Path) -> dict[str, str]:
    """Return the path of our control group per controller; "" is version 2."""
    groups: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            groups.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return groups


def _directories(root: Path, groups: dict[str, str], controller: str) -> Iterator[Path]:
    """Yield our control group and all above it: the tightest of their limits holds."""
    mounts = root / "sys/fs/cgroup"
    version_1 = [mounts / controller, mounts / "cpu,cpuacct"] if controller == "cpu" else [mounts / controller]
    for group, tops in ((groups.get(""), [mounts, mounts / "unified"]), (groups.get(controller), version_1)):
        for top in tops if group is not None else []:
            inside = Path(os.path.normpath(top / (group or "").lstrip("/")))
            # In a container the path may be that of the host: then only the mount's own directory is there.
            yield from (place for place in (inside, *inside.parents) if place.is_relative_to(top) and place.is_dir())


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
