"""A store with a partition that is being pruned, or none, as the upkeep thread sees it."""

from __future__ import annotations

from farm.errors import StoreError
from farm.model import Retention, TableUser
from farm.store.prunes import Step, UnderWay


class FakePrunes:
    """Does as it is told, and notes what it was asked."""

    def __init__(self) -> None:
        self.states: list[str] = []
        """What the next steps say; the last one again and again."""
        self.finishes: list[str] = []
        self.tables = 0
        self.due = 0
        """So many partitions may go."""
        self.asked: list[tuple[str, float]] = []
        self.error: StoreError | None = None
        self.spared: list[str] = []
        """What is said to those who want to keep jobs longer; nothing: that nothing need be spared."""

    def under_way(self) -> UnderWay:
        if self.error is not None:
            raise self.error
        return UnderWay(bool(self.states), self.tables > 0)

    def go_on(self, jobs_max: int, share: float) -> Step:
        self.asked.append(("go_on", jobs_max))
        return Step(self.states[0] if len(self.states) == 1 else self.states.pop(0), 0.5, 100, 10, 0.1)

    def spare(self, retention: Retention) -> str:
        self.asked.append(("spare", retention.succeeded_s or 0.0))
        done = self.spared.pop(0) if self.spared else "none"
        if done == "spared":
            self.states = []
        return done

    def finish(self, lock_ms: int) -> str:
        self.asked.append(("finish", lock_ms))
        answer = self.finishes.pop(0)
        if answer == "pruned":
            self.states, self.tables = [], 3
        return answer

    def in_the_way(self) -> TableUser | None:
        return TableUser(77, "report", 840.0)

    def drop(self) -> bool:
        self.asked.append(("drop", 0))
        self.tables -= 1
        return True

    def take_look(self, every_s: float) -> bool:
        return True

    def begin_next(self, older_than_s: float) -> bool:
        self.asked.append(("begin_next", older_than_s))
        return False

    def begin_due(self, retention: Retention, *, looking_s: float) -> bool:
        if self.due:
            self.due -= 1
            self.states, self.finishes = ["copying", "copying", "copied"], ["pruned"]
            return True
        return False
