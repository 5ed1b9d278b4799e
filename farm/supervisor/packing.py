"""Turns claimed jobs into the frames that go into rings, and into refusals. Main thread: it works while the claim thread waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from farm.model import Claim, JobRow, Outcome, OutcomeKind
from farm.shm.frames import JOB_HEAD, SPILLED
from farm.shm.spill import Spill
from farm.subworker.results import error_payload
from farm.supervisor.generation import HeldFrame
from farm.supervisor.refusals import Refusals

QUIET_S = 60.0
"""Between two warnings that arguments cannot be spilled."""

log = logging.getLogger("farm")


class Packed(NamedTuple):
    """A claimed batch, or as much of it as there was room for, ready to be dispatched."""

    frames: list[HeldFrame]
    refused: list[Outcome]
    end: int
    """The first position that is not among them: the number of jobs claimed, unless there was no room to spill more arguments."""


class Packer:
    """Knows what may run here and how large a frame may be."""

    def __init__(self, *, runner_names: Sequence[str], refusals: Refusals, spill: Spill, frame_bytes_max: int) -> None:
        self._runner_names = list(runner_names)
        self._refusals = refusals
        self._spill = spill
        self._args_bytes_max = frame_bytes_max - JOB_HEAD.size
        self._quiet_until = 0.0

    def pack(self, claim: Claim, rows: Sequence[JobRow], runner_name: str, *, first: int = 0, to_release: bool = False) -> Packed:
        """Return the frames of a claim in its order, from one position up to the first whose arguments cannot be spilled now.

        to_release: none of them will go into a ring, so nothing is spilled for them.
        """
        runner = self._runner_names.index(runner_name)
        lease_id, job_ids, attempts, losts, _from_ready = claim
        by_id = {row[0]: row for row in rows}
        reasons = {task: self._refusals.reason(runner_name, task) for task in {row[1] for row in rows}}
        frames: list[HeldFrame] = []
        refused: list[Outcome] = []
        pack, append = JOB_HEAD.pack, frames.append
        for position in range(first, len(job_ids)):
            job_id = job_ids[position]
            attempt = attempts[position]
            row = by_id.get(job_id)
            if row is None:
                refused.append(_rejected(lease_id, position, job_id, attempt, b"?", "its row is gone"))
                continue
            _id, task, args, timeout_ms = row
            reason = reasons[task]
            if reason is not None:
                refused.append(_rejected(lease_id, position, job_id, attempt, task, reason))
                continue
            flags = 0
            if len(args) + len(task) > self._args_bytes_max and not to_release:
                name = self._spilled(args)
                if name is None:
                    # A batch as large as all the room there is must not wait for all of it: what fits, runs and makes room.
                    return Packed(frames, refused, position)
                args, flags = name, SPILLED
            lost = losts[position] if losts else 0
            append((0, flags, pack(lease_id, job_id, position, timeout_ms, attempt, lost, len(task), runner) + task + args))
        return Packed(frames, refused, len(job_ids))

    def _spilled(self, args: bytes) -> bytes | None:
        """Spill arguments; None when there is no room for them now. A disk that is full is said once in a while: those jobs wait."""
        try:
            return self._spill.write(args, wait=False)
        except OSError as error:
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + QUIET_S
                log.warning("jobs with large arguments wait: they cannot be spilled to the state directory (%s)", error.strerror)
            return None


def _rejected(lease_id: int, position: int, job_id: int, attempt: int, task: bytes, reason: str) -> Outcome:
    name = task.decode("utf-8", "backslashreplace")
    return Outcome(lease_id, position, job_id, attempt, OutcomeKind.REJECTED, 0, 0, error_payload("NotAllowed", f"{name}: {reason}"))
