"""Jobs in flight beside each other: what is known of each, what its end comes to, and the threads of those that block."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from types import CoroutineType
from typing import Any

from farm.model import OutcomeKind
from farm.ports import Job
from farm.shm.tallies import TallyRow
from farm.subworker.failures import failure_of
from farm.subworker.limits import EXHAUSTED
from farm.subworker.reports import job_of_caller
from farm.subworker.results import NULL

SUCCEEDED = int(OutcomeKind.SUCCEEDED)
AWAIT = 0
"""No outcome yet: what came back is a coroutine."""

Flight = tuple[int, int, int, int, int, int, int, TallyRow, int]
"""(slot, seq, lease_id, position, job_id, attempt, started_ns, where it is counted, how long it had waited): a plain tuple, hot path."""


def end_of(call: Callable[[], Any], encode: Callable[[Any], bytes], *, skip_frames: int) -> tuple[int, Any]:
    """Call what gives a job's value or raises its error; returns (kind, JSON text), or (AWAIT, coroutine), or (MEMORY, the error).

    encode: makes the value JSON text. skip_frames: how many frames below this one are the farm's own.
    """
    try:
        value = call()
        if type(value) is CoroutineType:
            return AWAIT, value
        return SUCCEEDED, NULL if value is None else encode(value)
    except BaseException as error:
        return failure_of(error, skip_frames=1 + skip_frames)


class JobThreads:
    """As many threads as jobs may block at once, made when they are needed. One loop hands jobs over and collects what they came to."""

    def __init__(
        self,
        *,
        start: Callable[[threading.Thread], None],
        wake: Callable[[], None],
        forked: Callable[[], bool],
        encode: Callable[[Any], bytes],
    ) -> None:
        """start: starts a thread, or raises RuntimeError. wake: wakes the loop. forked: tells whether this is a job's fork of us.

        encode: as end_of() has it.
        """
        self._encode = encode
        self._start = start
        self._wake = wake
        self._forked = forked
        self._work: SimpleQueue[tuple[Flight, Callable[[Job], Any], Job]] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        """Jobs handed over and not collected."""
        self.ended: deque[tuple[Flight, int, Any]] = deque()
        """(flight, kind, payload) as end_of() returns them. No lock: appending is one step of the interpreter."""
        self.asleep = False
        """Set by the loop before it looks at `ended` for the last time and sleeps: from then on it wants to be woken."""

    def run(self, flight: Flight, run: Callable[[Job], Any], job: Job) -> None:
        """Have a job run by a thread. Where there cannot be more of them it waits for one; RuntimeError if there is none at all."""
        if self._busy >= self._threads:
            try:
                self._start(threading.Thread(target=self._serve, name=f"jobs-{self._threads + 1}", daemon=True))
                self._threads += 1
            except (RuntimeError, MemoryError) as error:
                if not self._threads:
                    raise RuntimeError(f"no thread can be started: {error}") from None
        self._busy += 1
        self._work.put((flight, run, job))

    def collect(self) -> tuple[Flight, int, Any] | None:
        """Return the end of one job, or None if there is none."""
        if not self.ended:
            return None
        self._busy -= 1
        return self.ended.popleft()

    def _serve(self) -> None:
        try:
            while True:
                flight, run, job = self._work.get()
                job_of_caller.set(flight)
                # A context of its own: what a job sets in it, the next one in this thread must not find.
                kind, payload = end_of(partial(copy_context().run, run, job), self._encode, skip_frames=1)
                del run, job
                if self._forked():
                    # A fork that the job made came back from it too.
                    os._exit(0)
                self.ended.append((flight, kind, payload))
                del payload
                if self.asleep:
                    self.asleep = False
                    self._wake()
        except MemoryError:
            os._exit(EXHAUSTED)
        except BaseException:
            # Something was thrown into this thread from outside. Its job would never end: all that run here have crashed.
            sys.excepthook(*sys.exc_info())
            os._exit(70)
