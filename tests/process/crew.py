"""The processes of a farm under test, found by the lock that they all hold."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from farm import linux

WAIT_S_MAX = 40.0

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, *, wait_s: float = WAIT_S_MAX) -> T:
    """Wait until the condition returns something true, and return it."""
    deadline = time.monotonic() + wait_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {wait_s:g} s in vain for: {what}"
        time.sleep(0.005)
    return value


def holders(lock: Path) -> list[int]:
    """Return the processes that have this file open."""
    try:
        wanted = lock.stat()
    except FileNotFoundError:
        return []
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and _has_open(int(entry), wanted)]


def is_alive(pid: int) -> bool:
    """Say whether there is such a process, and it is no zombie."""
    return _state(pid) not in ("", "Z", "X")


def command(pid: int) -> str:
    """Return the command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def writers(lock: Path) -> list[int]:
    return [pid for pid in holders(lock) if "farm.writer.process" in command(pid)]


def subworkers(lock: Path) -> list[int]:
    """Return those that have a post, as their names say."""
    return [pid for pid in _of_zygote(lock) if re.fullmatch(r"farm w[0-9]+", name(pid))]


def spares(lock: Path) -> list[int]:
    """Return those that wait for a post."""
    return [pid for pid in _of_zygote(lock) if name(pid) == "farm spare" and _group(pid) == pid]


def name(pid: int) -> str:
    """Return the name that a process has given itself, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def zygotes(lock: Path) -> list[int]:
    """Return the zygote first; for a moment, those that it is just forking."""
    return sorted(
        (pid for pid in _of_zygote(lock) if name(pid) == "farm zygote" or _group(pid) not in (pid, 0)),
        key=lambda pid: linux.start_time(pid) or 0,
    )


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Signal a process; False if it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def end_all(lock: Path) -> None:
    """Kill whoever holds the lock."""
    while pids := [pid for pid in holders(lock) if pid != os.getpid() and is_alive(pid)]:
        for pid in pids:
            kill(pid, signal.SIGCONT)
            kill(pid)
        time.sleep(0.005)


def _of_zygote(lock: Path) -> list[int]:
    return [pid for pid in holders(lock) if "farm.subworker.zygote" in command(pid) and is_alive(pid)]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{entry}")
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    return False


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:
        return ""
