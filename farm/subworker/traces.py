"""A job that names the span it was enqueued in runs in a span of its own below that one, where OpenTelemetry is installed.

The name travels in front of the arguments: `00-...-01{"to": ...}`. Arguments are JSON and begin with a bracket, so nobody has to look
for it: what reads them as JSON fails, and only then somebody looks closer. Jobs without a span pay nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from inspect import iscoroutine
from typing import Any, Final

from farm.ports import Job

MARK: Final = b"00-"
"""What the name of a span begins with: the version of W3C Trace Context that farm takes."""
TRACEPARENT_BYTES: Final = 55
TRACER: Final = "farm"


def split(given: bytes) -> tuple[str, bytes]:
    """Take apart what is_traced: the span that the job was enqueued in, and its arguments."""
    return given[:TRACEPARENT_BYTES].decode(), given[TRACEPARENT_BYTES:]


def is_traced(given: bytes) -> bool:
    """Say whether a span's name stands in front of arguments."""
    return given[: len(MARK)] == MARK


class Traced:
    """A job in a span of its own, in a lane where many run at once."""

    def __init__(self, job: Job, traceparent: str, *, lane: str) -> None:
        self._job = job
        self._traceparent = traceparent
        self._lane = lane

    async def awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await what the job is."""
        with span_of(self._job, self._traceparent, lane=self._lane):
            return await coroutine

    def running(self, run: Callable[[Job], Any]) -> Callable[[Job], Any]:
        """Return what runs the job, in whichever thread that is."""

        def run_traced(job: Job) -> Any:
            with span_of(job, self._traceparent, lane=self._lane):
                value = run(job)
            # A function that only makes what is to be awaited, as a decorated one may: the job begins there.
            return self.awaited(value) if iscoroutine(value) else value

        return run_traced


def span_of(job: Job, traceparent: str, *, lane: str) -> AbstractContextManager[Any]:
    """Return a span of the job's own to be in, below the one that it was enqueued in; where OpenTelemetry is not installed, it is nothing.

    What the job raises is noted in the span and goes on.
    """
    try:
        from opentelemetry.trace import SpanKind, get_tracer
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        # Nothing of the job's runs in here: its own errors would speak of this one.
        return nullcontext()
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    attributes: dict[str, str | int] = {
        "messaging.system": "farm",
        "messaging.operation.type": "process",
        "messaging.message.id": str(job.id),
        "farm.task": job.task,
        "farm.lane": lane,
        "farm.attempt": job.attempt,
    }
    return get_tracer(TRACER).start_as_current_span(job.task, context=parent, kind=SpanKind.CONSUMER, attributes=attributes)
