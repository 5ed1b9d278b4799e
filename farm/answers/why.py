"""Why a job is where it is, in one or two sentences: facts in, words out. One function for each state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from farm.answers.endings import of_cancelled, of_failed, of_succeeded, sentence_of
from farm.answers.facts import Facts
from farm.answers.lanes import why_waiting
from farm.answers.queueing import late_host, named_tasks, of_ready
from farm.answers.reason import Reason
from farm.model import State
from farm.units import counted, format_duration, format_time


def why(facts: Facts) -> Reason:
    """Say why a job has not started, where it runs, or why it ended as it did; of one that does not exist, why it may not."""
    if facts.job is None:
        return _of_unknown(facts)
    return _BY_STATE[State(facts.job["state"])](facts, facts.job)


def _of_unknown(facts: Facts) -> Reason:
    job_id = facts.job_id
    if job_id > facts.last_id:
        so_far = f"ids up to {facts.last_id} have been given out" if facts.last_id else "none has been enqueued in this database"
        return Reason("never", f"There has never been a job {job_id}: {so_far}.")
    return Reason(
        "not_there",
        f"There is no job {job_id}, though its number was given out: it was deleted by retention, or the transaction that filed it was "
        "rolled back or has not committed yet.",
    )


def _of_scheduled(facts: Facts, job: Mapping[str, Any]) -> Reason:
    filed_for = f"{_due(facts, job)}."
    return _with_prospect(facts, job, Reason("scheduled", f"It is not due yet: it is {filed_for}", f"farm set {facts.job_id} --run-at now"))


def _of_retrying(facts: Facts, job: Mapping[str, Any]) -> Reason:
    failures = [attempt for attempt in job["attempts"] if attempt["finished_at"] is not None]
    last = failures[-1] if failures else None
    came = f"its attempt {last['attempt']} {sentence_of(last)}" if last is not None else "an attempt of it has failed"
    of = f" of {job['max_attempts']}" if job["max_attempts"] is not None else ""
    text = f"It waits to be tried again, as attempt {job['attempt'] + 1}{of}, and is {_due(facts, job)}: {came}."
    return _with_prospect(facts, job, Reason("retrying", text, f"farm set {facts.job_id} --run-at now"))


def _of_blocked(facts: Facts, job: Mapping[str, Any]) -> Reason:
    return Reason("blocked", "It waits for other jobs to end.")


def _of_claimed(facts: Facts, job: Mapping[str, Any]) -> Reason:
    if facts.hold is None:
        return Reason("claimed", "It has just been claimed, or has just ended: ask again.")
    host = _host(facts, facts.hold.host_id)
    since = _ago(facts, facts.hold.claimed_at)
    if trouble := late_host(facts, facts.hold.host_id):
        return Reason("host_late", f"It was claimed by {host} {since}, and has not started; {trouble}.")
    if asked := _asked_to_end(facts, job):
        return Reason("cancel_asked", f"It was claimed by {host} {since}, and is about to end without a start: {asked}.")
    before = facts.hold.before
    behind = f", behind {counted(before, 'other job')} of the same claim" if before else ", as the next of its claim"
    there = named_tasks([task for task in facts.running if task.host_id == facts.hold.host_id and task.queue == job["queue"]])
    now = f". Of its queue there run {there}" if there else ""
    return Reason("claimed", f"It was claimed by {host} {since}, and waits there for a free slot{behind}{now}.")


def _of_running(facts: Facts, job: Mapping[str, Any]) -> Reason:
    host = _host(facts, facts.hold.host_id) if facts.hold is not None else f"host {job['host']}"
    since = f"for {_since(facts, job['started_at'])}" if job["started_at"] is not None else "since a moment ago"
    number = "" if job["attempt"] == 1 else f", in attempt {job['attempt']}"
    progress = job["progress"]
    parts = (
        []
        if progress is None
        else [f"{int(progress['fraction'] * 100 + 1e-4)} %" if progress["fraction"] is not None else "", progress["text"]]
    )
    so_far = " ".join(filter(None, parts))
    told = f"; it says that it is at {so_far}" if so_far else ""
    limit = f"; its timeout is {format_duration(facts.timeout_s)}" if facts.timeout_s is not None else ""
    text = f"It has run on {host} {since}{number}{told}{limit}"
    if facts.hold is not None and (trouble := late_host(facts, facts.hold.host_id)):
        return Reason("host_late", f"{text}. Or it did: {trouble}.")
    if asked := _asked_to_end(facts, job):
        return Reason("cancel_asked", f"{text}. It is being ended: {asked}.")
    return Reason("running", f"{text}.")


def _with_prospect(facts: Facts, job: Mapping[str, Any], reason: Reason) -> Reason:
    """Add what will keep it even when it is due: better known before."""
    if job["run_at"] is not None and job["run_at"] <= facts.now and not any(host["state"] == "live" for host in facts.hosts):
        return Reason(
            "no_host", f"It has been due for {_since(facts, job['run_at'])}, and no host is live that would see to it.", "farm start CONFIG"
        )
    kept = why_waiting(job["queue"], job["runner"], (job["memory_bytes"] or 0) // 1_000_000, facts.hosts)
    return reason._replace(text=f"{reason.text} As things are it would not start then: {kept}.") if kept else reason


def _due(facts: Facts, job: Mapping[str, Any]) -> str:
    run_at = job["run_at"]
    if run_at is None:
        return "due at once"
    left_s = (run_at - facts.now).total_seconds()
    when = f"in {format_duration(left_s)}" if left_s > 0 else f"since {format_duration(-left_s)} ago"
    return f"due {when}, at {format_time(run_at)}"


def _asked_to_end(facts: Facts, job: Mapping[str, Any]) -> str:
    asked = facts.cancel
    retried = [attempt["finished_at"] for attempt in job["attempts"] if attempt["kind"] == "retried"]
    if asked is None or (retried and asked.asked_at < max(retried)):
        return ""
    return f"a cancel was asked for {_ago(facts, asked.asked_at)} ({asked.reason})"


def _host(facts: Facts, host_id: int) -> str:
    name = next((host["name"] for host in facts.hosts if host["id"] == host_id), None)
    return f"host {host_id}" if name is None else f"host {host_id} ({name})"


def _since(facts: Facts, moment: datetime) -> str:
    return format_duration(max(0.0, (facts.now - moment).total_seconds()))


def _ago(facts: Facts, moment: datetime) -> str:
    return f"{_since(facts, moment)} ago"


_BY_STATE: Mapping[State, Callable[[Facts, Mapping[str, Any]], Reason]] = {
    State.SCHEDULED: _of_scheduled,
    State.RETRYING: _of_retrying,
    State.BLOCKED: _of_blocked,
    State.READY: of_ready,
    State.CLAIMED: _of_claimed,
    State.RUNNING: _of_running,
    State.SUCCEEDED: of_succeeded,
    State.FAILED: of_failed,
    State.CANCELLED: of_cancelled,
}
