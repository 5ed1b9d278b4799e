"""What subworkers take of the machine, as /proc tells: memory and time of a processor. Looked at once a second, of many in turn."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from farm.supervisor.processes.footprint import held_bytes, tree_of

LOOK_S = 1.0
"""A processor's time is counted in hundredths of a second."""
LOOKS_MAX = 100
"""Processes measured in one look: of a thousand each comes round in ten seconds."""
THREADS_MAX = 16
GROWTH_S = 5.0
"""Over which growth is taken."""
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What one subworker and all that it has started take."""

    held_bytes: int
    """In memory, without what stands in a file of a disk: what its limit is compared with."""
    cpu: float | None
    """Share of a core since the look before; None: there was none."""
    growth: float
    """Bytes a second, over the last few seconds."""


class Processes:
    """Usage by pid."""

    def __init__(self) -> None:
        self._usages: dict[int, Usage] = {}
        self._times: dict[int, tuple[float, float]] = {}
        """When a process was looked at, and the processor's time that it had taken by then, in seconds."""
        self._sizes: dict[int, deque[tuple[float, int]]] = {}
        self._look_at = float("-inf")
        self._next = 0

    def look(self, pids: Collection[int], now: float) -> dict[int, Usage]:
        """Return what these take, as far as they were measured; measures if it is time."""
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            known = sorted(pids)
            chosen = [known[(self._next + index) % len(known)] for index in range(min(LOOKS_MAX, len(known)))]
            self._next = (self._next + len(chosen)) % max(1, len(known))
            for pid in chosen:
                self._measure(pid, now)
            for figures in (self._usages, self._times, self._sizes):
                for pid in figures.keys() - set(known):
                    del figures[pid]
        return self._usages

    def _measure(self, pid: int, now: float) -> None:
        tree = _tree(pid)
        held = sum(map(held_bytes, tree))
        sizes = self._sizes.setdefault(pid, deque())
        sizes.append((now, held))
        while len(sizes) > 2 and sizes[1][0] <= now - GROWTH_S:
            sizes.popleft()
        began, before = sizes[0]
        growth = (held - before) / (now - began) if now > began else 0.0
        taken_s = sum(map(cpu_s, tree))
        looked_at, taken_before_s = self._times.get(pid, (now, taken_s))
        # What ended in between takes its time with it.
        cpu = max(0.0, taken_s - taken_before_s) / (now - looked_at) if now > looked_at else None
        self._times[pid] = now, taken_s
        self._usages[pid] = Usage(held, cpu, growth)


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants. Of one with very many threads those alone that its first one has started: each thread has a
    list of its own, and a subworker may have thousands."""
    try:
        threads = os.stat(f"/proc/{pid}/task").st_nlink - 2
    except OSError:
        return []
    if threads <= THREADS_MAX:
        return tree_of(pid)
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            children = [int(child) for child in file.read().split()]
    except OSError:
        children = []
    return [pid, *(one for child in children for one in tree_of(child))]


def cpu_s(pid: int) -> float:
    """Return the processor's time that a process has taken, in seconds; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program stands in brackets, and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S
    except (OSError, IndexError, ValueError):
        return 0.0
