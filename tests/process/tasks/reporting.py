"""Tasks that say how far they are, until a file is gone."""

from __future__ import annotations

import asyncio
import os
import time

import farm


def hold(gone: str, fraction: float | None, text: str) -> None:
    """Say it again and again, as fast as that goes for a while."""
    for _ in range(10_000):
        farm.progress(fraction, text)
    while os.path.exists(gone):
        time.sleep(0.01)


async def hold_async(gone: str, fraction: float | None, text: str) -> None:
    """Say it in a task of its own, in a thread."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(farm.progress, fraction, text))
    while os.path.exists(gone):
        await asyncio.sleep(0.01)


def fail() -> None:
    """Set up nothing."""
    raise ImportError("no pool\x1b[2J to open")
