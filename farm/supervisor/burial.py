"""What becomes of the jobs in the hands of a subworker that died: after the rules of docs/internals.md, "Burying"."""

from __future__ import annotations

import logging
import os
import signal
from typing import NamedTuple

from farm.model import Outcome, OutcomeKind
from farm.shm.frames import HeldJob
from farm.shm.slots import Slot
from farm.subworker.results import error_type
from farm.supervisor.desk import ended, outcome_of
from farm.supervisor.generation import ALL_THAT_RUN, Generation, timed_out

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
    for seq, frame in generation.take_all():
        slot = running.get(seq)
        if slot is not None:
            struck.append(slot)
            outcomes.append(_ended_by(generation, slot, frame))
        elif broken and seq <= marked:
            # Its outcome may have been among the bytes that make no sense: it must not run again as if it had not started.
            outcomes.append(ended(frame, OutcomeKind.CRASHED, "RingBroken", "its subworker's result ring was overwritten", 0))
        else:
            back.append(frame)
            continue
        over.append(frame)
    _tell(generation, struck)
    return Estate(back, outcomes, over)


def _ended_by(generation: Generation, slot: Slot, frame: HeldJob) -> Outcome:
    doom = generation.dooms.get(slot.seq, generation.doom)
    if doom is None:
        return ended(frame, OutcomeKind.CRASHED, "SubworkerExited", how_it_ended(generation.exit_status), slot.started_ns)
    if doom.seq in (slot.seq, ALL_THAT_RUN):
        return ended(frame, doom.kind, error_type(doom.kind), doom.message, slot.started_ns)
    if 0 < slot.deadline_ns <= doom.at_ns:
        # Many that hang for the same reason must not be sent back for each other, one timeout after the other.
        return ended(frame, OutcomeKind.TIMED_OUT, error_type(OutcomeKind.TIMED_OUT), timed_out(slot, doom.at_ns).message, slot.started_ns)
    return outcome_of(frame, OutcomeKind.RELEASED, b"")


def _tell(generation: Generation, struck: list[Slot]) -> None:
    """Log that jobs went down with their subworker: nobody else will. One line, however many there were."""
    if not struck:
        return
    doom = generation.doom
    cause = next((slot for slot in struck if doom is not None and doom.seq == slot.seq), struck[0])
    beside = f" and {len(struck) - 1} more" if len(struck) > 1 else ""
    why = doom.message if doom is not None else how_it_ended(generation.exit_status)
    log.warning("%s (%s), while it ran job %d%s: %s", generation.post, generation.lane, cause.job_id, beside, why)


def how_it_ended(status: int | None) -> str:
    """Say in words how a process ended, from its wait status."""
    if status is None:
        return "its subworker ended"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"its subworker exited with code {code} without a result"
    try:
        return f"its subworker was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"its subworker was killed by signal {-code}"
