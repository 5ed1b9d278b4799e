"""The limits of a subworker's memory, as one process can set them for itself."""

from __future__ import annotations

import fcntl
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RESERVE_BYTES = 32 << 20
"""Opened for the moment in which a job that hit its limit is turned into an outcome."""
HARD_FACTOR = 1.25
FULL_SHARE = 0.25
"""Of what jobs may allocate: a subworker in which one that hit the limit has left as much is replaced, else it would harm the next one."""
LEAVES_FULL = 75
"""The exit code of such a one."""
EXHAUSTED = 76
"""The exit code of one that got a MemoryError outside of any job."""
THREAD_STACK_BYTES = 512 << 10
"""For threads that jobs make."""
RESET_PEAK = b"5"
"""Written to /proc/self/clear_refs: the peak is the present size again (Linux 4.0)."""
DESCRIPTORS_MAX = 1024
"""What the kernel keeps for each process grows with the highest descriptor: 8 KiB for so many."""
JOB_STACK_BYTES = 4 << 20
"""For threads that run jobs: endless recursion through C must end as a RecursionError, and takes 2 MiB before it does."""


def baseline_bytes() -> int:
    """Return the private writable memory that this process has now (VmData), the figure that RLIMIT_DATA limits."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmData")


class Peak:
    """The largest resident size of this process since the last reset, shared memory and files included. Not known where /proc says no."""

    def __init__(self) -> None:
        try:
            opened = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
            try:
                self._clear_refs = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, above_all_others())
            finally:
                os.close(opened)
        except OSError:
            self._clear_refs = -1

    def reset(self) -> None:
        """Begin anew: half a microsecond."""
        if self._clear_refs >= 0:
            try:
                os.write(self._clear_refs, RESET_PEAK)
            except OSError:
                # A job has closed it.
                self._clear_refs = -1

    def read(self) -> int:
        """Return the bytes, 0 where they are not known."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if self._clear_refs >= 0 else 0


def above_all_others() -> int:
    """Return a descriptor that no file is given that a job opens, though the job has closed ours: the lowest that is free is taken."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else min(soft, DESCRIPTORS_MAX)) - 1


class MemoryLimit:
    """RLIMIT_DATA above the baseline: a job that asks for more gets a MemoryError, and its subworker lives on."""

    def __init__(self, memory_bytes: int, *, threads_max: int = 0) -> None:
        """threads_max: how many threads may run jobs. The stack of each comes on top of the limit when it is made: it is hardly used."""
        self.memory_bytes = memory_bytes
        self.baseline_bytes = baseline_bytes()
        self._soft = self.baseline_bytes + memory_bytes
        self._hard = self.baseline_bytes + int(memory_bytes * HARD_FACTOR) + RESERVE_BYTES + threads_max * JOB_STACK_BYTES

    def set(self) -> None:
        """Limit this process from now on. Small thread stacks: with the usual 8 MiB a few threads would use it all up."""
        threading.stack_size(THREAD_STACK_BYTES)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (self._soft, self._hard))

    def start_thread(self, thread: threading.Thread) -> None:
        """Start a thread that runs jobs, with a stack of its own beside the limit. Raises RuntimeError if there cannot be another one."""
        self._allow(JOB_STACK_BYTES)
        threading.stack_size(JOB_STACK_BYTES)
        try:
            thread.start()
        except BaseException:
            self._allow(-JOB_STACK_BYTES)
            raise
        finally:
            threading.stack_size(THREAD_STACK_BYTES)

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Allow a little more while an outcome is made of a MemoryError."""
        resource.setrlimit(resource.RLIMIT_DATA, (min(self._soft + RESERVE_BYTES, self._hard), self._hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (self._soft, self._hard))

    @property
    def is_full(self) -> bool:
        """True when much is still allocated of what jobs may allocate: 30 us. Only between jobs, or what they hold counts too."""
        try:
            return baseline_bytes() > self.baseline_bytes + FULL_SHARE * self.memory_bytes
        except OSError:
            # No descriptor is left: whoever has them all may have more.
            return True

    def _allow(self, more_bytes: int) -> None:
        self._soft += more_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (min(self._soft, self._hard), self._hard))

    def peak_bytes(self) -> int:
        """Return the largest resident size that this process ever had."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
