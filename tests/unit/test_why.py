"""Why a job is where it is, in words: one case for each reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.answers.facts import Ahead, CancelAsked, Facts, Hold, RunningTask
from farm.answers.why import why
from farm.model import State

NOW = datetime(2026, 5, 1, 7, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def job(state: str, **more: Any) -> dict[str, Any]:
    columns = ("run_at", "started_at", "finished_at", "host", "error", "progress", "memory_bytes", "max_attempts", "result")
    return {
        **dict.fromkeys(columns),
        "id": 17, "state": state, "queue": "mail", "runner": "python", "task": "mail:send", "attempt": 0, "attempts": [], **more,
    }  # fmt: skip


def lane(*queues: str, **state: Any) -> dict[str, Any]:
    return {"queues": list(queues), "memory_bytes": 256_000_000, "concurrency": 1, "state": {"serving": 2, "of": 2, **state}}


def host(host_id: int = 1, *, beat_age_s: float = 0.4, state: str = "live", paused: tuple[str, ...] = (), **lanes: Any) -> dict[str, Any]:
    lanes = lanes or {"default": lane("mail")}
    names = {"id": host_id, "name": "box", "state": state, "beat_age_s": beat_age_s}
    return {**names, "paused_queues": list(paused), "runners": ["python"], "lanes": lanes}


def facts(of_job: dict[str, Any] | None, *hosts: dict[str, Any], **more: Any) -> Facts:
    return Facts(now=NOW, job_id=17, job=of_job, hosts=list(hosts), **{"last_id": 20, **more})


def attempt(number: int | None, kind: str, message: str = "no", **more: Any) -> dict[str, Any]:
    error = {"type": "ValueError", "message": message}
    return {
        "attempt": number,
        "kind": kind,
        "started_at": ago(9),
        "finished_at": ago(8),
        "took_s": 1.0,
        "host": "box",
        "error": error,
        **more,
    }


def running(task: str = "reports:slow", jobs: int = 2, longest_s: float = 40.0, queue: str = "mail", lane: str = "default") -> RunningTask:
    return RunningTask(host_id=1, lane=lane, queue=queue, runner="python", task=task, jobs=jobs, longest_s=longest_s)


def failed(kind: str, message: str, attempts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    error = {"type": kind, "message": message, **more}
    return job("failed", attempt=len(attempts), attempts=attempts, finished_at=ago(120), error=error)


READY = job("ready")
SLOT_HELD = Hold(host_id=1, claimed_at=ago(3), before=0)

CASES: list[tuple[Facts, str, str, str]] = [
    # Not there.
    (facts(None, last_id=16), "never", "There has never been a job 17: ids up to 16 have been given out.", ""),
    (facts(None, last_id=0), "never", "There has never been a job 17: none has been enqueued in this database.", ""),
    (facts(None), "not_there",
     "There is no job 17, though its number was given out: it was deleted by retention, or the transaction that filed it was rolled back "
     "or has not committed yet.", ""),
    # Not due.
    (facts(job("scheduled", run_at=NOW + timedelta(minutes=5)), host()), "scheduled",
     "It is not due yet: it is due in 5m, at 2026-05-01 07:05:00Z.", "farm set 17 --run-at now"),
    (facts(job("scheduled", run_at=NOW + timedelta(minutes=5)), host(default=lane("other"))), "scheduled",
     "It is not due yet: it is due in 5m, at 2026-05-01 07:05:00Z. As things are it would not start then: no lane serves the queue mail.",
     "farm set 17 --run-at now"),
    (facts(job("scheduled", run_at=ago(10))), "no_host",
     "It has been due for 10s, and no host is live that would see to it.", "farm start CONFIG"),
    (facts(job("retrying", run_at=NOW + timedelta(seconds=8), attempt=1, max_attempts=5, attempts=[attempt(1, "failed", "bad")]), host()),
     "retrying",
     "It waits to be tried again, as attempt 2 of 5, and is due in 8s, at 2026-05-01 07:00:08Z: its attempt 1 failed: ValueError: bad.",
     "farm set 17 --run-at now"),
    (facts(job("blocked")), "blocked", "It waits for other jobs to end.", ""),
    # Ready, and no lane takes it.
    (facts(READY), "no_host", "It is ready, and no host is live that could take it.", "farm start CONFIG"),
    (facts(READY, host(default=lane("other"))), "no_lane", "It is ready, and cannot start anywhere: no lane serves the queue mail.",
     "farm move 17 --to-queue QUEUE"),
    (facts(job("ready", memory_bytes=512_000_000), host()), "no_memory",
     "It is ready, and cannot start anywhere: no lane that serves the queue mail has the 512 MB of memory that jobs in it declare.", ""),
    (facts(job("ready", runner="shell"), host()), "no_runner",
     "It is ready, and cannot start anywhere: no host with a lane for it has the runner shell.", ""),
    (facts(READY, host(beat_age_s=40)), "host_late",
     "It is ready, and no host that could take it has been heard of lately: host 1 (box) has not been heard of for 40s.", ""),
    # Ready, and all lanes are kept from it.
    (facts(READY, host(paused=("mail",))), "queue_paused",
     "It is ready, and every lane that would take it is kept from it: the queue mail is paused on host 1.",
     "farm resume --queue mail --host 1"),
    (facts(READY, host(default=lane("*", held_by=["paused"]))), "lane_paused",
     "It is ready, and every lane that would take it is kept from it: lane default of host 1 is paused.", "farm resume default --host 1"),
    (facts(READY, host(default=lane("*", held_by=["memory"]))), "host_memory",
     "It is ready, and every lane that would take it is kept from it: lane default of host 1 claims nothing while its host is short of "
     "memory.", ""),
    (facts(READY, host(default=lane("*", held_by=["leaving"]))), "lane_leaving",
     "It is ready, and every lane that would take it is kept from it: lane default of host 1 is about to leave, since the configuration "
     "has no such lane any more.", ""),
    (facts(READY, host(default=lane("*", held_by=["tides"]))), "lane_held",
     "It is ready, and every lane that would take it is kept from it: lane default of host 1 is held: tides.", ""),
    (facts(READY, host(default=lane("*", serving=0, missing="setup pools:open: OSError"))), "no_subworkers",
     "It is ready, and every lane that would take it is kept from it: lane default of host 1 has 0 of 2 subworkers: setup pools:open: "
     "OSError.", ""),
    # Ready, and not its turn.
    (facts(READY, host(), running=[running()], ahead=Ahead(more_urgent=3, older=12)), "lane_full",
     "It is ready, and every lane that would take it is full: lane default of host 1 has 2 slots, and there run 2 x reports:slow for up "
     "to 40s. In front of it: 3 jobs of a more urgent priority and 12 older jobs of its priority.", "farm set 17 --priority 0"),
    # What another lane runs of the same queue is not in this one, and what this one runs of other queues is.
    (facts(READY, host(default=lane("mail"), other=lane("*", held_by=["paused"])),
           running=[running(jobs=1), running(jobs=9, lane="other"), running(queue="bills", jobs=1, longest_s=90)]), "lane_full",
     "It is ready, and every lane that would take it is full: lane default of host 1 has 2 slots, and there run 2 x reports:slow for up "
     "to 1m 30s.", ""),
    (facts(READY, host(default=lane("mail", busy=99))), "lane_full",
     "It is ready, and every lane that would take it is full: lane default of host 1 has 2 slots, which were busy, 99 % of the time.", ""),
    (facts(READY, host(default=lane("bills", "mail")), waiting_queues=frozenset({"bills", "mail"})), "other_queue",
     "It is ready, and not its turn: lane default of host 1 takes from the queue bills before mail, and jobs wait there.", ""),
    (facts(READY, host(default=lane("*", "mail")), waiting_queues=frozenset({"bills", "mail"})), "other_queue",
     "It is ready, and not its turn: lane default of host 1 takes from the queue bills before mail, and jobs wait there.", ""),
    (facts(READY, host(), ahead=Ahead(older=10_001)), "behind",
     "It is ready, and not its turn. In front of it: more than 10,000 older jobs of its priority.", "farm set 17 --priority 0"),
    (facts(READY, host(), running=[running(jobs=1), running(jobs=9, lane="other")]), "soon",
     "It is ready, and nothing keeps it: lane default of host 1 takes it with its next look.", ""),
    # With a host.
    (facts(job("claimed"), host(), hold=SLOT_HELD), "claimed",
     "It was claimed by host 1 (box) 3s ago, and waits there for a free slot, as the next of its claim.", ""),
    (facts(job("claimed"), host(), hold=Hold(host_id=1, claimed_at=ago(3), before=7), running=[running(), running(queue="bills")]),
     "claimed",
     "It was claimed by host 1 (box) 3s ago, and waits there for a free slot, behind 7 other jobs of the same claim. Of its queue there "
     "run 2 x reports:slow for up to 40s.", ""),
    (facts(job("claimed")), "claimed", "It has just been claimed, or has just ended: ask again.", ""),
    (facts(job("claimed"), host(beat_age_s=8), hold=SLOT_HELD), "host_late",
     "It was claimed by host 1 (box) 3s ago, and has not started; host 1 (box) has not been heard of for 8s; unless it answers, another "
     "host declares it dead and the job is handed out again.", ""),
    (facts(job("claimed"), host(), hold=SLOT_HELD, cancel=CancelAsked(asked_at=ago(1), reason="too late")), "cancel_asked",
     "It was claimed by host 1 (box) 3s ago, and is about to end without a start: a cancel was asked for 1s ago (too late).", ""),
    (facts(job("running", attempt=1, started_at=ago(40)), host(), hold=SLOT_HELD, timeout_s=60), "running",
     "It has run on host 1 (box) for 40s; its timeout is 1m.", ""),
    (facts(job("running", attempt=2, started_at=ago(40), progress={"fraction": 0.4, "text": "importing"}), host(), hold=SLOT_HELD),
     "running",
     "It has run on host 1 (box) for 40s, in attempt 2; it says that it is at 40 % importing.", ""),
    (facts(job("running", attempt=1, started_at=ago(40)), host(state="retired"), hold=SLOT_HELD), "host_late",
     "It has run on host 1 (box) for 40s. Or it did: that host is gone, and what it held is about to be handed out again.", ""),
    (facts(job("running", attempt=1, started_at=ago(40)), host(), hold=SLOT_HELD, cancel=CancelAsked(asked_at=ago(1), reason="too late")),
     "cancel_asked", "It has run on host 1 (box) for 40s. It is being ended: a cancel was asked for 1s ago (too late).", ""),
    # An older cancel is not meant for it.
    (facts(job("running", attempt=1, started_at=ago(40), attempts=[attempt(1, "retried", finished_at=ago(50))]), host(), hold=SLOT_HELD,
           cancel=CancelAsked(asked_at=ago(60), reason="too late")), "running", "It has run on host 1 (box) for 40s.", ""),
    # Ended.
    (facts(job("succeeded", attempt=2, started_at=ago(9), finished_at=ago(8), host="box")), "succeeded",
     "It succeeded 8s ago on host box, in attempt 2, after 1s.", ""),
    (facts(failed("ValueError", "no such user", [attempt(1, "failed"), attempt(2, "failed")])), "failed",
     "It failed 2m ago after 2 attempts; the last one failed: ValueError: no such user.", "farm retry 17"),
    (facts(failed("TimedOut", "ran past its timeout of 1s", [attempt(1, "timed_out")])), "timed_out",
     "It failed 2m ago after 1 attempt; the last one ran past its timeout: TimedOut: ran past its timeout of 1s.", "farm retry 17"),
    (facts(failed("MemoryExceeded", "limit 256 MB, peak 400 MB", [attempt(1, "memory")])), "memory",
     "It failed 2m ago after 1 attempt; the last one went over its memory limit: MemoryExceeded: limit 256 MB, peak 400 MB.",
     "farm retry 17, once its lane has more memory for a job, or the job takes less"),
    (facts(failed("Stopped", "it still ran", [attempt(1, "stopped")])), "stopped",
     "It failed 2m ago after 1 attempt; the last one was ended by a drain: Stopped: it still ran.", "farm retry 17"),
    (facts(failed("HostLost", "its host was lost while it ran", [attempt(1, "lost")])), "host_lost",
     "It failed 2m ago after 1 attempt; the last one was lost with its host: HostLost: its host was lost while it ran.", "farm retry 17"),
    (facts(failed("CrashedTooOften", "crashed 3 times; the last time: signal 11", [attempt(1, "crashed")] * 3)), "crashed_too_often",
     "It failed 2m ago after 3 attempts: it crashed 3 times; the last time: signal 11.", "farm retry 17"),
    (facts(failed("CrashedTooOften", "crashed 3 times; the last time: memory limit", [attempt(1, "memory")] * 3)), "crashed_too_often",
     "It failed 2m ago after 3 attempts: it crashed 3 times; the last time: memory limit.",
     "farm retry 17, once its lane has more memory for a job, or the job takes less"),
    (facts(failed("ValueError", "bad", [attempt(1, "failed")], not_retried="another attempt would not mend a ValueError")), "failed",
     "It failed 2m ago after 1 attempt: ValueError: bad. It was not tried again, since another attempt would not mend a ValueError.",
     "farm retry 17"),
    (facts(failed("LostTooOften", "lost too often", [])), "lost_too_often",
     "It was given up 2m ago: too many hosts were lost while they had it, so it may be what kills them.", "farm retry 17"),
    (facts(failed("NotAllowed", "os:system: no pattern of allow matches it", [attempt(None, "not_allowed")])), "not_allowed",
     "It was rejected 2m ago and never started: os:system: no pattern of allow matches it. The allow-list of the runner in the "
     "configuration decides that.", "farm retry 17, once the configuration allows it"),
    (facts(job("cancelled", finished_at=ago(60), error={"type": "Cancelled", "message": "cancelled by request"})), "cancelled",
     "It was cancelled 1m ago: cancelled by request. It had not started.", "farm retry 17"),
    (facts(job("cancelled", started_at=ago(90), finished_at=ago(60), error={"type": "Cancelled", "message": "too late"})), "cancelled",
     "It was cancelled 1m ago: too late. It had run for 30s.", "farm retry 17"),
    (facts(job("cancelled", finished_at=ago(60), error={"type": "Expired", "message": "expired"})), "expired",
     "It expired 1m ago: it was to start by a certain time, and had not.", "farm retry 17"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "code", "text", "advice"), CASES, ids=[f"{number}-{code}" for number, (_, code, _, _) in enumerate(CASES)]
)
def test_every_reason_is_named(known: Facts, code: str, text: str, advice: str) -> None:
    assert why(known) == (code, text, advice)


texts = st.text(max_size=20)
lanes_drawn = st.builds(
    lambda queues, state, memory_mb: {"queues": queues, "memory_bytes": memory_mb * 1_000_000, "concurrency": 2, "state": state},
    st.lists(st.sampled_from(["mail", "bills", "*"]), min_size=1, unique=True),
    st.fixed_dictionaries(
        {"serving": st.integers(0, 2), "of": st.just(2)},
        optional={
            "busy": st.integers(0, 100),
            "held_by": st.lists(st.sampled_from(["paused", "memory", "leaving"]), unique=True),
            "missing": texts,
        },
    )
    | st.just({}),
    st.sampled_from([128, 512]),
)
hosts_drawn = st.builds(
    lambda lanes, beat_age_s, state, paused: host(beat_age_s=beat_age_s, state=state, paused=tuple(paused), **lanes),
    st.dictionaries(st.sampled_from(["a", "b"]), lanes_drawn, min_size=1),
    st.sampled_from([0.1, 60.0]),
    st.sampled_from(["live", "retired"]),
    st.lists(st.sampled_from(["mail", "bills"]), unique=True),
)
attempts_drawn = st.builds(
    lambda number, kind, error: attempt(number, kind, error=error),
    st.none() | st.integers(1, 3),
    st.sampled_from(["failed", "crashed", "lost", "retried", "memory", "something new"]),
    st.none() | st.just({}) | st.just("odd") | st.fixed_dictionaries({"type": texts, "message": texts}),
)
facts_drawn = st.builds(
    lambda state, hosts, attempts, error, ahead, tasks, hold, queues: facts(
        job(
            state, attempts=attempts, error=error, run_at=ago(1), started_at=ago(2), finished_at=ago(1), attempt=len(attempts),
            progress={"fraction": None, "text": ""},
        ),
        *hosts, ahead=ahead, running=tasks, hold=hold, waiting_queues=frozenset(queues),
    ),
    st.sampled_from(list(State)),
    st.lists(hosts_drawn, max_size=3),
    st.lists(attempts_drawn, max_size=3),
    st.none() | st.just("odd") | st.fixed_dictionaries({"type": texts, "message": texts}),
    st.builds(Ahead, more_urgent=st.integers(0, 10_001), older=st.integers(0, 10_001)),
    st.lists(st.builds(running, task=texts, jobs=st.integers(1, 9), longest_s=st.floats(0, 1e6)), max_size=5),
    st.none() | st.just(SLOT_HELD),
    st.lists(st.sampled_from(["mail", "bills"])),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(facts_drawn)
def test_whatever_is_known_there_is_an_answer_of_sentences(known: Facts) -> None:
    code, text, advice = why(known)
    assert code == code.strip().lower() != ""
    assert text[0] == "I"
    assert text.endswith(".")
    assert not advice or advice.startswith("farm ")


@settings(max_examples=50, deadline=None)
@given(facts_drawn)
def test_a_lane_that_is_free_and_has_nothing_else_to_do_is_never_blamed(known: Facts) -> None:
    """Whatever else there is: with one lane more that could take it at once, a ready job is taken or has others in front of it."""
    assert known.job is not None
    spare = host(9, spare=lane("mail", "bills", "*"))
    answer = why(facts(job("ready"), *known.hosts, spare, ahead=known.ahead, waiting_queues=frozenset({"mail"})))
    assert answer.code == ("behind" if known.ahead.older or known.ahead.more_urgent else "soon")
