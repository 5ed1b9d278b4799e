"""Why a job ended as it did, or why an attempt of it did, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from farm.answers.facts import Facts
from farm.answers.reason import Reason
from farm.units import counted, format_duration

TEXT_MAX = 300
"""Of the message of an error: the whole of it is for `farm job`."""

CODES = {
    "NotAllowed": "not_allowed",
    "LostTooOften": "lost_too_often",
    "CrashedTooOften": "crashed_too_often",
    "HostLost": "host_lost",
    "Expired": "expired",
}
"""By the type of the error that a job ended with; else the kind of its last attempt tells."""

ATTEMPT = {
    "failed": "failed",
    "timed_out": "ran past its timeout",
    "crashed": "ended with its subworker, which died",
    "memory": "went over its memory limit",
    "lost": "was lost with its host",
    "stopped": "was ended by a drain",
    "cancelled": "was cancelled",
}
"""What an attempt came to, after `its attempt 2`."""


def of_succeeded(facts: Facts, job: Mapping[str, Any]) -> Reason:
    """Say that it did, and when."""
    number = "" if job["attempt"] <= 1 else f", in attempt {job['attempt']}"
    where = f" on host {job['host']}" if job["host"] is not None else ""
    return Reason("succeeded", f"It succeeded {_ago(facts, job['finished_at'])}{where}{number}, after {_took(job)}.")


def of_failed(facts: Facts, job: Mapping[str, Any]) -> Reason:
    """Say what it failed of, after how many attempts, and what can be done."""
    error = job["error"] if isinstance(job["error"], dict) else {}
    kind = str(error.get("type", ""))
    retry = f"farm retry {facts.job_id}"
    when = _ago(facts, job["finished_at"])
    if kind == "NotAllowed":
        text = (
            f"It was rejected {when} and never started: {_message(error)}. The allow-list of the runner in the configuration decides that."
        )
        return Reason("not_allowed", text, f"{retry}, once the configuration allows it")
    if kind == "LostTooOften":
        return Reason(
            "lost_too_often", f"It was given up {when}: too many hosts were lost while they had it, so it may be what kills them.", retry
        )
    attempts = [attempt for attempt in job["attempts"] if attempt["attempt"] is not None and attempt["kind"] != "retried"]
    last = attempts[-1] if attempts else None
    code = CODES.get(kind) or (str(last["kind"]) if last is not None else "failed")
    # A job that was tried again by hand has counted from 1 again, so the list may be longer than that.
    used = counted(job["attempt"], "attempt")
    what = _error(error) if error else "no reason was given"
    why_no_more = error.get("not_retried")
    if why_no_more:
        text = f"It failed {when} after {used}: {what}. It was not tried again, since {why_no_more}."
    elif kind == "CrashedTooOften":
        text = f"It failed {when} after {used}: it {_message(error)}."
    else:
        ended = ATTEMPT.get(str(last["kind"]), "failed") if last is not None else "failed"
        text = f"It failed {when} after {used}; the last one {ended}: {what}."
    if last is not None and last["kind"] == "memory":
        # As it is it would come to the same end.
        retry = f"{retry}, once its lane has more memory for a job, or the job takes less"
    return Reason(code, text, retry)


def of_cancelled(facts: Facts, job: Mapping[str, Any]) -> Reason:
    """Say that it was, by what, and whether it had run."""
    error = job["error"] if isinstance(job["error"], dict) else {}
    when = _ago(facts, job["finished_at"])
    ran = f" It had run for {_took(job)}." if job["started_at"] is not None else " It had not started."
    if error.get("type") == "Expired":
        return Reason("expired", f"It expired {when}: it was to start by a certain time, and had not.", f"farm retry {facts.job_id}")
    message = _message(error) or "no reason was given"
    return Reason("cancelled", f"It was cancelled {when}: {message}.{ran}", f"farm retry {facts.job_id}")


def sentence_of(attempt: Mapping[str, Any]) -> str:
    """Say what an attempt came to: `failed: ValueError: no`."""
    error = attempt["error"]
    ended = ATTEMPT.get(str(attempt["kind"]), str(attempt["kind"]))
    return f"{ended}: {_error(error)}" if isinstance(error, dict) and _error(error) else ended


def _error(error: Mapping[str, Any]) -> str:
    kind, message = str(error.get("type", "")), _message(error)
    return f"{kind}: {message}" if kind and message else kind or message


def _message(error: Mapping[str, Any]) -> str:
    text = " ".join(str(error.get("message") or "").split()).removesuffix(".")
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."


def _took(job: Mapping[str, Any]) -> str:
    if job["started_at"] is None or job["finished_at"] is None:
        return "no time"
    return format_duration(max(0.0, (job["finished_at"] - job["started_at"]).total_seconds()))


def _ago(facts: Facts, moment: datetime) -> str:
    return f"{format_duration(max(0.0, (facts.now - moment).total_seconds()))} ago"
