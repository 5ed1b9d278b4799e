"""The jobs of the torture. Each leaves a line as the first thing that it does: `number pid ppid time`."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import random
import time

import farm

MB = 1_000_000
kept: list[bytearray] = []


def leave(path: str, number: int) -> None:
    """Append one line in one write, so that lines of many processes never mix."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(fd, f"{number} {os.getpid()} {os.getppid()} {time.time():.6f}\n".encode())
    finally:
        os.close(fd)


def work(path: str, number: int, seconds: float = 0.0) -> int:
    """Succeed after a while."""
    leave(path, number)
    if seconds:
        time.sleep(seconds)
    return number


async def work_async(path: str, number: int, seconds: float) -> int:
    """Succeed after a while, beside others."""
    leave(path, number)
    await asyncio.sleep(seconds)
    return number


def carry(path: str, number: int, text: str, length: int) -> list[object]:
    """Take and return what is too large for a ring."""
    leave(path, number)
    return [number, len(text), "r" * length]


def waver(path: str, number: int) -> int:
    """Fail every other time."""
    leave(path, number)
    if random.random() < 0.5:
        raise RuntimeError("not this time")
    return number


def fail(path: str, number: int) -> None:
    """Fail every time."""
    leave(path, number)
    raise ValueError(f"{number} fails")


def vanish(path: str, number: int) -> None:
    """End the process without a word."""
    leave(path, number)
    os._exit(9)


def segfault(path: str, number: int) -> None:
    """Read what is not there."""
    leave(path, number)
    ctypes.string_at(0)


def hang(path: str, number: int) -> None:
    """Run far past any timeout."""
    leave(path, number)
    time.sleep(60)


async def hang_async(path: str, number: int) -> None:
    """Run far past any timeout, beside others."""
    leave(path, number)
    await asyncio.sleep(60)


def devour(path: str, number: int) -> int:
    """Want more memory than there is."""
    leave(path, number)
    return len(bytearray(1 << 42))


def odd(path: str, number: int) -> object:
    """Return what cannot be kept."""
    leave(path, number)
    return object()


def wish(path: str, number: int) -> int:
    """Ask to be tried again, or later, before it succeeds."""
    leave(path, number)
    what = random.random()
    if what < 0.3:
        raise farm.Retry(after_s=0.1)
    if what < 0.6:
        raise farm.Snooze(after_s=0.1)
    return number


def give_up(path: str, number: int) -> None:
    """Cancel itself."""
    leave(path, number)
    raise farm.Cancel("no use")


def leak(path: str, number: int) -> int:
    """Succeed, and leave a megabyte behind."""
    leave(path, number)
    kept.append(bytearray(b"x") * MB)
    return number


def roomy(path: str, number: int, megabytes: int) -> int:
    """Succeed where a job may have as much as this one has declared."""
    leave(path, number)
    return number if len(bytearray(b"x") * (megabytes * MB)) else -1


def share(path: str, number: int, megabytes: int) -> int:
    """Fill shared memory, which no limit of a process counts, and stay."""
    leave(path, number)
    with mmap.mmap(-1, megabytes * MB) as memory:
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1
        time.sleep(60)
    return number


def fork(path: str, number: int, megabytes: int) -> int:
    """Have children take it, each less than a job may have, and stay."""
    leave(path, number)
    for _ in range(4):
        if not os.fork():
            block = bytearray(b"x") * (megabytes * MB // 4)
            time.sleep(60)
            os._exit(not block)
    time.sleep(60)
    return number


def tell(path: str, number: int, steps: int, seconds: float) -> int:
    """Succeed, and say how far it is on the way."""
    leave(path, number)
    for step in range(steps):
        farm.progress(step / steps, f"step {step} of {number}")
        time.sleep(seconds / steps)
    return number
