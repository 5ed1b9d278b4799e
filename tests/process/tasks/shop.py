"""Tasks and setup functions of the tests about what a lane does to its subworkers."""

from __future__ import annotations

import asyncio
import os
import time

opened: list[int] = []
"""Pids of the subworkers that have called open_shop: a fork of the zygote has none of another's."""
loops: list[asyncio.AbstractEventLoop] = []
kept: list[bytes] = []


def open_shop() -> None:
    """A setup function: note that it was called, and allocate more than the lane's jobs may."""
    opened.append(os.getpid())
    kept.append(b"x" * 60_000_000)


async def open_loop() -> None:
    """A setup function that is awaited."""
    await asyncio.sleep(0.01)
    loops.append(asyncio.get_running_loop())


def look_around() -> list[object]:
    """Return who has opened, and what is around."""
    return [opened == [os.getpid()], os.environ.get("REGION"), sorted(os.sched_getaffinity(0)), os.nice(0), len(bytearray(25_000_000))]


async def look_at_loop() -> bool:
    """Tell whether this job runs on the loop of the setup."""
    return loops == [asyncio.get_running_loop()]


def nap(seconds: float) -> int:
    """Sleep; return the pid."""
    time.sleep(seconds)
    return os.getpid()


async def doze(seconds: float) -> int:
    """The same, awaited."""
    await asyncio.sleep(seconds)
    return os.getpid()


def hoard(megabytes: int) -> int:
    """Keep memory for ever; return the pid."""
    kept.append(b"x" * (megabytes << 20))
    time.sleep(0.05)
    return os.getpid()


def borrow(megabytes: int) -> int:
    """Use memory for a while, and give it back; return the pid."""
    borrowed = b"x" * (megabytes << 20)
    time.sleep(0.3)
    return os.getpid() if borrowed else 0
