"""Processes that jobs have left behind, in groups of their own: no kill reaches them, so at least they are named."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from farm import linux

TOLD_MAX = 10


def strays(known: Collection[int]) -> list[str]:
    """Name our children that are none of farm's own, as `pid (command)`: orphans of subworkers, since we adopt those."""
    found = []
    for pid in _children():
        # Zombies have no start time.
        if pid not in known and linux.start_time(pid) is not None and not _is_database(pid):
            with suppress(OSError):
                found.append(f"{pid} ({Path(f'/proc/{pid}/comm').read_text('utf-8', 'replace').strip()})")
    return found


def told(found: list[str]) -> str:
    """Say it in a line of bounded length."""
    more = f" and {len(found) - TOLD_MAX} more" if len(found) > TOLD_MAX else ""
    return f"{', '.join(found[:TOLD_MAX])}{more}"


def _children() -> list[int]:
    pids = []
    for tasks in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids += [int(word) for word in tasks.read_text().split()]
    return sorted(pids)


def _is_database(pid: int) -> bool:
    """Say whether it is the embedded PostgreSQL or its keeper: nobody's children, so they too may have become ours."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    program = command.partition(b"\0")[0]
    return b"farm.embedded" in command or program.endswith(b"/postgres") or program.startswith(b"postgres:")
