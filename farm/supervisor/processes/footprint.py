"""What processes hold of the machine's memory, as /proc tells. Nothing here raises for a process that is gone; nothing is signalled."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Return all that a process has in memory, shared or not: never less than what it holds. The cheapest of all: 3 us."""
    try:
        return int(_statm(pid)[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def private_bytes(pid: int) -> int:
    """Return what a process has in memory that stands in no file and in no ring: what its heap has come to. As cheap as the above."""
    try:
        _size, resident, shared, *_ = _statm(pid)
        return (int(resident) - int(shared)) * PAGE_BYTES
    except (OSError, ValueError):
        return 0


def held_bytes(pid: int) -> int:
    """Return what a process has in memory that stands in no file of a disk; of what forks share, all of it."""
    return _sum_of(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:"))


def shared_bytes(pid: int) -> int:
    """Return what a process has mapped of shared memory, as far as it has touched it."""
    return _sum_of(f"/proc/{pid}/status", (b"RssShmem:",))


def exact_bytes(pid: int) -> int:
    """Return the same with only its part of what is shared. Dear: it walks all pages of the process. At least something if denied."""
    return _sum_of(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:")) or held_bytes(pid)


class KernelKills:
    """Counts the processes of this machine that the kernel has killed for want of memory (Linux 4.13)."""

    TOGETHER_S = 1.0
    """It may kill several at once, whose deaths are heard of one after the other."""

    def __init__(self) -> None:
        self._before = _kernel_kills()
        self._new_until = float("-inf")

    def are_new(self, now: float) -> bool:
        """Say whether it has killed since the last call, or since that time before it."""
        kills = _kernel_kills()
        if kills > self._before:
            self._before, self._new_until = kills, now + self.TOGETHER_S
        return now < self._new_until


class Resident:
    """What a number of processes have in memory, asked again and again: their files stay open, which makes it three times as cheap."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

    def look(self, pids: Sequence[int]) -> list[int]:
        """Return the bytes of each, shared or not; 0 for one that is gone. Files of those not asked for any more are closed."""
        for pid in self._files.keys() - set(pids):
            os.close(self._files.pop(pid))
        return [self._bytes(pid) for pid in pids]

    def close(self) -> None:
        """Close all files."""
        self.look(())

    def _bytes(self, pid: int) -> int:
        for _ in range(2):
            file = self._files.get(pid)
            try:
                if file is None:
                    file = self._files[pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
                return int(os.pread(file, 256, 0).split(b" ", 2)[1]) * PAGE_BYTES
            except (OSError, IndexError):
                # An open file is that of its process alone: one that has got its number since has another.
                if file is None:
                    break
                os.close(self._files.pop(pid))
        return 0


def tree_of(pid: int, strays: Iterator[int] | tuple[int, ...] = ()) -> list[int]:
    """Return a process, its descendants, and strays: members of its group whose parents have ended, with theirs."""
    found = [pid, *strays]
    known = set(found)
    for each in found:
        children = [child for child in children_of(each) if child not in known]
        known.update(children)
        found += children
    return found


def children_of(pid: int) -> list[int]:
    """Return the children of all threads of a process. None where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    children: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children.extend(map(int, file.read().split()))
    return children


def _statm(pid: int) -> list[bytes]:
    # A file object would take more than twice as long, and this is read of every subworker many times a second.
    fd = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 256).split()
    finally:
        os.close(fd)


def _kernel_kills() -> int:
    with suppress(OSError), open("/proc/vmstat", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(b"oom_kill "))
    return 0


def _sum_of(path: str, names: tuple[bytes, ...]) -> int:
    try:
        with open(path, "rb") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(names))
    except OSError:
        return 0
