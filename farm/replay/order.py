"""What the process that runs a job again is told, and what it answers: plain JSON over pipes of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from farm.subworker.order import ForkOrder

READY, ENDED = "ready", "ended"
"""Kinds of answers: it is set up, and the job begins; the job has come to its end."""
NOT_SET_UP = 70
"""The exit code of one that could not be set up; it has printed why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """Everything that process is told."""

    fork: ForkOrder
    """What a subworker of the lane would be told, with the one runner that the job needs."""
    job_id: int
    task: str
    args: Any
    attempt: int
    """The number of the attempt as the job sees it."""
    debugger: bool

    def encoded(self) -> bytes:
        """Return the order as it travels."""
        return orjson.dumps(asdict(self))


def decoded(raw: bytes) -> ReplayOrder:
    """Return the order that came."""
    fields = orjson.loads(raw)
    fork = fields.pop("fork")
    fork["runners"] = tuple((name, options) for name, options in fork["runners"])
    return ReplayOrder(fork=ForkOrder(**fork), **fields)


def answer(kind: str, **fields: Any) -> bytes:
    """Return one answer as it travels."""
    return orjson.dumps({"kind": kind, **fields}) + b"\n"
