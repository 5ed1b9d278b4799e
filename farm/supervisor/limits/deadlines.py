"""Ends running jobs on purpose: those past their time, and whatever else is to end. The one way to do that is end_job().

First the job is asked, if it is a coroutine. If it is none, or has not ended after GRACE_S, its subworker is ended: TERM, and after
GRACE_S KILL, to the whole process group. That is exact: first a recall, then a look whether the job is still there.
"""

from __future__ import annotations

import time

from farm.shm.slots import Slot
from farm.supervisor.crew.crew import Crew
from farm.supervisor.processes.generation import Doom, Generation, Phase, timed_out

LOOK_S = 0.025
"""A job is ended at most this long after its deadline, and a stir of the machine."""


class Deadlines:
    """Looks at the slots of busy subworkers; nothing is sent for it, and an idle farm is not woken by it."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def step(self) -> float:
        """End what is over its time. Returns the seconds until the next look, infinite while nothing is handed out."""
        now_ns = time.monotonic_ns()
        wait_s = float("inf")
        for generation in self._crew.astir:
            if generation.phase is Phase.SERVING and generation.handed:
                for slot in generation.file.slots.overdue(now_ns):
                    end_job(generation, slot, timed_out(slot, now_ns))
                if generation.asked:
                    follow(generation, now_ns / 1e9)
                wait_s = LOOK_S
            if generation.phase is Phase.DOOMED:
                wait_s = min(wait_s, max(generation.press(now_ns / 1e9), LOOK_S))
        return wait_s


def end_job(generation: Generation, slot: Slot, doom: Doom) -> None:
    """Have a job end for this reason, if it still runs; what it has come to by itself before that stands. Does nothing the second time.

    Main thread only. Nothing is waited for here: Deadlines looks after those who do not listen.
    """
    if slot.seq in generation.dooms:
        return
    if generation.phase is Phase.DOOMED:
        # It goes down with its subworker, and has a reason of its own.
        generation.dooms[slot.seq] = doom
    elif generation.phase is Phase.SERVING and not generation.ask(slot, doom, time.monotonic()):
        _strike(generation, slot, doom, time.monotonic())


def follow(generation: Generation, now: float) -> None:
    """End the subworker for a job that was asked in vain."""
    running = {row.seq: row for row in generation.running()}
    for seq, asked in list(generation.asked.items()):
        row = running.get(seq)
        if row is None or (asked.slot.deadline_ns and not row.deadline_ns):
            # It has ended. Where its deadline was lifted its outcome waits for room, and is not to be lost for that.
            del generation.asked[seq]
        elif now >= asked.strike_at and generation.phase is Phase.SERVING:
            _strike(generation, asked.slot, asked.doom, now)


def _strike(generation: Generation, slot: Slot, doom: Doom, now: float) -> None:
    """End the subworker if it still runs this job. The recall comes first, so that the end cannot hit the next one."""
    generation.recall()
    if any(row.seq == slot.seq for row in generation.running()):
        generation.end(doom, now)
