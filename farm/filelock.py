"""Locks on files that the kernel frees when their holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

RETRY_S = 0.02


class FileLock:
    """An flock on a file which is made when missing and never unlinked.

    It belongs to the open file description: a child that inherits the descriptor holds it too, and it is free only when
    the last of them has closed it or ended. So close() lets go of this process's share only.
    """

    def __init__(self, path: Path) -> None:
        """Open the file without locking it. Raises OSError."""
        self.path = path
        self._fd: int = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    @property
    def fd(self) -> int:
        """The descriptor to hand on to a child; -1 once closed."""
        return self._fd

    def try_exclusive(self) -> bool:
        """Take it for this holder alone, if nobody has it. Does not wait."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take it together with others, if nobody has it alone. Does not wait."""
        return self._try(fcntl.LOCK_SH)

    def shared(self, deadline: float) -> bool:
        """Wait for a share until the deadline (CLOCK_MONOTONIC, seconds); False when it passed."""
        return self._wait(fcntl.LOCK_SH, deadline)

    def exclusive(self, deadline: float) -> bool:
        """Wait for it alone until the deadline (CLOCK_MONOTONIC, seconds); False when it passed."""
        return self._wait(fcntl.LOCK_EX, deadline)

    def note_pid(self) -> None:
        """Write our process id into the file, for messages only: whoever holds the lock is alive, whatever stands in it."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def noted_pid(self) -> int | None:
        """Read the process id that the last exclusive holder noted; None if there is none."""
        text = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() and text.isascii() else None

    def unlock(self) -> None:
        """Let go of it but keep the file open, for every process that shares the descriptor."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which frees the lock unless a child has inherited it. May be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self._fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self, operation: int, deadline: float) -> bool:
        # A blocking flock has no deadline of its own, and a signal to interrupt it belongs to the whole process.
        while not self._try(operation):
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_S)
        return True
