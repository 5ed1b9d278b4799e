"""What the workers of Python peers have in common: how they are told what to do, and how they tell what they did.

The same words as in worker.mjs. It is imported by scripts that run in the environment of a peer, so it imports nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

COUNT_EVERY_S = 0.01


class Order:
    """What this process was started for: command, database, jobs, args, options."""

    def __init__(self) -> None:
        told = json.loads(sys.argv[1])
        self.command: str = told["command"]
        self.database: dict[str, str] = told["database"]
        self.jobs: int = told["jobs"]
        self.args: dict[str, Any] = told["args"]
        self.options: dict[str, Any] = told["options"]


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


def begin() -> None:
    """Say that everything is connected, and wait until all processes may begin."""
    _say("ready")
    sys.stdin.readline()


def _say(line: str) -> None:
    print(line, flush=True)
