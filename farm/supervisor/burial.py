"""What becomes of the jobs in the hands of a subworker that died: after the rules of docs/internals.md, "Burying"."""

from __future__ import annotations

import logging
import os
import signal
from typing import NamedTuple

from farm.model import Outcome, OutcomeKind
from farm.shm.frames import HeldJob
from farm.supervisor.desk import ended, outcome_of
from farm.supervisor.generation import Generation

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
    for seq, frame in generation.take_all():
        slot = running.get(seq)
        if slot is not None:
            _tell(generation, slot.job_id)
            outcomes.append(_ended_by(generation, seq, frame, slot.started_ns))
        elif broken and seq <= marked:
            # Its outcome may have been among the bytes that make no sense: it must not run again as if it had not started.
            outcomes.append(ended(frame, OutcomeKind.CRASHED, "RingBroken", "its subworker's result ring was overwritten", 0))
        else:
            back.append(frame)
            continue
        over.append(frame)
    return Estate(back, outcomes, over)


def _ended_by(generation: Generation, seq: int, frame: HeldJob, started_ns: int) -> Outcome:
    doom = generation.doom
    if doom is None:
        return ended(frame, OutcomeKind.CRASHED, "SubworkerExited", _how_it_ended(generation.exit_status), started_ns)
    if doom.seq in (seq, 0):
        return ended(frame, doom.kind, doom.kind.name.title().replace("_", ""), doom.message, started_ns)
    return outcome_of(frame, OutcomeKind.RELEASED, b"")


def _tell(generation: Generation, job_id: int) -> None:
    """Log that a job went down with its subworker: nobody else will."""
    why = generation.doom.message if generation.doom is not None else _how_it_ended(generation.exit_status)
    log.warning("%s (%s), while it ran job %d: %s", generation.post, generation.lane, job_id, why)


def _how_it_ended(status: int | None) -> str:
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
