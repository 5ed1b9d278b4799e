"""How long jobs may run that say nothing of it themselves: what the configuration says of their task, else of their lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping

TASKS_MAX = 10_000


class Timeouts:
    """Answers in milliseconds, 0: no limit. Answers are kept, bounded: names come from whoever enqueues."""

    def __init__(self, *, of_task: Callable[[str], float | None], of_lanes: Mapping[str, float]) -> None:
        """of_task: seconds for a task, None where nothing is said of it. of_lanes: seconds by lane, 0 where nothing is said."""
        self._of_task = of_task
        self._of_lanes = of_lanes
        self._known: dict[tuple[str, bytes], int] = {}

    def of(self, lane: str, task: bytes) -> int:
        """Return how long a job of this task may run in this lane."""
        known = self._known.get((lane, task))
        if known is None:
            if len(self._known) >= TASKS_MAX:
                self._known.clear()
            seconds = self._of_task(task.decode("utf-8", "backslashreplace"))
            known = self._known[lane, task] = round(1000 * (self._of_lanes.get(lane, 0.0) if seconds is None else seconds))
        return known
