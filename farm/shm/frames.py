"""What stands inside the frames: claimed jobs on their way to a subworker, an outcome on its way to the writer.

Plain struct, little endian, no pickle: a job's code can scribble over its subworker's rings, so the readers of outcomes
must be able to look at hostile bytes without harm.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from farm.errors import RingBroken
from farm.model import Outcome

SPILLED = 1
"""Flag of a frame whose JSON stands in a file; the frame holds the file's name instead."""
WHOLE = 2
"""Flag of a success that travels like any other outcome, see pack_outcome, and not as a part of its row (successes.py)."""

LOGGED = 4
"""Flag of an outcome with a log: its JSON and its log stand together, see pack_logged, in the frame or in the file."""

JOB_HEAD = struct.Struct("<qQqIHHH")
"""lease id, sequence of the first job, since when its jobs could be claimed (see HeldJob; 0: not known), timeout (ms, 0: none), number of
jobs, bytes of the task, number of the runner in its lane's crew. The task follows; then, job by job in columns, job id, position, bytes
of arguments, attempt, lost; then the arguments."""
JOB_COLUMNS_BYTES = 20
FRAME_JOBS_MAX = 64
"""Jobs in one frame: enough that what is done once for a frame no longer matters."""
FRAME_BYTES_AIM = 8 << 10
"""A frame is closed when its arguments are longer than this, so that a ring of few frames is still filled evenly."""

OUTCOME_HEAD = struct.Struct("<qqqqQQII")
"""lease id, job id, started (ns), finished (ns), sequence of the job's frame (0: never handed), peak of its memory (bytes, 0: not known),
position, attempt."""

_LENGTH = struct.Struct("<I")
"""Of the JSON before a log."""
LOGGED_BYTES = _LENGTH.size
_OUTCOME_HEAD_BYTES = OUTCOME_HEAD.size
_unpack_outcome_head = OUTCOME_HEAD.unpack_from
_new_tuple = tuple.__new__


HeldJob = tuple[int, int, int, int, int, int, int, int, bytes, int, bytes]
"""(flags, lease id, job id, position, timeout in ms (0: what its lane says), attempt, lost, runner, task, since, args): a claimed job on
its way into a ring. A plain tuple, since there is one for every job. args is JSON text, or the name of a spill file where flags say
SPILLED. since: from when on it could be claimed, in microseconds since 2000 by the database's clock; 0: not known, or it has come back."""

LEASE_ID: Final = 1
JOB_ID: Final = 2
"""Where its lease and its id stand in such a tuple."""
_FLAGS, _LEASE, _TIMEOUT, _RUNNER, _TASK = 0, 1, 4, 7, 8
_shared = itemgetter(_FLAGS, _LEASE, _TIMEOUT, _RUNNER, _TASK)
"""What the jobs of one frame have in common."""
task_of = itemgetter(_TASK)
"""Returns the task of such a tuple."""


class JobFrame(NamedTuple):
    """A job frame, taken apart: what its jobs share, and the rest in columns."""

    lease_id: int
    first_seq: int
    since_us: int
    timeout_ms: int
    runner: int
    task: bytes
    job_ids: Sequence[int]
    positions: Sequence[int]
    attempts: Sequence[int]
    losts: Sequence[int]
    args: Sequence[bytes]


def pack_jobs(jobs: Sequence[HeldJob], first_seq: int, timeout_ms: int = 0) -> Iterator[tuple[int, bytes, int]]:
    """Pack jobs, whose sequences begin with first_seq, into as few frames as possible: (flags, payload, number of jobs) for each.

    timeout_ms: for those of which nothing is said; 0: no limit.
    """
    for _shared_by, alike in groupby(jobs, _shared):
        group = list(alike)
        for start in range(0, len(group), FRAME_JOBS_MAX):
            for part in _parts(group[start : start + FRAME_JOBS_MAX]):
                yield part[0][0], _pack_frame(part, first_seq, timeout_ms), len(part)
                first_seq += len(part)


