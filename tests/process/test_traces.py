"""A job that names the span it was enqueued in runs in a span below it, which reaches a collector."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """Takes spans by OTLP over HTTP, as a real one does."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_the_span_of_a_job_stands_below_the_one_it_was_enqueued_in(make_farm: MakeFarm, ledger: Ledger, collector: Collector) -> None:
    """One job at a time and many at once, awaited, in threads, and failing; one that names no span has none."""

    def lane(name: str, concurrency: int) -> dict[str, Any]:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        options = {"queues": [name], "subworkers": 1, "concurrency": concurrency, "memory": "256MB"}
        return {**options, "env": env, "setup": "farm.tracing:export"}

    lanes = {"one": lane("one", 1), "many": lane("many", 4)}
    farm = make_farm(lanes=lanes, tasks={"*": {"max_attempts": 1}}).start()
    jobs = {}
    for queue in ("one", "many"):
        jobs[queue, "who"] = ledger.enqueue("who", queue=queue, traceparent=TRACEPARENT)
        jobs[queue, "wait_async"] = ledger.enqueue("wait_async", (7,), queue=queue, traceparent=TRACEPARENT)
        jobs[queue, "fail"] = ledger.enqueue("fail", ("no good",), queue=queue, traceparent=TRACEPARENT)
        jobs[queue, "give_back"] = ledger.enqueue("give_back", {"text": "x" * 100_000}, queue=queue, traceparent=TRACEPARENT)
        untraced = ledger.enqueue("limit", queue=queue)
        assert ledger.result(untraced).status == 1
    for (queue, task), job_id in jobs.items():
        assert ledger.result(job_id).status == (2 if task == "fail" else 1), (queue, task)
    assert ledger.result(jobs["one", "wait_async"]).value == ledger.result(jobs["many", "wait_async"]).value == 7
    wait_for(lambda: len(collector.spans) == len(jobs), "the spans of all jobs")
    for span in collector.spans:
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        said = {one.key: one.value for one in span.attributes}
        job_id = int(said["messaging.message.id"].string_value)
        assert jobs[said["farm.lane"].string_value, span.name.removeprefix("chores:")] == job_id
        assert said["farm.attempt"].int_value == 1
        assert [event.name for event in span.events] == (["exception"] if span.name == "chores:fail" else [])
    assert not collector.named("chores:limit")
    error = ledger.query("SELECT error FROM farm.failure WHERE job_id = %s", jobs["one", "fail"])[0].error
    # The error by which it was found that there is a span is nobody's business.
    assert "JSON" not in error["traceback"]
    assert error["traceback"].count("File ") == 1
    farm.stop()


def test_without_a_provider_a_span_is_passed_over(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Nobody has set OpenTelemetry up: such a job runs as any other."""
    farm = make_farm().start()
    assert ledger.result(ledger.enqueue("give_back", {"a": 1}, traceparent=TRACEPARENT)).value == {"args": [], "a": 1}
    farm.stop()
