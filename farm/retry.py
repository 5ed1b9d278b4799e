"""What is done about an attempt that has failed: after which pause another one follows, and when none does. Data and arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from math import isfinite
from re import compile as compile_pattern
from typing import Any, NamedTuple

from farm.wishes import AFTER_S_MAX

DELAY_S_MAX = AFTER_S_MAX
"""PostgreSQL's times are still times then, whatever a policy comes to."""
DOUBLINGS_MAX = 64
"""More than any cap allows, and far from where a float overflows."""
FINAL_ERRORS = frozenset({"ResultError", "TaskNotFound", "WrongArguments", "SyntaxError", "IndentationError", "TabError"})
"""Errors that another attempt cannot mend: a result that cannot be kept, a task that is not there, arguments that do not fit its
parameters, and a module that is no Python. `tasks.<pattern>.final_errors` says others."""
TASKS_MAX = 10_000


class Backoff(NamedTuple):
    """How long to wait before another attempt: base_s, or with a cap up to base_s doubled for each attempt before, and up to cap_s."""

    base_s: float
    cap_s: float | None
    """None: always base_s."""


BACKOFF_DEFAULT = Backoff(1.0, 600.0)
"""`1s to 10m`."""
AT_ONCE = Backoff(0.0, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a configuration says of the tasks that a pattern matches; None: nothing."""

    pattern: str = "*"
    retry: Backoff | None = None
    max_attempts: int | None = None
    timeout_s: float | None = None
    final_errors: tuple[str, ...] | None = None

    def is_final(self, names: frozenset[str]) -> bool:
        """Say whether an error of these names (see names_of) is not to be tried again."""
        return not names.isdisjoint(FINAL_ERRORS if self.final_errors is None else self.final_errors)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"retry": None if self.retry is None else list(self.retry)}

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Policy:
        """Make it of what as_data() returned."""
        retry, final_errors = data["retry"], data["final_errors"]
        fields = {"retry": retry and Backoff(*retry), "final_errors": None if final_errors is None else tuple(final_errors)}
        return cls(**{**data, **fields})


NO_POLICY = Policy()


class Policies:
    """The policies of a configuration, in its order: the first whose pattern matches a task is the task's."""

    def __init__(self, policies: Sequence[Policy] = ()) -> None:
        self._policies = [(compile_pattern(translate(policy.pattern)).match, policy) for policy in policies]
        self._known: dict[str, Policy] = {}
        self.limits_attempts = any(policy.max_attempts is not None for policy in policies)
        """True if any of them says how often a job may be started."""

    def of(self, task: str) -> Policy:
        """Return the policy of a task. Kept, bounded: names come from whoever enqueues."""
        known = self._known.get(task)
        if known is None:
            if len(self._known) >= TASKS_MAX:
                self._known.clear()
            known = self._known[task] = next((policy for matches, policy in self._policies if matches(task)), NO_POLICY)
        return known


NO_POLICIES = Policies()


def delay_s(backoff: Backoff, attempts: int, draw: float) -> float:
    """Return the pause after so many used attempts; draw is a random number from 0 up to 1, of which all that have failed get their own.

    Full jitter: anything from 0 to the bound, so that what has failed together does not come back together.
    """
    base_s, cap_s = backoff
    if cap_s is None:
        return clamped_s(base_s)
    return clamped_s(draw * min(cap_s, base_s * 2.0 ** min(max(attempts - 1, 0), DOUBLINGS_MAX)))


def clamped_s(pause_s: float) -> float:
    """Return a pause from 0 to ten years; what is no number is ten years."""
    return min(max(pause_s, 0.0), DELAY_S_MAX) if isfinite(pause_s) else DELAY_S_MAX


def names_of(kind: object) -> frozenset[str]:
    """Return what an error of this type may be called in `final_errors`: its class with its module and without."""
    return frozenset((kind, kind.rpartition(".")[2])) if isinstance(kind, str) else frozenset()
