"""A named file of fixed size, mapped into memory and shared between processes."""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from pathlib import Path

from farm.errors import FarmError, RingBroken


class MappedFile:
    """The bytes of one file as `memory`. The name stays until unlink(), so that a successor can find and read it.

    Not multiprocessing.shared_memory: there a reader that attaches and exits unlinks the segment.
    """

    def __init__(self, path: Path, memory_map: mmap.mmap) -> None:
        self.path = path
        self._map = memory_map
        self.memory = memoryview(memory_map)

    @classmethod
    def create(cls, path: Path, size: int, *, taken_bytes: int | None = None) -> MappedFile:
        """Make a new file of that size, filled with zeros, mode 0600. Raises FarmError if there is no space for it.

        Every page is taken now: a full file system would otherwise end the process with SIGBUS at the first touch. taken_bytes: only so
        many are; whoever touches more has to take them first.
        """
        fd = -1
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.posix_fallocate(fd, 0, size if taken_bytes is None else taken_bytes)
            if taken_bytes is not None:
                os.ftruncate(fd, size)
            return cls(path, mmap.mmap(fd, size))
        except OSError as error:
            if fd >= 0:
                path.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FarmError(f"no space for {size} bytes of shared memory at {path}: make room there or use fewer subworkers") from error
            raise FarmError(f"cannot make the shared memory file {path}: {error.strerror}") from error
        finally:
            if fd >= 0:
                os.close(fd)

    @classmethod
    def open(cls, path: Path, *, bytes_min: int, read_only: bool = False) -> MappedFile:
        """Map a file that exists. Raises FileNotFoundError, or RingBroken if it is too small to be one of ours."""
        fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(fd).st_size
            if size < bytes_min:
                raise RingBroken(f"{path} has {size} bytes only")
            return cls(path, mmap.mmap(fd, size, access=mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE))
        finally:
            os.close(fd)

    def close(self) -> None:
        """Unmap the file. Views that others still hold keep the mapping alive until they are closed too."""
        self.memory.release()
        with suppress(BufferError):
            self._map.close()

    def unlink(self) -> None:
        """Remove the name; processes that have mapped the file keep it."""
        self.path.unlink(missing_ok=True)
