"""Tasks of measurements that no user has. Subworkers import this: it imports next to nothing."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

EFFECT_S = 0.004
"""How long a job with an effect takes: as for the peers, see bench/peers/worker.py."""


def stumble(marks: str = "", place: int = 0, **_named: object) -> dict[str, Any]:
    """Do nothing; but where a file of marks is named, and the byte at this place in it is 0, set it and fail. Raises RuntimeError."""
    if marks:
        opened = _open(marks, os.O_RDWR)
        if os.pread(opened, 1, place) == b"\0":
            os.pwrite(opened, b"\1", place)
            raise RuntimeError("the first time it fails")
    return {}


def effect(effects: str, n: int, **_named: object) -> None:
    """Note in a file that many processes append to when this job began and when it had its effect: see bench/peers/effects.py."""
    opened = _open(effects, os.O_WRONLY | os.O_APPEND)
    os.write(opened, b"s%07d\n" % n)
    time.sleep(EFFECT_S)
    os.write(opened, b"e%07d\n" % n)


def say(number: int, lines: int) -> None:
    """Print lines as a job does that tells how far it is."""
    for line in range(lines):
        print(f"order {number}: step {line} of {lines} is done, nothing unusual was found")


def say_nothing(number: int, lines: int) -> None:
    """Make the same lines, and print none."""
    for line in range(lines):
        f"order {number}: step {line} of {lines} is done, nothing unusual was found"


@cache
def _open(path: str, flags: int) -> int:
    """Open it once in each subworker."""
    return os.open(path, flags | os.O_CLOEXEC)
