"""What stands inside the frames: a claimed job on its way to a subworker, an outcome on its way to the writer.

Plain struct, little endian, no pickle: a job's code can scribble over its subworker's rings, so the readers of outcomes
must be able to look at hostile bytes without harm.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from farm.errors import RingBroken
from farm.model import Outcome

SPILLED = 1
"""Flag of a frame whose JSON stands in a file; the frame holds the file's name instead."""

JOB_HEAD = struct.Struct("<qqIIHHHH")
"""lease id, job id, position, timeout (ms, 0: none), attempt, lost, bytes of the task, number of the runner in its lane's crew."""

OUTCOME_HEAD = struct.Struct("<qqqqQII")
"""lease id, job id, started (ns), finished (ns), sequence of the job's frame (0: never handed), position, attempt."""

_OUTCOME_HEAD_BYTES = OUTCOME_HEAD.size
_unpack_outcome_head = OUTCOME_HEAD.unpack_from
_new_tuple = tuple.__new__


class JobFrame(NamedTuple):
    """A job frame, taken apart. args is JSON text, or the name of a spill file."""

    lease_id: int
    job_id: int
    position: int
    timeout_ms: int
    attempt: int
    lost: int
    runner: int
    task: bytes
    args: bytes


def pack_job(
    lease_id: int, job_id: int, position: int, timeout_ms: int, attempt: int, lost: int, runner: int, task: bytes, args: bytes
) -> bytes:
    """Return the payload of a job frame."""
    return JOB_HEAD.pack(lease_id, job_id, position, timeout_ms, attempt, lost, len(task), runner) + task + args


def unpack_job(payload: bytes) -> JobFrame:
    """Take a job frame apart."""
    lease_id, job_id, position, timeout_ms, attempt, lost, task_bytes, runner = JOB_HEAD.unpack_from(payload)
    args_at = JOB_HEAD.size + task_bytes
    task = payload[JOB_HEAD.size : args_at]
    return JobFrame(lease_id, job_id, position, timeout_ms, attempt, lost, runner, task, payload[args_at:])


def pack_outcome(outcome: Outcome, job_seq: int) -> bytes:
    """Return the payload of a result frame; the outcome's kind travels as the kind of the frame."""
    head = OUTCOME_HEAD.pack(
        outcome.lease_id, outcome.job_id, outcome.started_ns, outcome.finished_ns, job_seq, outcome.position, outcome.attempt
    )
    return head + outcome.payload


def unpack_outcome(kind: int, payload: bytes) -> tuple[Outcome, int]:
    """Take a result frame apart: the outcome and the sequence of the job's frame. Raises RingBroken for bytes that are none."""
    if len(payload) < _OUTCOME_HEAD_BYTES:
        raise RingBroken(f"a result frame of {len(payload)} bytes is too short")
    lease_id, job_id, started_ns, finished_ns, job_seq, position, attempt = _unpack_outcome_head(payload)
    if lease_id < 0 or job_id < 0:
        raise RingBroken("a result frame names no lease or job")
    fields = (lease_id, position, job_id, attempt, kind, started_ns, finished_ns, payload[_OUTCOME_HEAD_BYTES:])
    # Half the cost of calling the class: one for every job of the farm.
    return _new_tuple(Outcome, fields), job_seq
