"""Judges what was measured of this host. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.doctor.finding import Finding, could_be_better, ok, wrong
from farm.units import counted, format_size

SHORT_TURNS_SINCE = (6, 12)
"""Linux versions that let a process ask for short turns."""
PIDFD_SINCE = (5, 3)
ROOM_BYTES_MIN = 64 << 20
"""Of shared memory, where no configuration says what is needed: what a container gets by default."""
DESCRIPTORS_MIN = 1024
STATE_BYTES_LOW, STATE_BYTES_MIN = 2 << 30, 64 << 20
MEMORY_FILESYSTEMS = frozenset({"tmpfs", "ramfs"})
PROCESSES_SPARE = 50
"""Beside the subworkers: programs that jobs start, PostgreSQL, a shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a configuration needs of its host; None where there is none."""

    subworkers: int
    rings_bytes: int
    descriptors: int
    processes: int
    jobs_bytes: int
    """What the jobs of all lanes may hold together."""
    spill_bytes: int


def judge_system(system: str, libc: str, machine: str) -> Finding:
    """Say whether hosts can run here."""
    if system != "Linux":
        advice = "`farm start` needs Linux; the client, the reading commands and SQL work here"
        return wrong("system", f"{system} on {machine}", advice)
    if libc != "glibc":
        return wrong(
            "system", f"Linux on {machine} with another C library than glibc", "use a system or an image with glibc, such as Debian's"
        )
    return ok("system", f"Linux with glibc on {machine}")


def judge_kernel(release: str, machine: str, *, has_pidfd: bool) -> Finding:
    """Say whether the kernel has what farm asks of it."""
    if not has_pidfd:
        needed = ".".join(map(str, PIDFD_SINCE))
        return wrong("kernel", f"Linux {release} has no pidfd", f"use Linux {needed} or later, and a sandbox that lets pidfd_open through")
    if version_of(release) < SHORT_TURNS_SINCE:
        advice = "Linux 6.12 or later lets farm ask for short turns: jobs that somebody waits for start sooner beside others that compute"
        return could_be_better("kernel", f"Linux {release} has no short turns", advice)
    if machine not in ("x86_64", "aarch64"):
        return could_be_better("kernel", f"farm does not ask for short turns on {machine}", "none: jobs may start some milliseconds later")
    return ok("kernel", f"Linux {release}, with short turns and pidfd")


def judge_cores(cores: int, allowed: int, installed: int) -> Finding:
    """Say how many CPUs can be kept busy: allowed by affinity, of so many installed; cores: what control groups leave of those."""
    text = f"{cores} of {counted(installed, 'CPU')} can be kept busy"
    if cores < allowed:
        return could_be_better(
            "cores", f"{text}: a control group allows no more CPU time", "raise cpu.max (of a container its --cpus), if more was meant"
        )
    return ok("cores", f"{text}: affinity allows no others" if allowed < installed else text)


def judge_memory(usable_bytes: int, installed_bytes: int, available_bytes: int, needs: Needs | None) -> Finding:
    """Say how much memory there is, and whether what the lanes may take fits."""
    limited = f", by a control group, of {format_size(installed_bytes)}" if usable_bytes < installed_bytes else ""
    text = f"{format_size(usable_bytes)}{limited}, {format_size(available_bytes)} available"
    if needs is not None and needs.jobs_bytes > usable_bytes:
        return wrong(
            "memory",
            f"{text}; the jobs of all lanes may take {format_size(needs.jobs_bytes)}",
            "give lanes less memory or fewer subworkers",
        )
    if needs is not None and needs.jobs_bytes > available_bytes:
        taken = f"{text}; the jobs of all lanes may take {format_size(needs.jobs_bytes)}"
        return could_be_better(
            "memory", taken, "others hold memory that the lanes count on: lanes pause when it runs short (host.memory_floor)"
        )
    return ok("memory", text if needs is None else f"{text}; the jobs of all lanes may take {format_size(needs.jobs_bytes)}")


def judge_shared_memory(total_bytes: int | None, free_bytes: int, needs: Needs | None) -> Finding:
    """Say whether the rings fit into /dev/shm; total_bytes None: there is none."""
    if total_bytes is None:
        return could_be_better(
            "shared memory", "there is no /dev/shm", "mount a tmpfs there: rings stand in the state directory meanwhile, on disk"
        )
    needed = ROOM_BYTES_MIN if needs is None else needs.rings_bytes
    text = f"{format_size(free_bytes)} of {format_size(total_bytes)} free in /dev/shm"
    beside = "" if needs is None else f"; the rings of this configuration take {format_size(needed)}"
    if free_bytes < needed:
        advice = "enlarge it (mount -o remount,size=1G /dev/shm; of a container --shm-size=1g): rings that do not fit stand on disk"
        return could_be_better("shared memory", text + beside, advice)
    return ok("shared memory", text + beside)


def judge_descriptors(soft: int, hard: int, needs: Needs | None) -> Finding:
    """Say whether enough files may be open; -1: no limit. A farm raises its soft limit by itself."""
    needed = DESCRIPTORS_MIN if needs is None else needs.descriptors
    text = f"{_limit(soft)} allowed, up to {_limit(hard)} if asked for"
    beside = "" if needs is None else f"; this configuration needs {needed:,}"
    if 0 <= hard < needed:
        return wrong("open files", text + beside, f"raise the hard limit: `ulimit -Hn {needed}`, LimitNOFILE={needed} in a unit")
    return ok("open files", text + beside)


def judge_processes(limit: int, group_max: int | None, group_now: int, needs: Needs | None) -> Finding:
    """Say whether enough processes may be made.

    limit is RLIMIT_NPROC (-1: none); group_max and group_now are pids.max (None: no limit) and pids.current of the control group.
    """
    needed = PROCESSES_SPARE + (0 if needs is None else needs.processes)
    room = None if group_max is None else group_max - group_now
    text = f"{_limit(limit)} for this user" + (
        f", {room:,} more in this control group" if room is not None else ", no limit of a control group"
    )
    beside = "" if needs is None else f"; this configuration makes {needs.processes:,}, and jobs may make more"
    if (room is not None and room < needed) or 0 <= limit < needed:
        return wrong("processes", text + beside, "raise the limit: `ulimit -u`, TasksMax= in a unit, --pids-limit of a container")
    return ok("processes", text + beside)


def judge_groups(usable: bool, version: int, why: str) -> Finding:
    """Say whether subworkers can be put into control groups of their own."""
    if usable:
        return ok("control groups", f"version {version}, and groups can be made here")
    advice = "none needed: memory is then bounded by RLIMIT_DATA and by looking; in a unit Delegate=yes allows groups"
    return could_be_better("control groups", f"none can be made here: {why}", advice)


def judge_state(path: str, filesystem: str, free_bytes: int, *, writable: bool, needs: Needs | None) -> Finding:
    """Say whether a farm can keep its state in FARM_HOME."""
    text = f"{path} on {filesystem or 'an unknown filesystem'}, {format_size(free_bytes)} free"
    if not writable:
        return wrong(
            "state directory", f"{text}, and nothing can be written there", "set FARM_HOME to a directory of the user that runs farm"
        )
    if free_bytes < STATE_BYTES_MIN:
        return wrong("state directory", text, "make room: large arguments and results stand there on their way")
    if filesystem in MEMORY_FILESYSTEMS:
        return could_be_better(
            "state directory", f"{text}, which is memory", "set FARM_HOME to a disk: pauses and results on their way outlive a reboot there"
        )
    low = STATE_BYTES_LOW if needs is None else max(needs.spill_bytes, STATE_BYTES_MIN)
    if free_bytes < low:
        return could_be_better(
            "state directory", text, f"make room for {format_size(low)}: large arguments and results wait for it when it runs out"
        )
    return ok("state directory", text)


def judge_extras(extras: Mapping[str, Sequence[str]]) -> Finding:
    """Name the extras of the distribution: by name, what is missing of each."""
    there = [name for name in sorted(extras) if not extras[name]]
    missing = [name for name in sorted(extras) if extras[name]]
    parts = [f"installed: {', '.join(there)}" if there else "", f"not installed: {', '.join(missing)}" if missing else ""]
    return ok("extras", "; ".join(filter(None, parts)) or "there are none")


def version_of(release: str) -> tuple[int, int]:
    """Return the first two numbers of a kernel's release: (6, 12) of `6.12.3-amd64`; (0, 0) of what is none."""
    major, _, rest = release.partition(".")
    minor = rest.split(".")[0].split("-")[0].split("+")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def _limit(number: int) -> str:
    return "no limit" if number < 0 else f"{number:,}"
