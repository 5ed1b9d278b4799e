"""How far ahead to prefetch: some tenths of a second of work at the pace that was measured, never a fixed number of jobs."""

from __future__ import annotations

WINDOW_S, WINDOW_S_MAX = 0.005, 0.5
"""Shorter stretches tell nothing about a pace; in a longer one even a few ends do."""
GROWTH_MAX = 4
"""One lucky window must not fill the buffers: a high watermark grows by this factor at most, or to as many as ended in the window."""


class Pace:
    """The high watermark of a buffer: `ahead_s` seconds of work, between low and high bounds; its low watermark is half of it.

    A job of 100 ms and one of 10 us differ by four orders of magnitude: buffers of a fixed size would starve the one
    and hoard the other. Ends are counted and not starts: a start says nothing of how long its job takes. `width` jobs can run
    at once: they may all end together, so a window holds two ends of each, or is as long as windows get.
    """

    def __init__(self, *, ahead_s: float, width: int, jobs_min: int, jobs_max: int) -> None:
        assert 0 <= jobs_min <= jobs_max
        self._ends_wanted = 2 * width
        self._ahead_s = ahead_s
        self._jobs_min = jobs_min
        self._jobs_max = jobs_max
        self._seen = 0
        self._seen_at = 0.0
        self.high = jobs_min

    @property
    def low(self) -> int:
        """Refill when no more than this many are buffered."""
        return self.high // 2

    def back_off(self) -> None:
        """Buffer half as much: it turned out to be too much."""
        self.high = max(self._jobs_min, self.high // 2)

    def note(self, ended: int, now: float, *, was_idle: bool = False) -> None:
        """Take note that so many jobs have ended in all; now is monotonic, in seconds.

        was_idle: there was a time since the last note in which there was nothing to do. Then few ends are no sign of long jobs.
        """
        elapsed = now - self._seen_at
        new = ended - self._seen
        if elapsed < WINDOW_S or (new < self._ends_wanted and elapsed < WINDOW_S_MAX):
            return
        self._seen, self._seen_at = ended, now
        high = min(int(new / elapsed * self._ahead_s), max(new, GROWTH_MAX * max(1, self.high)), self._jobs_max)
        self.high = max(self._jobs_min, high, self.high if was_idle else 0)
