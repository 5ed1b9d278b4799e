"""Payloads too large for a ring: one file each in the state directory, bounded in sum. Frames carry the file's name."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from pathlib import Path


def owner_of(ring_file: Path) -> str:
    """Return the owner of what is spilled from the rings of a file: its name, with that of its run, as every run uses the same names."""
    return f"{ring_file.parent.name}.{ring_file.name}"


class Spill:
    """The directory of spilled payloads as one process uses it; `owner` begins the names of the files that it writes."""

    WAIT_S = 0.05
    FULL_S_MAX = 5.0
    """How long to wait for room on a full disk, which may come back when what others have spilled is committed."""

    def __init__(self, directory: Path, *, owner: str, bytes_max: int) -> None:
        self._directory = directory
        self._owner = owner
        self.bytes_max = bytes_max
        self._written = 0

    def write(self, payload: bytes, *, wait: bool) -> bytes | None:
        """Write a payload and return its file's name, or None when the bound is reached and `wait` is off.

        Raises OSError when it cannot be written; with `wait` a full disk is given some seconds.
        """
        full_until: float | None = None
        while True:
            if self._used_bytes() + len(payload) <= max(self.bytes_max, len(payload)):
                try:
                    return self._write(payload)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not wait:
                        raise
                    full_until = full_until or time.monotonic() + self.FULL_S_MAX
                    if time.monotonic() >= full_until:
                        raise
            elif not wait:
                return None
            time.sleep(self.WAIT_S)

    def _write(self, payload: bytes) -> bytes:
        """Write one file, or none: half a file is removed again."""
        self._written += 1
        name = f"{self._owner}-{self._written}"
        try:
            with open(self._directory / name, "xb", opener=_private) as file:
                file.write(payload)
        except OSError:
            self.remove(name.encode())
            raise
        return name.encode()

    def read(self, name: bytes, *, bytes_max: int) -> bytes | None:
        """Return a spilled payload, or None if there is no such file. The name may come from a process that runs foreign code."""
        path = self._path(name)
        if path is None:
            return None
        try:
            with open(path, "rb", opener=_no_follow) as file:
                return file.read(bytes_max + 1)
        except OSError:
            return None

    def remove(self, name: bytes) -> None:
        """Remove a spilled payload; fine if it is gone."""
        path = self._path(name)
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def remove_of_run(self, run: str) -> None:
        """Remove all that a run of a supervisor, whose leases are all settled, has left behind."""
        self._remove_all(f"{run}.")

    def remove_of_owner(self, owner: str) -> None:
        """Remove all that one process has left behind. It is dead, and what it published is committed."""
        self._remove_all(f"{owner}-")

    def _remove_all(self, beginning: str) -> None:
        for entry in list(os.scandir(self._directory)):
            if entry.name.startswith(beginning):
                self.remove(entry.name.encode())

    def _path(self, name: bytes) -> Path | None:
        try:
            text = name.decode("ascii")
        except UnicodeDecodeError:
            return None
        return self._directory / text if text and "/" not in text and "\0" not in text and not text.startswith(".") else None

    def _used_bytes(self) -> int:
        used = 0
        for entry in os.scandir(self._directory):
            with suppress(FileNotFoundError):
                used += entry.stat(follow_symlinks=False).st_size
        return used


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _no_follow(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
