"""Sends the spans of jobs to a collector: name `farm.tracing:export` as the `setup` of a lane. Needs the extra `otel`.

Where to and what else is said in OpenTelemetry's own variables, in the lane's `env`: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME and
so on. Whoever sets up OpenTelemetry in a way of their own needs none of this: farm's spans go to whatever provider there is.
"""

from __future__ import annotations

import os

from farm.errors import FarmError

SERVICE_NAME = "farm"
EXTRA = "native-farm[otel]"


def export() -> None:
    """Have the spans of this process be sent by OTLP over HTTP, in batches. Raises FarmError if the extra is not installed."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise FarmError(f"OpenTelemetry is not installed: run  pip install '{EXTRA}'") from None
    # Subworkers are ended without much ado: what was not sent within a second may be lost with one.
    os.environ.setdefault("OTEL_BSP_SCHEDULE_DELAY", "500")
    os.environ.setdefault("OTEL_SERVICE_NAME", SERVICE_NAME)
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
