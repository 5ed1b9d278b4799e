"""What becomes of the jobs in the hands of a subworker that died: after the rules of docs/internals.md, "Burying"."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from farm.joblog import LOG_BYTES_MIN
from farm.model import Outcome, OutcomeKind
from farm.shm.frames import HeldJob
from farm.shm.slots import Slot
from farm.subworker.limits import EXHAUSTED, LEAVES_FULL
from farm.subworker.results import error_type
from farm.supervisor.crew.desk import ended, outcome_of
from farm.supervisor.log.events import Event, event
from farm.supervisor.processes.generation import ALL_THAT_RUN, NONE_OF_THEM, Doom, Generation, timed_out

LIKELY_SHARE = 0.5
"""Of the memory that a job may allocate: whoever held as much may have asked for as much again, as a buffer does that grows."""
LIKELY_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
"""How code in C ends its process that does not look whether it was given the memory that it asked for."""
BY_KERNEL = " (ended by the kernel)"

LOGS_BYTES_MAX = 8 << 20
"""What the logs of all that one subworker ran may come to, when it dies with many jobs: they wait here for room in the desk's ring."""

LogOf = Callable[[Slot], bytes]

log = logging.getLogger("farm")


class Estate(NamedTuple):
    """What a dead subworker leaves behind."""

    back: list[HeldJob]
    """Never started: to be dispatched again, nothing is used up."""
    outcomes: list[Outcome]
    """Started and without an outcome of their own."""
    over: list[HeldJob]
    """The frames of those."""


def judge(generation: Generation) -> Estate:
    """Judge every job handed to a dead subworker and not acknowledged. Only when its result ring is consumed and the acks are in."""
    assert generation.consumed, "a published outcome may still be on its way: its job would be judged as crashed"
    broken = bool(generation.file.broken)
    marked = generation.file.marked
    running = {slot.seq: slot for slot in generation.running()}
    back: list[HeldJob] = []
    outcomes: list[Outcome] = []
    over: list[HeldJob] = []
    struck: list[Slot] = []
    log_of = _last_words(generation, len(running))
    for seq, frame in generation.take_all():
        slot = running.get(seq)
        if slot is not None:
            struck.append(slot)
            outcomes.append(_ended_by(generation, slot, frame, log_of))
        elif broken and seq <= marked:
            # Its outcome may have been among the bytes that make no sense: it must not run again as if it had not started.
            outcomes.append(ended(frame, OutcomeKind.CRASHED, "RingBroken", "its subworker's result ring was overwritten", 0))
        else:
            back.append(frame)
            continue
        over.append(frame)
    _tell(generation, struck)
    return Estate(back, outcomes, over)


def exhausted(generation: Generation) -> Doom | None:
    """Return why a subworker has ended that had no memory for its own work, or that the kernel has ended at the limit of its control
    group; None if neither is why. Its jobs alone can have taken it."""
    code, group = None if generation.exit_status is None else os.waitstatus_to_exitcode(generation.exit_status), generation.group
    # One of a program that an earlier job had left was heard of before: whoever has killed this one, it was not for that.
    by_kernel = code == -signal.SIGKILL and group is not None and group.new_kills() > 0
    if code != EXHAUSTED and not by_kernel:
        return None
    running = generation.running()
    peak_bytes = max(generation.peak_bytes, group.peak_bytes if by_kernel and group is not None else 0)
    limit = f"memory limit of {generation.memory_bytes / 1e6:.0f} MB reached; peak {peak_bytes / 1e6:.0f} MB"
    if by_kernel:
        limit += BY_KERNEL
    if len(running) > 1:
        return Doom(OutcomeKind.MEMORY, f"{limit} by {len(running)} jobs beside each other: each is to run alone", NONE_OF_THEM)
    return Doom(OutcomeKind.MEMORY, limit, ALL_THAT_RUN, peak_bytes=peak_bytes if by_kernel else 0)


def _last_words(generation: Generation, running: int) -> LogOf:
    """Return what tells the log of an attempt that this death has ended: what its job has printed last, and what the interpreter said."""
    logs = generation.logs
    if logs is None or not running:
        return lambda _slot: b""
    crash = generation.crash
    bytes_max = max(LOG_BYTES_MIN, LOGS_BYTES_MAX // running)
    return lambda slot: logs.last_of(slot.slot, slot.seq, bytes_max) + crash


def _ended_by(generation: Generation, slot: Slot, frame: HeldJob, log_of: LogOf) -> Outcome:
    doom = generation.dooms.get(slot.seq, generation.doom)
    # Of jobs beside each other nobody knows what was whose.
    peak_bytes = generation.peak_bytes if generation.file.slots.count == 1 else 0
    if doom is None:
        return ended(frame, OutcomeKind.CRASHED, "SubworkerExited", why_it_ended(generation), slot.started_ns, peak_bytes, log_of(slot))
    if doom.seq in (slot.seq, ALL_THAT_RUN):
        return ended(frame, doom.kind, error_type(doom.kind), doom.message, slot.started_ns, doom.peak_bytes or peak_bytes, log_of(slot))
    if 0 < slot.deadline_ns <= doom.at_ns:
        # Many that hang for the same reason must not be sent back for each other, one timeout after the other.
        message = timed_out(slot, doom.at_ns).message
        return ended(frame, OutcomeKind.TIMED_OUT, error_type(OutcomeKind.TIMED_OUT), message, slot.started_ns, peak_bytes, log_of(slot))
    return outcome_of(frame, OutcomeKind.RELEASED, b"")


def _tell(generation: Generation, struck: list[Slot]) -> None:
    """Log that jobs went down with their subworker: nobody else will. One line, however many there were."""
    if not struck:
        return
    doom = generation.doom
    cause = next((slot for slot in struck if doom is not None and doom.seq == slot.seq), struck[0])
    beside = f" and {len(struck) - 1} more" if len(struck) > 1 else ""
    why = doom.message if doom is not None else why_it_ended(generation)
    ended_so = event(Event.SUBWORKER_ENDED, subworker=generation.post, lane=generation.lane, job_id=cause.job_id, jobs=len(struck), why=why)
    log.warning("%s (%s), while it ran job %d%s: %s", generation.post, generation.lane, cause.job_id, beside, why, extra=ended_so)


def why_it_ended(generation: Generation) -> str:
    """Say in words how a subworker ended that nobody had told to, and whether that may have been for want of memory."""
    how = how_it_ended(generation.exit_status)
    code = 0 if generation.exit_status is None else os.waitstatus_to_exitcode(generation.exit_status)
    limit_bytes, held_bytes = generation.memory_bytes, generation.peak_bytes - generation.footprint_bytes
    figures = f"memory limit {limit_bytes / 1e6:.0f} MB, peak {generation.peak_bytes / 1e6:.0f} MB"
    if generation.killed_by_kernel:
        return f"{how}, probably by the kernel, which ran out of memory; {figures}"
    if -code in LIKELY_SIGNALS and limit_bytes and generation.footprint_bytes and held_bytes >= LIKELY_SHARE * limit_bytes:
        return f"{how}, probably for want of memory; {figures}"
    return how


def how_it_ended(status: int | None) -> str:
    """Say in words how a process ended, from its wait status."""
    if status is None:
        return "its subworker ended"
    code = os.waitstatus_to_exitcode(status)
    if code == LEAVES_FULL:
        return "a job has left too much in its memory for the next one, so it made room for a successor"
    if code >= 0:
        return f"its subworker exited with code {code} without a result"
    try:
        return f"its subworker was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"its subworker was killed by signal {-code}"
