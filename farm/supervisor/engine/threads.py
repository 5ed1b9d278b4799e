"""Runs a part in a thread of its own: step, sleep as long as it says, step again; a wake-up is latched, never lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Protocol

from farm.errors import StoreUnavailable
from farm.ports import Part
from farm.supervisor.log.events import Event, event

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
        self.fails = False
        """Its last step has failed, be it only that the database did not do what was asked."""
        self._part = part
        self._nap = nap or EventNap()
        self._stopping = False
        self._step_began: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Have the part step soon, even if it is stepping now."""
        self._nap.wake()

    def at_it_s(self, now: float) -> float:
        """Return how long its present step has taken, 0 while it sleeps. Steps are short: none waits for a database without a deadline."""
        began = self._step_began
        return 0.0 if began is None else now - began

    def stop(self, wait_s: float) -> bool:
        """End the thread after its current step; True if it has ended. May be called again, and before start()."""
        self._stopping = True
        self._nap.wake()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._step_began = time.monotonic()
            wait_s = self._step()
            self._step_began = None
            try:
                self._nap.sleep(wait_s)
            except Exception:
                self._note_failure()
                time.sleep(FAILED_PAUSE_S)

    def _step(self) -> float:
        try:
            wait_s = self._part.step(time.monotonic())
            self.fails = False
            return wait_s
        except StoreUnavailable:
            self.fails = True
            return random.uniform(*BACKOFF_S)
        except Exception:
            self._note_failure()
            return FAILED_PAUSE_S

    def _note_failure(self) -> None:
        """Log the exception that is being handled."""
        self.failures += 1
        self.fails = True
        failed = event(Event.PART_FAILED, part=self.name, times=self.failures)
        log.exception("%s failed, for the %d. time; it goes on", self.name, self.failures, extra=failed)
