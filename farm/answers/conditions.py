"""Conditions on how a farm does, for alarms: `oldest > 60s`, `ready[mail] >= 1000`, `failed > 5%`.

    conditions = condition { "," condition }
    condition  = subject [ "[" queue "]" ] operator value
    operator   = ">" | ">=" | "<" | "<=" | "=" | "!="
    value      = a duration (60s, 5m, 1h), a number (1000, 10_000), or a share (5%), whichever the subject is

Blanks may stand anywhere between these. A condition holds when the farm's figure compares so.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from farm.errors import FarmError
from farm.model import NAME_PATTERN
from farm.spelling import did_you_mean
from farm.units import format_duration, parse_duration


class Kind(StrEnum):
    """What a subject is measured in."""

    DURATION = "a duration such as 60s"
    NUMBER = "a number such as 1000"
    SHARE = "a share such as 5%"


class Subject(NamedTuple):
    """Something that can be asked about."""

    kind: Kind
    means: str
    of_queue: bool = False
    """It may be asked of one queue."""


SUBJECTS: Mapping[str, Subject] = {
    "oldest": Subject(Kind.DURATION, "how long the oldest job that is ready has waited; 0s if none does", of_queue=True),
    "ready": Subject(Kind.NUMBER, "jobs that could start now, counted to 10,001", of_queue=True),
    "scheduled": Subject(Kind.NUMBER, "jobs that are due later, those to be tried again included, counted to 10,001"),
    "claimed": Subject(Kind.NUMBER, "jobs that hosts hold, those that run included"),
    "running": Subject(Kind.NUMBER, "jobs that run"),
    "failed": Subject(Kind.SHARE, "of up to 10,000 jobs that ended within the last minute, those that failed; 0% if none ended"),
    "hosts": Subject(Kind.NUMBER, "hosts that live"),
    "beat": Subject(Kind.DURATION, "since the last heartbeat, of the living host that is quiet for longest; endless if none lives"),
    "paused": Subject(Kind.NUMBER, "pauses: lanes and queues, on each host that lives"),
    "missing": Subject(Kind.NUMBER, "subworkers that should serve, and do not"),
    "horizon": Subject(Kind.DURATION, "how long a session or prepared transaction has kept PostgreSQL from cleaning up; 0s if none does"),
}

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}

TEXT_MAX = 1000
COUNT_MAX = 10_000
"""Counts of jobs that wait stop at one more: a condition on a larger number could never be told."""
BOUNDED = frozenset({"ready", "scheduled"})

_CONDITION = re.compile(
    r"\s*(?P<subject>[A-Za-z_]+)\s*(?:\[\s*(?P<queue>[^\]]*?)\s*\])?\s*(?P<operator>>=|<=|!=|==|>|<|=)\s*(?P<value>[^\s<>=!].*?)\s*",
    re.DOTALL,
)
_NUMBER = re.compile(r"[0-9]{1,3}(?:_?[0-9]{3}){0,4}|[0-9]{1,15}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_QUEUE = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition."""

    subject: str
    queue: str | None
    operator: str
    value: float
    """In seconds, jobs or hosts, or a share from 0 to 1."""

    def __str__(self) -> str:
        """As parse() reads it."""
        queue = f"[{self.queue}]" if self.queue is not None else ""
        return f"{self.subject}{queue}{self.operator}{_exact(SUBJECTS[self.subject].kind, self.value)}"

    def holds(self, figure: float) -> bool:
        """Tell whether it is so, of the figure of its subject."""
        return OPERATORS[self.operator](figure, self.value)

    def shown(self, figure: float) -> str:
        """Show a figure of its subject for people."""
        kind = SUBJECTS[self.subject].kind
        if figure == float("inf"):
            return "endless"
        if kind is Kind.DURATION:
            return format_duration(figure)
        if kind is Kind.SHARE:
            return f"{100 * figure:.3g}%"
        return f">{COUNT_MAX:,}" if self.subject in BOUNDED and figure > COUNT_MAX else f"{figure:,.0f}"


