"""How long a subworker wants to keep the processor at once: as long as is usual while its jobs compute, else no longer than it must."""

from __future__ import annotations

import time

from farm import linux

WINDOW_NS = 20_000_000
"""Over how long it is looked what the processor was used for."""


class Slices:
    """Looked after between jobs. A subworker that mostly waits is let in at once when a job comes, beside others that compute; one that
    computes is among those others, and gives way to the supervisor, the writer and the server when these are woken.
    """

    def __init__(self) -> None:
        self._computes = False
        self._since_ns, self._used_ns = time.monotonic_ns(), time.process_time_ns()

    def note(self, now_ns: int) -> None:
        """Look how much of the time since the last look was spent computing. now_ns is CLOCK_MONOTONIC."""
        elapsed_ns = now_ns - self._since_ns
        if elapsed_ns < WINDOW_NS:
            return
        used_ns = time.process_time_ns()
        computes = 2 * (used_ns - self._used_ns) > elapsed_ns
        self._since_ns, self._used_ns = now_ns, used_ns
        if computes != self._computes:
            self._computes = computes
            linux.ask_for_slices(0 if computes else linux.SLICE_NS)
