"""The span that a job runs in, and what happens where OpenTelemetry is not installed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
from opentelemetry.trace import get_current_span

from farm.ports import Job
from farm.subworker.traces import Traced, span_of

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_error_of_a_job_does_not_speak_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ValueError, match="boom") as raised, span_of(Job(1, "jobs:boom", None, 1), TRACEPARENT, lane="main"):
        raise ValueError("boom")
    assert raised.value.__context__ is None


def test_what_a_thread_hands_back_to_be_awaited_is_in_a_span_too() -> None:
    async def trace_id(_job: Job) -> int:
        return get_current_span().get_span_context().trace_id

    def decorated(job: Job) -> Coroutine[Any, Any, int]:
        return trace_id(job)

    job = Job(1, "jobs:trace", None, 1)
    back = Traced(job, TRACEPARENT, lane="main").running(decorated)(job)
    assert asyncio.run(back) == 0x4BF92F3577B34DA6A3CE929D0E0E4736
