"""What must hold at any moment, whatever was killed or lost, as far as the database can show it."""

from __future__ import annotations

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


def check(session: Session) -> list[str]:
    """Return every violation as a line, at most 100 of each sort; an empty list is what should come back.

    Each look is one statement, thus one moment, so it may be taken while a farm runs. It reads whole tables.
    """
    violations = []
    for name, subject in CHECKS.items():
        for subject_id, problem in session.fetch(name, deadline_s=DEADLINE_S):
            violations.append(f"{subject} {subject_id}: {problem}")
    return violations
