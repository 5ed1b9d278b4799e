"""What the workers of Python peers have in common: how they are told what to do, and how they tell what they did.

The same words as in worker.mjs. It is imported by scripts that run in the environment of a peer, so it imports nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

COUNT_EVERY_S = 0.01
EFFECT_S = 0.004
"""How long a job with an effect takes."""


class Order:
    """What this process was started for: command, database, jobs, args, options."""

    def __init__(self) -> None:
        told = json.loads(sys.argv[1])
        self.command: str = told["command"]
        self.database: dict[str, str] = told["database"]
        self.jobs: int = told["jobs"]
        self.args: dict[str, Any] = told["args"]
        self.options: dict[str, Any] = told["options"]
        self.numbered: bool = told["numbered"]

    def args_of(self, first: int, count: int) -> list[dict[str, Any]]:
        """Return the arguments of so many jobs: all alike, or with the number of the job as `n`."""
        return [self.args | {"n": number} if self.numbered else self.args for number in range(first, first + count)]


class Tally:
    """Counts the jobs that ran, and tells it on standard output."""

    def __init__(self) -> None:
        self._started_us = 0
        self._ran = 0
        self._told = 0

    def noop(self) -> None:
        """Run one job: a no-op that counts."""
        if not self._started_us:
            self._started_us = time.time_ns() // 1000
        self._ran += 1

    async def tell(self) -> None:
        """Tell whenever there is news, until cancelled."""
        while True:
            await asyncio.sleep(COUNT_EVERY_S)
            if self._ran != self._told:
                if not self._told:
                    _say(f"started {self._started_us}")
                self._told = self._ran
                _say(f"ran {self._ran}")


class Effects:
    """Notes in a file that many processes append to when a job began and when it had its effect: see bench/peers/effects.py."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    async def run(self, number: int) -> None:
        """Run one job."""
        os.write(self._file, b"s%07d\n" % number)
        await asyncio.sleep(EFFECT_S)
        os.write(self._file, b"e%07d\n" % number)


def begin() -> None:
    """Say that everything is connected, and wait until all processes may begin."""
    _say("ready")
    sys.stdin.readline()


def _say(line: str) -> None:
    print(line, flush=True)
