"""What must hold at any moment, whatever was killed or lost, as far as the database can show it."""

from __future__ import annotations

from collections.abc import Callable

from farm.model import ATTEMPTS_MAX_DEFAULT, CRASHES_MAX_DEFAULT
from farm.store.session import Session

CHECKS = {
    "check_places": "job",
    "check_results": "job",
    "check_attempts": "job",
    "check_classes": "job",
    "check_starts": "job",
    "check_leases": "lease",
}
"""The statements, and what their first column numbers."""

DEADLINE_S = 600.0
ATTEMPTS_MAX_USUAL = ATTEMPTS_MAX_DEFAULT - 1 + CRASHES_MAX_DEFAULT
"""Failures but for the last, and crashes; or crashes but for the last, and failures."""


def check(session: Session, *, attempts_max: int = ATTEMPTS_MAX_USUAL, done: Callable[[], None] = lambda: None) -> list[str]:
    """Return every violation as a line, at most 100 of each sort; an empty list is what should come back.

    attempts_max: how many attempts a job may use that did not say so itself; a farm's `tasks` may allow more than the usual number. Each
    look is one statement, thus one moment, so it may be taken while a farm runs. It reads whole tables. done: called after each.
    """
    violations = []
    for name, subject in CHECKS.items():
        for subject_id, problem in session.fetch(name, {"attempts_max": attempts_max}, deadline_s=DEADLINE_S, plan="plan_by_hash"):
            violations.append(f"{subject} {subject_id}: {problem}")
        done()
    return violations
