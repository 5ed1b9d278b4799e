"""Three faults that the screen alone is to show: a lane starved by a slow task, a job that eats memory, a transaction that is left open.

`python -m tests.screen.faults --dsn DSN` prepares them for a farm that runs with tests/screen/faults.yaml, and holds them for a minute.
"""

from __future__ import annotations

import argparse
import time
from types import TracebackType
from typing import Self

import psycopg

from farm import Client

STARVED_LANE, EATER_LANE = "reports", "rest"
SLOW_TASK, QUICK_TASK, EATER_TASK = "greedy:report", "greedy:mail", "greedy:eat"
WAITING = 1_204
MEMORY_MB = 256
HORIZON_NAME = "forgotten psql"


class Faults:
    """Prepared one by one; the transaction is let go at the end."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._open: psycopg.Connection[tuple[object, ...]] | None = None

    def starve(self, slots: int, seconds: float) -> None:
        """Have a slow task take all slots of a lane, and quick jobs wait behind it."""
        slow = {"task": SLOW_TASK, "args": {"seconds": seconds}, "queue": STARVED_LANE, "priority": 0}
        quick = {"task": QUICK_TASK, "queue": STARVED_LANE}
        with Client(self._dsn) as client:
            client.enqueue_many([slow] * slots + [quick] * WAITING)

    def eat(self, hold_s: float) -> int:
        """Have one job take nearly all the memory that its lane allows, within a few seconds. Returns its id."""
        with Client(self._dsn) as client:
            return client.enqueue(EATER_TASK, {"megabytes": MEMORY_MB - 16, "seconds": 4.0, "hold_s": hold_s})

    def hold_horizon(self) -> None:
        """Leave a transaction open that has done something."""
        self._open = psycopg.connect(self._dsn, application_name=HORIZON_NAME)
        self._open.execute("SELECT txid_current()")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._open is not None:
            self._open.close()


def main() -> None:
    """Prepare all three, and hold them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with Faults(args.dsn) as faults:
        faults.hold_horizon()
        faults.starve(2, args.seconds)
        faults.eat(args.seconds)
        print("three faults are there; they go in", args.seconds, "s", flush=True)
        time.sleep(args.seconds)


if __name__ == "__main__":
    main()
