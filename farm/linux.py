"""What farm asks of Linux itself: death signals, adoption, clocks, and killing exactly the process that is meant."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import time
from contextlib import suppress
from struct import Struct

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PIDFD_SIGNAL_PROCESS_GROUP = 4
"""Since Linux 6.9: a signal to the group that the process of a pidfd leads."""
OOM_SCORE_OF_FARM, OOM_SCORE_OF_JOBS = -500, 500
"""When memory runs out the kernel is to end jobs, and other processes, before the supervisor and the writer."""

SLICE_NS = 100_000
"""The shortest that the kernel grants."""
_SET_SCHEDULING = {"x86_64": 314, "aarch64": 274}
"""The number of the system call sched_setattr, which the C library does not offer."""
_SCHEDULING = Struct("=IIQiIQQQ")
"""size, policy, flags, nice, priority, runtime, deadline, period."""

_TICKS = os.sysconf("SC_CLK_TCK")

_libc = ctypes.CDLL(None, use_errno=True)


def signal_at_parent_death(signal_number: int) -> None:
    """Ask for this signal when the parent's thread that forked us ends. Check getppid() afterwards: it may be gone already."""
    _prctl(PR_SET_PDEATHSIG, signal_number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose parent ends."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """Make this process not dumpable: other processes of the same user cannot read its memory, environment or descriptors."""
    _prctl(PR_SET_DUMPABLE, 0)


def raise_descriptor_limit(needed: int) -> int:
    """Allow this process as many open files as it needs, if it may; returns how many it may have open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < needed:
        soft = needed if hard == unlimited else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return needed if soft == unlimited else soft


def name_process(name: str) -> None:
    """Give this process the name that `ps -o comm` and `top` show; 15 bytes of it."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def boottime_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds: monotonic, and it goes on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def start_time(pid: int) -> int | None:
    """Return when the process was started, in clock ticks after boot, or None if there is none (or a zombie).

    A pid with this number names one process for ever: a later process of the same pid has another start time.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def cpu_s(pid: int) -> float | None:
    """Return the CPU time that a process has used, in seconds, in ticks of 10 ms as a rule; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS


def kill_group(pid: int, started: int) -> bool:
    """Kill the process that has this pid and start time, with its process group; False if it is gone.

    The pidfd is opened before the start time is compared, so the kill hits that process or nothing. So does that of its group, where
    the kernel can do it (6.9). An older one is told a number: it is compared once more right before, and the process is stopped
    meanwhile, so that its number cannot become another's but by a kill from somebody else.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        with suppress(ProcessLookupError, PermissionError):
            _kill_led_by(pid, pidfd, started)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return True
    finally:
        os.close(pidfd)


def _kill_led_by(pid: int, pidfd: int, started: int) -> None:
    if os.getpgid(pid) != pid:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL, None, PIDFD_SIGNAL_PROCESS_GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        if start_time(pid) == started:
            os.killpg(pid, signal.SIGKILL)


def ask_for_slices(slice_ns: int) -> None:
    """Ask to be given the processor for no longer than this at once, or with 0 for as long as is usual. Inherited by what is started.

    Not for less time in all: whoever asks for little at once is let in before those who would keep the processor for long, so it runs
    when it is woken, not at the next tick of a clock that may be 4 ms away. Takes no privilege. Kernels before Linux 6.12, and other
    architectures, do not know it: then nothing changes.
    """
    number = _SET_SCHEDULING.get(os.uname().machine)
    if number is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        attributes = _SCHEDULING.pack(_SCHEDULING.size, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, slice_ns, 0, 0)
        _libc.syscall(number, 0, attributes, 0)


def set_oom_score(adjustment: int) -> None:
    """Have the kernel spare this process when memory runs out (below 0, which takes a privilege), or end it sooner. Or not."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(adjustment))
