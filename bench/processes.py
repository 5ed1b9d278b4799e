"""What processes cost, as the kernel counts it: CPU time to the nanosecond, and memory with shared pages divided."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Return a process and all that descend from it, by their parents as they are now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name in parentheses may hold anything, spaces too.
                parent = int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return found


def cpu_ns(pid: int) -> int:
    """Return the CPU time that the living threads of a process have used; 0 if it has gone. Ticks would be too coarse here."""
    return sum(threads_cpu_ns(pid))


def threads_cpu_ns(pid: int) -> list[int]:
    """Return the CPU time of each living thread of a process, the main one first; nothing if it has gone."""
    found = []
    try:
        for thread in sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda thread: (thread != pid, thread)):
            found.append(int(Path("/proc", str(pid), "task", str(thread), "schedstat").read_text().split()[0]))
    except OSError:
        pass
    return found


def pss_bytes(pid: int) -> int:
    """Return a process's memory, each shared page divided by the number of its users. Raises PermissionError unless root."""
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_used_ns(pids: Iterable[int]) -> dict[int, int]:
    """Return the CPU time of several processes."""
    return {pid: cpu_ns(pid) for pid in pids}


def title(pid: int) -> str:
    """Name a process shortly: the module it runs, or what PostgreSQL says of itself."""
    words = Path("/proc", str(pid), "cmdline").read_text("utf-8", "replace").split("\0")
    if words[0].startswith("postgres:") or len(words) < 3:
        return words[0].strip()
    if "-m" in words:
        return words[words.index("-m") + 1]
    return next((Path(word).name for word in words[1:] if not word.startswith("-")), words[0])
