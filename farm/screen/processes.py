"""What subworkers take of the machine, as /proc tells: memory and time of a processor. Those that are seen are looked at once a second,
the others in turn.

Files of /proc are kept open and read again: that takes a tenth of the time, and a descriptor never comes to mean a later process with
the same number.
"""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from heapq import nlargest
from typing import NamedTuple

from farm.supervisor.processes.footprint import held_bytes, shared_bytes, tree_of

LOOK_S = 1.0
"""A processor's time is counted in hundredths of a second."""
OTHER_LOOKS, IDLE_LOOKS = 2, 8
"""After how many looks those come round that are not seen: one that eats memory is told of at its second measure. And those of them that do
nothing."""
LOOKS_MAX = 150
"""Processes measured in one look: of a thousand that work each comes round in seven seconds."""
THREADS_MAX = 16
GROWTH_S = 5.0
"""Over which growth is taken."""
FILES = 3
"""Kept open of a process."""
FILES_MAX, FILES_SPARED = 1024, 128
"""Descriptors that there are at the most, since select() takes no higher ones, and those of them that are left for everything else. Of
processes beyond that nothing is kept open."""
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 1024
_CHILDREN_BYTES = 1 << 16
_USER, _SYSTEM, _THREADS, _START = 11, 12, 17, 19


class Usage(NamedTuple):
    """What one subworker and all that it has started take."""

    held_bytes: int
    """In memory, without what stands in a file of a disk: what its limit is compared with."""
    cpu: float | None
    """Share of a core since the look before; None: there was none."""
    growth: float
    """Bytes a second, over the last few seconds."""


NO_USAGE = Usage(0, None, 0.0)


