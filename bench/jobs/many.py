"""Two hundred tasks that do nothing, task_000 to task_199: for what depends on how many there are."""

from __future__ import annotations

TASKS = 200


def _task(**_named: object) -> None:
    """Do nothing."""


globals().update({f"task_{number:03}": _task for number in range(TASKS)})