def unpack_jobs(payload: bytes) -> JobFrame:
    """Take a job frame apart."""
    lease_id, first_seq, since_us, timeout_ms, count, task_bytes, runner = JOB_HEAD.unpack_from(payload)
    columns_at = JOB_HEAD.size + task_bytes
    columns = _columns(count).unpack_from(payload, columns_at)
    ends = tuple(accumulate(columns[2 * count : 3 * count], initial=columns_at + count * JOB_COLUMNS_BYTES))
    return JobFrame(
        lease_id,
        first_seq,
        since_us,
        timeout_ms,
        runner,
        payload[JOB_HEAD.size : columns_at],
        columns[:count],
        columns[count : 2 * count],
        columns[3 * count : 4 * count],
        columns[4 * count :],
        [payload[start:end] for start, end in pairwise(ends)],
    )


def _parts(jobs: list[HeldJob]) -> Iterator[list[HeldJob]]:
    """Halve what would make too long a frame; one job makes a frame whatever its length."""
    if len(jobs) > 1 and sum(len(job[-1]) for job in jobs) > FRAME_BYTES_AIM:
        middle = len(jobs) // 2
        yield from _parts(jobs[:middle])
        yield from _parts(jobs[middle:])
    else:
        yield jobs


def _pack_frame(jobs: Sequence[HeldJob], first_seq: int, timeout_ms: int) -> bytes:
    _flags, leases, job_ids, positions, timeouts, attempts, losts, runners, tasks, sinces, args = zip(*jobs, strict=True)
    count, task = len(jobs), tasks[0]
    # As a rule they come in the order in which they were filed. What was claimed before stands in front.
    since_us = sinces[0] and sinces[-1] and (sinces[0] + sinces[-1]) // 2
    head = JOB_HEAD.pack(leases[0], first_seq, since_us, timeouts[0] or timeout_ms, count, len(task), runners[0])
    columns = _columns(count).pack(*job_ids, *positions, *map(len, args), *attempts, *losts)
    return b"".join((head, task, columns, *args))


@cache
def _columns(count: int) -> struct.Struct:
    """Return the format of the columns of so many jobs, JOB_COLUMNS_BYTES each."""
    return struct.Struct(f"<{count}q{count}I{count}I{count}H{count}H")


def pack_logged(text: bytes, log: bytes) -> bytes:
    """Put the JSON of an outcome and its log together."""
    return _LENGTH.pack(len(text)) + text + log


def split_logged(payload: bytes) -> tuple[bytes, bytes]:
    """Return JSON and log of what pack_logged() has put together. Raises RingBroken for bytes that are none."""
    if len(payload) >= LOGGED_BYTES:
        end = LOGGED_BYTES + _LENGTH.unpack_from(payload)[0]
        if end <= len(payload):
            return payload[LOGGED_BYTES:end], payload[end:]
    raise RingBroken("a result frame is shorter than its log says")


def pack_outcome(outcome: Outcome, job_seq: int) -> bytes:
    """Return the payload of a result frame; the outcome's kind travels as the kind of the frame. With a log the frame is LOGGED."""
    head = OUTCOME_HEAD.pack(
        outcome.lease_id,
        outcome.job_id,
        outcome.started_ns,
        outcome.finished_ns,
        job_seq,
        outcome.peak_bytes,
        outcome.position,
        outcome.attempt,
    )
    return head + (pack_logged(outcome.payload, outcome.log) if outcome.log else outcome.payload)


def unpack_outcome(kind: int, payload: bytes) -> tuple[Outcome, int]:
    """Take a result frame apart: the outcome and the sequence of the job's frame. Raises RingBroken for bytes that are none.

    What stands behind its head is its payload for now, whatever the flags of the frame say of that.
    """
    if len(payload) < _OUTCOME_HEAD_BYTES:
        raise RingBroken(f"a result frame of {len(payload)} bytes is too short")
    lease_id, job_id, started_ns, finished_ns, job_seq, peak_bytes, position, attempt = _unpack_outcome_head(payload)
    if lease_id < 0 or job_id < 0:
        raise RingBroken("a result frame names no lease or job")
    fields = (lease_id, position, job_id, attempt, kind, started_ns, finished_ns, payload[_OUTCOME_HEAD_BYTES:], peak_bytes, b"")
    # Half the cost of calling the class: one for every job of the farm.
    return _new_tuple(Outcome, fields), job_seq
