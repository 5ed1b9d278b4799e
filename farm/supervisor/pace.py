"""How far ahead to prefetch: some seconds of work at the pace that was measured, never a fixed number of jobs."""

from __future__ import annotations

WINDOW_S, WINDOW_S_MAX = 0.005, 0.1
"""Shorter stretches tell nothing about a pace; in a longer one even a few starts do."""
GROWTH_MAX = 4.0
"""One lucky window must not fill the buffers: a high watermark grows by this factor at most."""


class Pace:
    """The high watermark of a buffer: `ahead_s` seconds of work, between low and high bounds; its low watermark is half of it.

    A job of 100 ms and one of 10 us differ by four orders of magnitude: buffers of a fixed size would starve the one
    and hoard the other. `width` jobs can run at once: as many starts say nothing of how long a job takes, only those after them do.
    """

    def __init__(self, *, ahead_s: float, width: int, jobs_min: int, jobs_max: int) -> None:
        assert 1 <= jobs_min <= jobs_max
        self._width = width
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

    def note(self, started: int, now: float) -> None:
        """Take note that so many jobs have been started in all; now is monotonic, in seconds."""
        elapsed = now - self._seen_at
        new = started - self._seen
        if elapsed < WINDOW_S or (new < 2 * self._width and elapsed < WINDOW_S_MAX):
            return
        ahead = max(0, new - self._width) / elapsed * self._ahead_s
        self._seen, self._seen_at = started, now
        self.high = max(self._jobs_min, min(int(ahead), int(self.high * GROWTH_MAX), self._jobs_max))
