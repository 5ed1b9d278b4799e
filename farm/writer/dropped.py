"""Tells of outcomes that the fence has dropped: the first at once, what follows as sums, not a line for each commit."""

from __future__ import annotations

import logging

from farm.model import CommitReport

QUIET_S = 10.0
"""Between two lines. A host that was taken for dead may offer thousands of outcomes in hundreds of commits."""

log = logging.getLogger("farm.writer")


class Dropped:
    """Adds up what was dropped since the last line."""

    def __init__(self) -> None:
        self._duplicate = self._stale = self._unknown = 0
        self._quiet_until = float("-inf")

    def note(self, report: CommitReport) -> None:
        """Take in what a commit came to."""
        self._duplicate += report.duplicate
        self._stale += report.stale
        self._unknown += report.unknown

    def tell(self, now: float, *, at_last: bool = False) -> None:
        """Say what was dropped, if anything was and it is time (or the end); now is monotonic, in seconds."""
        if not (self._duplicate or self._stale or self._unknown) or (now < self._quiet_until and not at_last):
            return
        log.warning(
            "outcomes dropped: %d duplicate, %d stale (their lease is gone), %d unknown", self._duplicate, self._stale, self._unknown
        )
        self._duplicate = self._stale = self._unknown = 0
        self._quiet_until = now + QUIET_S
