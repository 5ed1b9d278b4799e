"""Who listens to farm.progress in a subworker: finds the slot of the job that calls, and writes into its row of the progress table."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from farm.headway import Listener
from farm.shm.generation import GenerationFile
from farm.shm.slots import RUNNING

SEQ_COLUMN: Final = 2
"""Of the slot table: version, state, seq, and so on."""

SlotAndSeq = tuple[Any, ...]

job_of_caller: ContextVar[SlotAndSeq] = ContextVar("farm_job")
"""Which job is at work, where many are beside each other: (slot, seq, ...). Handed on to the tasks that a job makes, and to_thread()."""


def sole_reporter(generation: GenerationFile) -> Listener:
    """Return the listener of a subworker with one slot: whoever speaks, it is of the job there."""
    words, states, write = generation.slots.words, generation.slots.states, generation.progress.write

    def report(fraction: float | None, text: str) -> None:
        # A thread that an earlier job has left behind may speak when nothing runs.
        if states[0] == RUNNING:
            write(0, words[SEQ_COLUMN], fraction, text)

    return report


def reporter(generation: GenerationFile) -> Listener:
    """Return the listener of a subworker with many slots."""
    states, write = generation.slots.states, generation.progress.write
    seqs = generation.slots.words[SEQ_COLUMN * len(states) : (SEQ_COLUMN + 1) * len(states)]

    def report(fraction: float | None, text: str) -> None:
        job = job_of_caller.get(None)
        if job is not None and states[job[0]] == RUNNING and seqs[job[0]] == job[1]:
            write(job[0], job[1], fraction, text)

    return report