def parse(text: str) -> list[Condition]:
    """Read conditions with commas between them. Raises FarmError, in one line."""
    if len(text) > TEXT_MAX:
        raise FarmError(f"expected conditions of at most {TEXT_MAX} characters, got {len(text)}")
    return [_parse_one(part) for part in text.split(",")]


def _parse_one(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise FarmError(f"expected a condition such as oldest>60s, got {_shown(text)}")
    name, queue, sign = match["subject"], match["queue"], match["operator"]
    subject = SUBJECTS.get(name)
    if subject is None:
        close = did_you_mean(name, SUBJECTS) or f": expected one of {', '.join(SUBJECTS)}"
        raise FarmError(f"nothing called {name[:40]!r} can be asked about{close}")
    if queue is not None and not subject.of_queue:
        of_queue = " and ".join(known for known in SUBJECTS if SUBJECTS[known].of_queue)
        raise FarmError(f"{name} cannot be asked of one queue, only {of_queue} can: got {_shown(text)}")
    if queue is not None and _QUEUE.fullmatch(queue) is None:
        raise FarmError(f"expected the name of a queue between [ and ], got {_shown(queue)}")
    value = _value(name, subject.kind, match["value"])
    if name in BOUNDED and value > COUNT_MAX:
        raise FarmError(f"{name} is counted to {COUNT_MAX + 1:,} only, so it cannot be compared with {match['value'][:40]}")
    return Condition(subject=name, queue=queue, operator="=" if sign == "==" else sign, value=value)


def _value(name: str, kind: Kind, text: str) -> float:
    if kind is Kind.DURATION:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise FarmError(f"{name}: {error}") from None
    if kind is Kind.NUMBER and _NUMBER.fullmatch(text):
        return float(text.replace("_", ""))
    share = _SHARE.fullmatch(text) if kind is Kind.SHARE else None
    if share is not None and float(share[1]) <= 100:
        return float(share[1]) / 100
    raise FarmError(f"{name}: expected {kind}, got {_shown(text)}")


def _exact(kind: Kind, value: float) -> str:
    if kind is Kind.NUMBER:
        return f"{value:.0f}"
    number, unit = (value, "s") if kind is Kind.DURATION else (100 * value, "%")
    return f"{number:.9f}".rstrip("0").rstrip(".") + unit


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def figures(status: Mapping[str, Any], *, failed: float | None = None, horizon_s: float | None = None) -> dict[str, float]:
    """Return the figure of every subject, and of each queue as `oldest[mail]`. status is as ReadStore has it.

    failed and horizon_s are asked for apart; None where nobody wants them.
    """
    live = [host for host in status["hosts"] if host["state"] == "live"]
    lanes = [lane["state"] for host in live for lane in host["lanes"].values()]
    paused_lanes = sum("paused" in state.get("held_by", ()) for state in lanes)
    found = {
        "oldest": max((_age(queue) for queue in status["queues"]), default=0.0),
        "ready": float(min(sum(queue["ready"] for queue in status["queues"]), COUNT_MAX + 1)),
        "scheduled": float(status["scheduled"]),
        "claimed": float(status["claimed"]),
        "running": float(status["running"]),
        "hosts": float(len(live)),
        "beat": max((max(0.0, host["beat_age_s"]) for host in live), default=float("inf")),
        "paused": float(paused_lanes + sum(len(host["paused_queues"]) for host in live)),
        "missing": float(sum(max(0, state.get("of", 0) - state.get("serving", 0)) for state in lanes)),
        "failed": failed or 0.0,
        "horizon": horizon_s or 0.0,
    }
    for queue in status["queues"]:
        found[f"oldest[{queue['queue']}]"] = _age(queue)
        found[f"ready[{queue['queue']}]"] = float(min(queue["ready"], COUNT_MAX + 1))
    return found


def figure_of(condition: Condition, known: Mapping[str, float]) -> float:
    """Return the figure that a condition is about; of a queue that has nothing waiting 0."""
    return known[condition.subject] if condition.queue is None else known.get(f"{condition.subject}[{condition.queue}]", 0.0)


def _age(queue: Mapping[str, Any]) -> float:
    return max(0.0, float(queue["oldest_age_s"] or 0.0))
