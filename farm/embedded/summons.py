"""Starting a keeper: a process that is nobody's child, and inherits nothing of ours."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import time
from pathlib import Path

from farm.embedded.binaries import Binaries
from farm.embedded.cluster import Cluster
from farm.embedded.creation import clean_environment
from farm.embedded.keeper import REPORT_FD

LOWEST_FD = 10
"""Above the descriptors that are set up in the child, so that none of them is written over before its use."""
REPORT_BYTES_MAX = 4096
RESET_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGPIPE,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def summon_keeper(cluster: Cluster, binaries: Binaries, deadline: float, *, adopt_only: bool) -> bytes:
    """Start a keeper and wait for its report until the deadline (CLOCK_MONOTONIC); an empty one if none came. Raises OSError.

    With adopt_only it must not start a server: one answers, so a second on the same data would destroy them.
    """
    readable, writable = os.pipe()
    try:
        moved = fcntl.fcntl(writable, fcntl.F_DUPFD_CLOEXEC, LOWEST_FD)
    finally:
        os.close(writable)
    try:
        pid = _spawn(cluster, binaries, moved, adopt_only=adopt_only)
    except OSError:
        os.close(readable)
        raise
    finally:
        os.close(moved)
    try:
        # It forks at once and ends; the keeper proper is then nobody's child.
        os.waitpid(pid, 0)
    except ChildProcessError:
        # A supervisor that reaps whatever ends was quicker.
        pass
    try:
        return _read_report(readable, deadline)
    finally:
        os.close(readable)


def _spawn(cluster: Cluster, binaries: Binaries, report_fd: int, *, adopt_only: bool) -> int:
    package = Path(__file__).parent
    command = [sys.executable, "-I", "-S", str(package / "keep.py"), str(package.parent.parent)]
    command += [str(cluster.path.parent), str(cluster.major), str(binaries.directory), "yes" if adopt_only else "no"]
    log_flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    return os.posix_spawn(
        sys.executable,
        command,
        clean_environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(cluster.log_path), log_flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, report_fd, REPORT_FD),
        ],
        setsid=True,
        # Ours may be blocked or ignored for reasons of our own.
        setsigmask=[],
        setsigdef=RESET_SIGNALS,
    )


def _read_report(readable: int, deadline: float) -> bytes:
    poller = select.poll()
    poller.register(readable, select.POLLIN)
    if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        return b""
    return os.read(readable, REPORT_BYTES_MAX)
