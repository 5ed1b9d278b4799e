"""What jobs would find changed in their process by those of another task: set back, in lanes with one job at a time."""

from __future__ import annotations

import os
import signal

# What signal.getsignal() calls, which makes an enum of each answer: ten times the cost.
from _signal import getsignal  # type: ignore[import-not-found]
from collections.abc import Sequence
from contextlib import suppress

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM, signal.SIGCHLD)
"""Those that jobs are known to handle; and some are farm's own."""


class Surroundings:
    """The working directory, the umask, the handlers of common signals, and that no alarm is set.

    The environment, modules, locale and random seeds stay as jobs leave them: too much of that is meant to stay, such as what a library
    sets when it is first used.
    """

    def __init__(self, descriptors: Sequence[int]) -> None:
        """descriptors: those without which this process is of no use."""
        self._descriptors = tuple(descriptors)
        self.note()

    def note(self) -> None:
        """Take what stands now for how it is to be. Also after an import: it happens once, and what it changes may be meant."""
        self._umask = _umask()
        self._directory = _directory()
        self._handlers = [(number, getsignal(number)) for number in SIGNALS]

    def restore(self) -> None:
        """Set back what was changed. A few microseconds; main thread only. Raises OSError where a job has closed our descriptors."""
        for descriptor in self._descriptors:
            os.fstat(descriptor)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.umask(self._umask)
        if self._directory is not None and _directory() != self._directory:
            # Removed meanwhile, perhaps by a job: then nothing is better than where we are.
            with suppress(OSError):
                os.chdir(self._directory)
        for number, handler in self._handlers:
            if getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)


def _directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _umask() -> int:
    """Read the umask: asking the system call for it would change it for a moment, beside threads that make files."""
    with suppress(OSError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
