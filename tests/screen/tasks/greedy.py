"""Jobs that an operator would like to know of."""

from __future__ import annotations

import time


def report(seconds: float) -> None:
    """Take long, and hold a slot meanwhile."""
    time.sleep(seconds)


def mail() -> None:
    """Take no time."""


def eat(megabytes: int, seconds: float, hold_s: float) -> None:
    """Take more and more memory, evenly, and keep it for a while."""
    taken = []
    for _ in range(megabytes):
        taken.append(bytearray(b"x" * 1_000_000))
        time.sleep(seconds / megabytes)
    time.sleep(hold_s)
