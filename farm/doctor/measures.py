"""Measures this host: a function for each check of `host`. Nothing is changed: a control group that is made to see whether it can be is
removed at once."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil

from farm import cgroups
from farm.config.budget import budget_of
from farm.config.machine import detect
from farm.config.model import Config
from farm.doctor import host
from farm.doctor.finding import Finding
from farm.doctor.host import Needs
from farm.shm.place import SHM_ROOT
from farm.supervisor.host.room import descriptors_needed, rings_bytes

DISTRIBUTION = "native-farm"
DEVELOPMENT = frozenset({"dev"})
"""Extras that are of no use to a farm."""


def needs_of(config: Config) -> Needs:
    """Return what a configuration needs of its host."""
    budget = budget_of(config)
    return Needs(
        subworkers=sum(lane.subworkers for lane in config.lanes),
        rings_bytes=rings_bytes(config),
        descriptors=descriptors_needed(config.lanes),
        processes=budget.processes,
        jobs_bytes=budget.sum_bytes,
        spill_bytes=config.spill_bytes_max,
    )


def examine_host(home: Path, needs: Needs | None) -> Iterator[Finding]:
    """Yield the findings about this host. On other systems than Linux there is little to say."""
    libc, _ = platform.libc_ver()
    yield host.judge_system(platform.system(), libc, platform.machine())
    if platform.system() == "Linux":
        yield host.judge_kernel(platform.release(), platform.machine(), has_pidfd=has_pidfd())
        machine = detect()
        yield host.judge_cores(machine.cores, len(machine.cpus), os.cpu_count() or 1)
        memory = psutil.virtual_memory()
        yield host.judge_memory(machine.memory_bytes, memory.total, memory.available, needs)
        yield shared_memory(needs)
        yield host.judge_descriptors(*_limits(resource.RLIMIT_NOFILE), needs)
        groups = cgroups.probe()
        yield host.judge_groups(not groups.why, groups.version, groups.why)
        yield host.judge_processes(_limits(resource.RLIMIT_NPROC)[0], *pids_of_group(), needs)
    yield state(home, needs)
    yield host.judge_extras(missing_of_extras())


def has_pidfd() -> bool:
    """Tell whether the kernel, and whatever sandbox we are in, gives a pidfd."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return False
    return True


def shared_memory(needs: Needs | None, root: Path = SHM_ROOT) -> Finding:
    """Look how much room is in /dev/shm."""
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return host.judge_shared_memory(None, 0, needs)
    return host.judge_shared_memory(usage.total, usage.free, needs)


def pids_of_group(root: Path = Path("/")) -> tuple[int | None, int]:
    """Return the tightest limit of processes of our control groups, and how many there are in that one; None: no limit."""
    found: list[tuple[int, int]] = []
    for directory in _pids_groups(root):
        limit, now = _word(directory / "pids.max"), _word(directory / "pids.current")
        if limit.isdecimal() and now.isdecimal():
            found.append((int(limit), int(now)))
    return min(found, key=lambda both: both[0] - both[1]) if found else (None, 0)


def state(home: Path, needs: Needs | None) -> Finding:
    """Look at the directory that FARM_HOME is or would be made in."""
    place = next(place for place in (home, *home.parents) if place.is_dir())
    usage = shutil.disk_usage(place)
    writable = os.access(place, os.W_OK | os.X_OK)
    return host.judge_state(str(home), filesystem_of(place), usage.free, writable=writable, needs=needs)


def filesystem_of(path: Path) -> str:
    """Return the type of the filesystem that a path is on, "" where nobody tells."""
    mounts = [(Path(mount.mountpoint), mount.fstype) for mount in psutil.disk_partitions(all=True)]
    real = path.resolve()
    holding = [(len(point.parts), kind) for point, kind in mounts if real == point or point in real.parents]
    return max(holding)[1] if holding else ""


def missing_of_extras() -> dict[str, list[str]]:
    """Return the extras of farm, by name, each with the distributions that it lacks here."""
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    missing: dict[str, list[str]] = {extra: [] for extra in extras if extra not in DEVELOPMENT}
    for requirement in requirements:
        what, _, marker = requirement.partition(";")
        name = what.split("[")[0]
        for sign in "<>=!~ (":
            name = name.split(sign)[0]
        for extra, lacks in missing.items():
            if marker.replace('"', "'").strip().endswith(f"extra == '{extra}'") and not _is_installed(name):
                lacks.append(name)
    return missing


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _limits(which: int) -> tuple[int, int]:
    soft, hard = resource.getrlimit(which)
    return (-1 if soft == resource.RLIM_INFINITY else soft), (-1 if hard == resource.RLIM_INFINITY else hard)


def _pids_groups(root: Path) -> Iterator[Path]:
    """Yield our control groups, as far as they may limit processes, from ours upwards."""
    for line in _lines(root / "proc/self/cgroup"):
        parts = line.split(":", 2)
        if len(parts) != 3 or not (parts[1] == "" or "pids" in parts[1].split(",")):
            continue
        top = root / "sys/fs/cgroup" / ("pids" if parts[1] else "")
        inside = top / parts[2].lstrip("/")
        yield from (place for place in (inside, *inside.parents) if place == top or top in place.parents)


def _word(path: Path) -> str:
    return "".join(_lines(path)).strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:
        return []
