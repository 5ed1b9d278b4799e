"""How far ahead to prefetch: some tenths of a second of work at the pace that was measured, never a fixed number of jobs."""

from __future__ import annotations

WINDOW_S, WINDOW_S_MAX = 0.005, 0.5
"""Shorter stretches tell nothing about a pace; in a longer one even a few ends do."""
GROWTH_MAX = 4
"""One lucky window must not fill the buffers: a high watermark grows by this factor at most, or to as many as ended in the window."""
DRY_GROWTH_MAX = 8
"""The same where all that was handed out has ended: then no job of it was long, however short the stretch."""


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
        self._dry, self._dry_at = 0, 0.0
        """Ends, and the time, at the last look at which nothing was left to do."""
        self.high = jobs_min

    @property
    def low(self) -> int:
        """Refill when no more than this many are buffered."""
        return self.high // 2

    def back_off(self) -> None:
        """Buffer half as much: it turned out to be too much."""
        self.high = max(self._jobs_min, self.high // 2)

    def note(self, ended: int, now: float, *, was_idle: bool = False, is_dry: bool = False) -> None:
        """Take note that so many jobs have ended in all; now is monotonic, in seconds.

        was_idle: there was a time since the last note in which there was nothing to do. Then few ends are no sign of long jobs.
        is_dry: nothing is left to do, and something may be handed out right after this note.
        """
        if is_dry:
            self._note_dry(ended, now)
        elapsed = now - self._seen_at
        new = ended - self._seen
        if elapsed < WINDOW_S or (new < self._ends_wanted and elapsed < WINDOW_S_MAX):
            return
        self._seen, self._seen_at = ended, now
        high = min(int(new / elapsed * self._ahead_s), max(new, GROWTH_MAX * max(1, self.high)), self._jobs_max)
        self.high = max(self._jobs_min, high, self.high if was_idle else 0)

    def _note_dry(self, ended: int, now: float) -> None:
        """Grow at once where a whole buffer was used up since it was dry before: what ended since, has started since as well."""
        new, elapsed = ended - self._dry, now - self._dry_at
        self._dry, self._dry_at = ended, now
        if elapsed > 0 and new >= max(1, self.high):
            self.high = max(self.high, min(int(new / elapsed * self._ahead_s), DRY_GROWTH_MAX * max(1, self.high), self._jobs_max))
