"""Runs a part in a thread of its own: step, sleep as long as it says, step again; a wake-up is latched, never lost."""

from __future__ import annotations

import logging
import random
import threading
import time

from farm.errors import StoreUnavailable
from farm.ports import Part

BACKOFF_S = (0.05, 0.25)
FAILED_PAUSE_S = 1.0

log = logging.getLogger("farm")


class PartThread:
    """Owns the thread. A database that is away is not news here (the heartbeat tells once); any other failure is logged and counted."""

    def __init__(self, name: str, part: Part) -> None:
        self.name = name
        self.failures = 0
        self._part = part
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the part step soon, even if it is stepping now."""
        self._woken.set()

    def stop(self, wait_s: float) -> bool:
        """End the thread after its current step; True if it has ended. May be called again, and before start()."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._woken.wait(self._step())
            self._woken.clear()

    def _step(self) -> float:
        try:
            return self._part.step(time.monotonic())
        except StoreUnavailable:
            return random.uniform(*BACKOFF_S)
        except Exception:
            self.failures += 1
            log.exception("%s failed, for the %d. time; it goes on", self.name, self.failures)
            return FAILED_PAUSE_S
