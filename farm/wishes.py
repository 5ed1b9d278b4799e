"""What a job may wish for instead of a result, by raising it: another attempt, to come back later, or to be cancelled.

Subworkers import this with `farm`: nothing else is imported here.
"""

from __future__ import annotations

AFTER_S_MAX = 10 * 366 * 86400.0
"""Ten years: whoever means longer has made a mistake."""


class Retry(Exception):
    """Raised by a job: this attempt has failed, and the next one is to begin after_s seconds from now.

    None: after the pause that the job's retry policy has for it. 0: at once. Uses an attempt, so the last one of max_attempts is the
    last all the same.
    """

    def __init__(self, after_s: float | None = None, message: str = "") -> None:
        self.after_s = None if after_s is None else checked_after_s(after_s)
        super().__init__(message or "the job asked for another attempt")


class Snooze(Exception):
    """Raised by a job: run me again after_s seconds from now, as if this had not been a start. Uses no attempt."""

    def __init__(self, after_s: float) -> None:
        self.after_s = checked_after_s(after_s)
        super().__init__(f"snoozed for {self.after_s:g} s")


class Cancel(Exception):
    """Raised by a job: it is to end here and now as cancelled, for this reason. Whoever waits for it gets farm.JobCancelled."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the job cancelled itself")


def checked_after_s(after_s: object) -> float:
    """Return a pause in seconds, from 0 to ten years. Raises ValueError: as an error of the job it says what was wrong."""
    # Compared so that a nan is refused, too.
    if not isinstance(after_s, int | float) or isinstance(after_s, bool) or not 0 <= after_s <= AFTER_S_MAX:
        raise ValueError(f"after_s: expected 0 to {AFTER_S_MAX:.0f} seconds (ten years), got {after_s!r:.80}")
    return float(after_s)
