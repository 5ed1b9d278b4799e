"""Runs a part in a thread of its own: step, sleep as long as it says, step again; a wake-up is latched, never lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.ports import Part

BACKOFF_S = (0.05, 0.25)
FAILED_PAUSE_S = 1.0

log = logging.getLogger("farm")


class Nap(Protocol):
    """How a thread sleeps. A wake-up that comes while it does not is latched: the next sleep ends at once."""

    def sleep(self, wait_s: float) -> None: ...
    def wake(self) -> None: ...


class EventNap:
    """Sleeps until woken."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def sleep(self, wait_s: float) -> None:
        self._woken.wait(wait_s)
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()


class PartThread:
    """Owns the thread. A database that is away is not news here (the heartbeat tells once); any other failure is logged and counted."""

    def __init__(self, name: str, part: Part, nap: Nap | None = None) -> None:
        self.name = name
        self.failures = 0
        self.step_began: float | None = None
        """When the step began that it is at (monotonic, in seconds); None while it sleeps."""
        self._part = part
        self._nap = nap or EventNap()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the part step soon, even if it is stepping now."""
        self._nap.wake()

    def stop(self, wait_s: float) -> bool:
        """End the thread after its current step; True if it has ended. May be called again, and before start()."""
        self._stopping = True
        self._nap.wake()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            wait_s = self._step()
            try:
                self._nap.sleep(wait_s)
            except Exception:
                self._note_failure()
                time.sleep(FAILED_PAUSE_S)

    def _step(self) -> float:
        try:
            self.step_began = now = time.monotonic()
            return self._part.step(now)
        except StoreUnavailable:
            return random.uniform(*BACKOFF_S)
        except Exception:
            self._note_failure()
            return FAILED_PAUSE_S
        finally:
            self.step_began = None

    def _note_failure(self) -> None:
        """Log the exception that is being handled."""
        self.failures += 1
        log.exception("%s failed, for the %d. time; it goes on", self.name, self.failures)
