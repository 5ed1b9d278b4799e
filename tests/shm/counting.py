"""Tasks that count in shared memory how often each job has run. The memory is made before the fork of whoever runs them."""

from __future__ import annotations

import asyncio

RUNS: list[memoryview] = []


async def count_async(job: int) -> None:
    """Count, on a loop."""
    RUNS[0][job] += 1
    await asyncio.sleep(0.0001 * (job % 7))


def count(job: int) -> None:
    """Count, in a thread."""
    RUNS[0][job] += 1
