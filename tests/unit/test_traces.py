"""The span that a job runs in, where OpenTelemetry is not installed."""

from __future__ import annotations

import sys

import pytest

from farm.ports import Job
from farm.subworker.traces import span_of

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_error_of_a_job_does_not_speak_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ValueError, match="boom") as raised, span_of(Job(1, "jobs:boom", None, 1), TRACEPARENT, lane="main"):
        raise ValueError("boom")
    assert raised.value.__context__ is None
