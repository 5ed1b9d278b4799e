"""How long jobs may run that say nothing of it themselves: what the configuration says of their task. What it says of their lane is added
when they are handed out: until then another lane may get them."""

from __future__ import annotations

from collections.abc import Callable

TASKS_MAX = 10_000


class Timeouts:
    """Answers in milliseconds, 0: no limit. Answers are kept, bounded: names come from whoever enqueues."""

    def __init__(self, *, of_task: Callable[[str], float | None]) -> None:
        """of_task: seconds for a task, None where nothing is said of it."""
        self._of_task = of_task
        self._known: dict[bytes, int] = {}

    def of(self, task: bytes) -> int:
        """Return how long a job of this task may run."""
        known = self._known.get(task)
        if known is None:
            if len(self._known) >= TASKS_MAX:
                self._known.clear()
            seconds = self._of_task(task.decode("utf-8", "backslashreplace"))
            known = self._known[task] = round(1000 * (seconds or 0.0))
        return known