class Processes:
    """Usage by name: two processes may have the same number one after the other."""

    def __init__(self) -> None:
        self.usages: dict[str, Usage] = {}
        """As far as they were measured."""
        self._processes: dict[str, _Process] = {}
        self._look_at = float("-inf")
        self._looks = 0
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._kept_max = max(0, min(soft if soft >= 0 else FILES_MAX, FILES_MAX) - FILES_SPARED) // FILES

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to look."""
        return now >= self._look_at

    def look(self, pids: Mapping[str, int], now: float, seen: Set[str] | None = None, idle: Set[str] = frozenset()) -> None:
        """Measure those whose turn it is. seen: those whose turn it always is; None: all, as far as LOOKS_MAX goes. idle: those that have
        done nothing for a while."""
        self._look_at = now + LOOK_S
        self._looks += 1
        for name in self._processes.keys() - pids.keys():
            self._processes.pop(name).close()
            self.usages.pop(name, None)
        for name, pid in pids.items():
            if name not in self._processes:
                self._processes[name] = _Process(pid, keep=len(self._processes) < self._kept_max)
        for name in self._chosen(pids, seen, idle):
            self.usages[name] = self._processes[name].measure(now, with_cpu=seen is None or name in seen)

    def close(self) -> None:
        """Let go of all files, and of all figures."""
        for process in self._processes.values():
            process.close()
        self._processes.clear()
        self.usages.clear()

    def _chosen(self, pids: Mapping[str, int], seen: Set[str] | None, idle: Set[str]) -> Iterable[str]:
        if seen is None:
            seen = pids.keys()
        due = []
        for name, process in self._processes.items():
            ago, is_seen = self._looks - process.look, name in seen
            if is_seen or ago >= (IDLE_LOOKS if name in idle else OTHER_LOOKS):
                due.append((is_seen, ago, name))
        # By the longest time since: of very many, too, each comes round.
        chosen = [name for _is_seen, _ago, name in nlargest(LOOKS_MAX, due)]
        for name in chosen:
            self._processes[name].look = self._looks
        return chosen


class _Process:
    """One process, its figures of before, and its files."""

    def __init__(self, pid: int, *, keep: bool) -> None:
        """keep: its files, from one look to the next."""
        self.look = -IDLE_LOOKS
        """At which look it was measured last."""
        self._pid = pid
        self._start = b""
        """When it began, in clock ticks since boot."""
        self._threads = 1
        self._keep = keep
        self._files: tuple[int, ...] = ()
        self._usage = NO_USAGE
        self._taken: tuple[float, float] | None = None
        """When it was looked at last, and the processor's time that it and its descendants had taken by then, in seconds."""
        self._sizes: deque[tuple[float, int]] = deque()
        self._shared_pages = -1
        self._shared_bytes = 0
        """Of shared memory, while it has so many pages in memory that are not its own."""

    def measure(self, now: float, *, with_cpu: bool) -> Usage:
        """Return what it takes now; nothing if it is gone. with_cpu: not the memory alone, which is the cheaper half."""
        held, taken_s = 0, 0.0
        try:
            if not self._files:
                self._open()
            if with_cpu:
                taken_s = self._read_stat()
            descendants = self._descendants()
            held = self._read_memory() + sum(map(held_bytes, descendants))
            if with_cpu:
                taken_s += sum(map(cpu_s, descendants))
        except (OSError, IndexError, ValueError):
            self.close()
        if not self._keep:
            self.close()
        sizes = self._sizes
        sizes.append((now, held))
        while len(sizes) > 2 and sizes[1][0] <= now - GROWTH_S:
            sizes.popleft()
        began, before = sizes[0]
        growth = (held - before) / (now - began) if now > began else 0.0
        cpu = self._usage.cpu
        if with_cpu:
            looked_at, taken_before_s = self._taken or (now, taken_s)
            # What ended in between takes its time with it.
            cpu = max(0.0, taken_s - taken_before_s) / (now - looked_at) if now > looked_at else None
            self._taken = now, taken_s
        usage = Usage(held, cpu, growth)
        if usage != self._usage:
            # What stays the same stays the same object: so it is known at once that nothing has changed.
            self._usage = usage
        return self._usage

    def close(self) -> None:
        """Let go of its files."""
        files, self._files = self._files, ()
        for fd in files:
            if fd >= 0:
                os.close(fd)

    def _read_stat(self) -> float:
        """Return the seconds of a processor that it has taken. Raises OSError if it is gone."""
        fields = _fields(os.pread(self._files[0], _STAT_BYTES, 0))
        self._threads = int(fields[_THREADS])
        return _taken_s(fields)

    def _read_memory(self) -> int:
        """Return the bytes that it holds. Raises OSError if it is gone."""
        _size, resident, shared, *_ = os.pread(self._files[1], _STAT_BYTES, 0).split(None, 3)
        if int(shared) != self._shared_pages:
            # Of these, statm does not say what stands in a file; what is the process's own it says exactly.
            self._shared_pages, self._shared_bytes = int(shared), shared_bytes(self._pid)
        return (int(resident) - int(shared)) * _PAGE_BYTES + self._shared_bytes

    def _descendants(self) -> list[int]:
        """Return those that it has started, and those that these have. Of one with very many threads those alone that its first one has
        started: each thread has a list of its own, and a subworker may have thousands."""
        if 1 < self._threads <= THREADS_MAX:
            return tree_of(self._pid)[1:]
        children = self._files[2]
        listed = os.pread(children, _CHILDREN_BYTES, 0).split() if children >= 0 else ()
        return [one for child in listed for one in tree_of(int(child))]

    def _open(self) -> None:
        """Open its files. Raises OSError if it is gone, and another process has its number or none."""
        self._files = _descriptor(f"/proc/{self._pid}/stat"), -1, -1
        fields = _fields(os.pread(self._files[0], _STAT_BYTES, 0))
        self._start = self._start or fields[_START]
        self._threads = int(fields[_THREADS])
        if fields[_START] != self._start:
            raise ProcessLookupError("another process has its number by now")
        self._files = self._files[0], _descriptor(f"/proc/{self._pid}/statm"), -1
        # A kernel may not tell of children (CONFIG_PROC_CHILDREN).
        with suppress(FileNotFoundError):
            self._files = *self._files[:2], _descriptor(f"/proc/{self._pid}/task/{self._pid}/children")


def cpu_s(pid: int) -> float:
    """Return the processor's time that a process has taken, in seconds; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return _taken_s(_fields(file.read()))
    except (OSError, IndexError, ValueError):
        return 0.0


def _descriptor(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _fields(stat: bytes) -> list[bytes]:
    """Return what stands behind the name of the program, which stands in brackets and may hold anything."""
    return stat.rpartition(b")")[2].split()


def _taken_s(fields: list[bytes]) -> float:
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK_S
