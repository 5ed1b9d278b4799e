"""What has become of a job, attempt by attempt: made of the rows that the database has of it. Data only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from farm.model import State

Row = Mapping[str, Any]

RETRIED = "retried"
"""The kind of a row of farm.failure that is no attempt but a retry by hand; attempts are counted from 1 again after it."""


def history(job: Row, failures: Sequence[Row], now: datetime) -> list[dict[str, Any]]:
    """Return every attempt of a job in order, the one that succeeded and the one that runs included, and its retries by hand.

    Each has: attempt (None: it never started), kind, started_at, finished_at, took_s, host, peak_bytes (None: not known), error. kind: that
    of the failure, or `succeeded`, `running`, or for an end without a start `not_allowed`, `cancelled` or `failed`.
    """
    return [_timed(entry, now) for entry in (*failures, *_last(job, failures))]


def _last(job: Row, failures: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Give what the row of the result, or the lease, tells beyond the failures."""
    entry = {name: job[name] for name in ("attempt", "started_at", "finished_at", "host", "error", "peak_bytes")}
    if job["state"] == State.SUCCEEDED or (job["state"] == State.RUNNING and not _has_just_ended(job, failures)):
        yield {**entry, "kind": str(job["state"])}
    elif job["state"] in (State.FAILED, State.CANCELLED) and not any(
        # Both rows of one outcome have the same times, to the microsecond.
        failure["finished_at"] == job["finished_at"] and failure["kind"] != RETRIED
        for failure in failures
    ):
        yield {**entry, "attempt": None, "kind": _why_not_started(job)}


def _has_just_ended(job: Row, failures: Sequence[Row]) -> bool:
    """Tell whether the attempt that ran when the job was read has failed before its failures were read."""
    return bool(failures) and failures[-1]["kind"] != RETRIED and failures[-1]["attempt"] == job["attempt"]


def _why_not_started(job: Row) -> str:
    if job["state"] == State.CANCELLED:
        return "cancelled"
    return "not_allowed" if isinstance(job["error"], dict) and job["error"].get("type") == "NotAllowed" else "failed"


def _timed(entry: Row, now: datetime) -> dict[str, Any]:
    started_at, ended_at = entry["started_at"], entry["finished_at"] or now
    took_s = None if started_at is None else max((ended_at - started_at).total_seconds(), 0.0)
    names = ("attempt", "kind", "started_at", "finished_at")
    rest = {name: entry[name] for name in ("host", "peak_bytes", "error")}
    return {**{name: entry[name] for name in names}, "took_s": took_s, **rest}
