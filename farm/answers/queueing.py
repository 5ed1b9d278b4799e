"""Why a job that is ready has not been claimed: no lane takes it, those that would are kept from it, or it is not its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from farm.answers.facts import COUNTED_MAX, Ahead, Facts, RunningTask
from farm.answers.lanes import ANY_QUEUE, OfHost, keeps_from, lanes_of, memory_mb_of, serves, unserved
from farm.answers.reason import Reason
from farm.units import counted, format_duration

LATE_S = 5.0
"""A host tells of itself every second as a rule. One that is silent for so long hangs, is cut off, or is gone."""
FULL_PERCENT = 90
NAMED_MAX = 3
"""So many lanes, and tasks of each, are named."""


def of_ready(facts: Facts, job: Mapping[str, Any]) -> Reason:
    """Say why a job that is ready has not started."""
    queue, runner, memory_mb = job["queue"], job["runner"], (job["memory_bytes"] or 0) // 1_000_000
    lanes = lanes_of(facts.hosts)
    if not lanes:
        return Reason("no_host", "It is ready, and no host is live that could take it.", "farm start CONFIG")
    for reason in unserved(queue, [memory_mb], lanes):
        code = "no_memory" if "memory" in reason else "no_lane"
        return Reason(
            code,
            f"It is ready, and cannot start anywhere: {reason}.",
            "" if code == "no_memory" else f"farm move {facts.job_id} --to-queue QUEUE",
        )
    able = [lane for lane in lanes if serves(lane, queue) and memory_mb_of(lane) >= memory_mb]
    able = [lane for lane in able if runner in lane.host["runners"]]
    if not able:
        return Reason("no_runner", f"It is ready, and cannot start anywhere: no host with a lane for it has the runner {runner}.")
    silent = [lane for lane in able if _is_late(lane.host)]
    heard = [lane for lane in able if not _is_late(lane.host)]
    if not heard:
        late = "; ".join(dict.fromkeys(_late(lane.host) for lane in silent))
        return Reason("host_late", f"It is ready, and no host that could take it has been heard of lately: {late}.")
    kept = [(lane, keeps_from(lane, queue)) for lane in heard]
    if all(words for _lane, words in kept):
        words = "; ".join(dict.fromkeys(words for _lane, words in kept))
        return Reason(
            _code_of(kept[0][0], queue),
            f"It is ready, and every lane that would take it is kept from it: {words}.",
            _way_out(kept[0][0], queue),
        )
    return _not_its_turn(facts, queue, [lane for lane, words in kept if not words])


def late_host(facts: Facts, host_id: int) -> str:
    """Say that the host which has a job is gone or silent; "" if it is well."""
    host = next((host for host in facts.hosts if host["id"] == host_id), None)
    if host is None or host["state"] != "live":
        return "that host is gone, and what it held is about to be handed out again"
    return f"{_late(host)}; unless it answers, another host declares it dead and the job is handed out again" if _is_late(host) else ""


def _not_its_turn(facts: Facts, queue: str, lanes: Sequence[OfHost]) -> Reason:
    ahead = _in_front(facts.ahead)
    elsewhere = [(lane, first) for lane in lanes if (first := _rather(lane, queue, facts.waiting_queues))]
    full = [lane for lane in lanes if _is_full(lane, facts.running)]
    if len(full) == len(lanes):
        words = "; ".join(_full_of(lane, facts.running) for lane in full[:NAMED_MAX])
        more = f"; and {counted(len(full) - NAMED_MAX, 'more lane')}" if len(full) > NAMED_MAX else ""
        last = f" {ahead}." if ahead else ""
        urgent = f"farm set {facts.job_id} --priority 0" if ahead else ""
        return Reason("lane_full", f"It is ready, and every lane that would take it is full: {words}{more}.{last}", urgent)
    if len(elsewhere) == len(lanes):
        lane, first = elsewhere[0]
        text = f"It is ready, and not its turn: {lane.title} takes from the queue {first} before {queue}, and jobs wait there."
        return Reason("other_queue", f"{text} {ahead}." if ahead else text)
    if ahead:
        return Reason("behind", f"It is ready, and not its turn. {ahead}.", f"farm set {facts.job_id} --priority 0")
    free = next(lane for lane in lanes if lane not in full)
    return Reason("soon", f"It is ready, and nothing keeps it: {free.title} takes it with its next look.")


def _in_front(ahead: Ahead) -> str:
    urgent = f"{_bounded(ahead.more_urgent, 'job')} of a more urgent priority" if ahead.more_urgent else ""
    older = f"{_bounded(ahead.older, 'older job')} of its priority" if ahead.older else ""
    return f"In front of it: {' and '.join(filter(None, (urgent, older)))}" if urgent or older else ""


def _bounded(number: int, noun: str) -> str:
    return f"more than {counted(COUNTED_MAX, noun)}" if number > COUNTED_MAX else counted(number, noun)


def _rather(lane: OfHost, queue: str, waiting: Iterable[str]) -> str:
    """Return the queue with work that a lane takes from before this one, "" if there is none."""
    chain = list(lane.lane.get("queues", ()))
    place = chain.index(queue if queue in chain else ANY_QUEUE)
    before = chain[:place]
    if ANY_QUEUE in before:
        return next((name for name in sorted(waiting) if name not in chain or name in before), "")
    return next((name for name in before if name in set(waiting)), "")


def _is_full(lane: OfHost, running: Sequence[RunningTask]) -> bool:
    state = lane.lane["state"]
    slots = _slots(lane)
    busy = state.get("busy", 0) >= FULL_PERCENT
    return slots > 0 and (busy or sum(task.jobs for task in _of_lane(lane, running)) >= slots)


def named_tasks(tasks: Sequence[RunningTask]) -> str:
    """Name what runs, those first that take the most: `2 x reports:slow for up to 40s`."""
    found: dict[str, tuple[int, float]] = {}
    for task in tasks:
        jobs, longest_s = found.get(task.task, (0, 0.0))
        found[task.task] = jobs + task.jobs, max(longest_s, task.longest_s)
    first = sorted(found.items(), key=lambda of: (-of[1][0] * of[1][1], of[0]))
    named = ", ".join(f"{jobs:,} x {task} for up to {format_duration(longest_s)}" for task, (jobs, longest_s) in first[:NAMED_MAX])
    return named + (f" and {counted(len(first) - NAMED_MAX, 'other task')}" if len(first) > NAMED_MAX else "")


def _full_of(lane: OfHost, running: Sequence[RunningTask]) -> str:
    tasks = _of_lane(lane, running)
    slots, busy = counted(_slots(lane), "slot"), lane.lane["state"].get("busy")
    share = f", {busy} % of the time" if busy is not None and not tasks else ""
    return f"{lane.title} has {slots}" + (f", and there run {named_tasks(tasks)}" if tasks else f", which were busy{share}")


def _of_lane(lane: OfHost, running: Sequence[RunningTask]) -> list[RunningTask]:
    return [task for task in running if task.host_id == lane.host["id"] and task.lane == lane.name]


def _slots(lane: OfHost) -> int:
    serving = lane.lane["state"].get("serving", lane.lane.get("subworkers", 1))
    return int(serving) * int(lane.lane.get("concurrency", 1))


def _is_late(host: Mapping[str, Any]) -> bool:
    return bool(host["beat_age_s"] > LATE_S)


def _late(host: Mapping[str, Any]) -> str:
    return f"host {host['id']} ({host['name']}) has not been heard of for {format_duration(host['beat_age_s'])}"


def _code_of(lane: OfHost, queue: str) -> str:
    held_by = lane.lane["state"].get("held_by", ())
    if queue in lane.host["paused_queues"]:
        return "queue_paused"
    for reason, code in (("paused", "lane_paused"), ("memory", "host_memory"), ("leaving", "lane_leaving")):
        if reason in held_by:
            return code
    return "lane_held" if held_by else "no_subworkers"


def _way_out(lane: OfHost, queue: str) -> str:
    host_id = lane.host["id"]
    code = _code_of(lane, queue)
    if code == "queue_paused":
        return f"farm resume --queue {queue} --host {host_id}"
    return f"farm resume {lane.name} --host {host_id}" if code == "lane_paused" else ""
