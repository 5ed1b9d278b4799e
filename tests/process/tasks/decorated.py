"""Tasks as a user declares them."""

from __future__ import annotations

import sys

import farm


@farm.task(queue="sums", max_attempts=1, timeout="20s", priority=2)
def add(left: int, right: int = 1) -> int:
    """Add."""
    return left + right


@farm.task(memory="256MB")
async def add_later(left: int, *, right: int) -> int:
    return left + right


@farm.task
def loaded(*names: str) -> list[str]:
    """Say which of these modules this process has loaded."""
    return [name for name in names if name in sys.modules]


@farm.task(memory="1GB")
def large() -> None:
    """Never runs in the lanes of the tests."""
