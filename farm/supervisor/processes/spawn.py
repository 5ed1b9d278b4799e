"""Starts a process of farm's own afresh: listed descriptors only, and an environment from an allow-list."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from farm import failpoints

ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", failpoints.VARIABLE, failpoints.LOG_VARIABLE)
"""What a child may know of our environment, besides LC_*: a DSN or a PGPASSWORD is not among it."""
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""For processes that run jobs: there is one for each core already, and every thread's arena counts as memory."""
HIGH_FD = 100


def spawn(module: str, arguments: Sequence[str], descriptors: Mapping[int, int], extra_env: Mapping[str, str] | None = None) -> int:
    """Run `python -m module arguments` and return its pid. descriptors: the child's number -> ours; it gets no others.

    It is in a process group of its own: a key that sends a signal, such as Ctrl-C, is for us alone, also while the child is only starting.
    -P keeps the working directory out of sys.path: a module of the user's must not take the place of an installed one.
    """
    kept: list[int] = []
    actions: list[tuple[int, ...]] = []
    try:
        for target, source in descriptors.items():
            # First out of the way of all targets, else one of them could overwrite another's source.
            kept.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, HIGH_FD))
            actions.append((os.POSIX_SPAWN_DUP2, kept[-1], target))
        command = [sys.executable, "-P", "-m", module, *arguments]
        environment = {**child_environment(), **(extra_env or {})}
        return os.posix_spawn(sys.executable, command, environment, file_actions=actions, setpgroup=0)
    finally:
        for descriptor in kept:
            os.close(descriptor)


def inherit_nothing() -> None:
    """Have none of our descriptors but the standard ones inherited, not even those that whoever started us has left open."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)


def child_environment() -> dict[str, str]:
    """Return what a child may know of our environment."""
    return {name: value for name, value in os.environ.items() if name in ENVIRONMENT or name.startswith("LC_")}
