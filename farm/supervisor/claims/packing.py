"""Turns claims into the jobs that are handed out, and into refusals. Main thread: it works while the claim thread waits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress, count, repeat
from operator import itemgetter, sub
from typing import NamedTuple, cast

from farm.model import Claim, JobRow, Outcome, OutcomeKind
from farm.shm.frames import JOB_COLUMNS_BYTES, JOB_HEAD, SPILLED, HeldJob
from farm.shm.spill import Spill
from farm.subworker.results import error_payload
from farm.supervisor.claims.refusals import Refusals
from farm.supervisor.claims.timeouts import Timeouts

TASK_BYTES_MAX = 1 << 10
"""The longest task that an enqueue lets through."""
QUIET_S = 60.0
"""Between two warnings that arguments cannot be spilled."""
_args = itemgetter(2)

log = logging.getLogger("farm")


class Packed(NamedTuple):
    """A claimed batch, or as much of it as there was room for, ready to be handed out."""

    jobs: list[HeldJob]
    refused: list[Outcome]
    end: int
    """The first position that is not among them: the number of jobs claimed, unless there was no room to spill more arguments."""


class Packer:
    """Knows what may run here and how large a frame may be."""

    def __init__(self, *, runner_names: Sequence[str], refusals: Refusals, timeouts: Timeouts, spill: Spill, frame_bytes_max: int) -> None:
        self._runner_names = list(runner_names)
        self._refusals = refusals
        self._timeouts = timeouts
        self._spill = spill
        self._args_bytes_max = frame_bytes_max - JOB_HEAD.size - JOB_COLUMNS_BYTES - TASK_BYTES_MAX
        self._quiet_until = 0.0

    def adopt(self, *, runner_names: Sequence[str], refusals: Refusals, timeouts: Timeouts) -> None:
        """Go by these from now on. Runners that were there before keep their places: jobs that are packed name theirs by place."""
        self._runner_names = list(runner_names)
        self._refusals = refusals
        self._timeouts = timeouts

    def pack(self, claim: Claim, rows: Sequence[JobRow], runner_name: str, *, first: int = 0, to_release: bool = False) -> Packed:
        """Return the jobs of a claim in its order, from one position up to the first whose arguments cannot be spilled now.

        to_release: none of them will go into a ring, so nothing is spilled for them.
        """
        runner = self._runner_names.index(runner_name)
        lease_id, job_ids, attempts, losts, _from_ready = claim
        tasks_named = {row[1] for row in rows}
        reasons = {task: self._refusals.reason(runner_name, task) for task in tasks_named}
        limits = {task: self._timeouts.of(task) for task in tasks_named}
        allowed = not any(reasons.values())
        if allowed and not first and len(rows) == len(job_ids) and max(map(len, map(_args, rows))) <= self._args_bytes_max:
            # The common case, for which nothing need be looked at one by one.
            ids, tasks, args, timeouts, created = zip(*rows, strict=True)
            if any(limits.values()):
                timeouts = tuple(own or limits[task] for own, task in zip(timeouts, tasks, strict=True))
            lost, since = losts or repeat(0), _sinces(claim, created)
            jobs = zip(repeat(0), repeat(lease_id), ids, count(), timeouts, attempts, lost, repeat(runner), tasks, since, args)
            return Packed(list(jobs), [], len(job_ids))
        return self._pack_each(claim, rows, runner, reasons, limits, first, to_release)

    def _pack_each(
        self,
        claim: Claim,
        rows: Sequence[JobRow],
        runner: int,
        reasons: Mapping[bytes, str | None],
        limits: Mapping[bytes, int],
        first: int,
        to_release: bool,
    ) -> Packed:
        lease_id, job_ids, attempts, losts, _from_ready = claim
        by_id = {row[0]: row for row in rows}
        sinces = list(_sinces(claim, [row and row.created_us for row in map(by_id.get, job_ids)]))
        jobs: list[HeldJob] = []
        refused: list[Outcome] = []
        for position in range(first, len(job_ids)):
            job_id = job_ids[position]
            attempt = attempts[position]
            row = by_id.get(job_id)
            if row is None:
                refused.append(_rejected(lease_id, position, job_id, attempt, b"?", "its row is gone"))
                continue
            _id, task, args, timeout_ms, _created_us = row
            reason = reasons[task]
            if reason is not None:
                refused.append(_rejected(lease_id, position, job_id, attempt, task, reason))
                continue
            flags = 0
            if len(args) > self._args_bytes_max and not to_release:
                name = self._spilled(args)
                if name is None:
                    # A batch as large as all the room there is must not wait for all of it: what fits, runs and makes room.
                    return Packed(jobs, refused, position)
                args, flags = name, SPILLED
            timeout_ms = timeout_ms or limits[task]
            lost = losts[position] if losts else 0
            jobs.append((flags, lease_id, job_id, position, timeout_ms, attempt, lost, runner, task, sinces[position], args))
        return Packed(jobs, refused, len(job_ids))

    def _spilled(self, args: bytes) -> bytes | None:
        """Spill arguments; None when there is no room for them now. A disk that is full is said once in a while: those jobs wait."""
        try:
            return self._spill.write(args, wait=False)
        except OSError as error:
            if time.monotonic() >= self._quiet_until:
                self._quiet_until = time.monotonic() + QUIET_S
                log.warning("jobs with large arguments wait: they cannot be spilled to the state directory (%s)", error.strerror)
            return None


def _sinces(claim: Claim, created_us: Sequence[int | None]) -> Iterator[int]:
    """Return since when each job of a claim could be claimed; 0 for those that had been claimed or were to wait before, and came back.

    created_us: when they were filed, as far as that was asked for. The others are taken to have been filed with the one before them.
    """
    # They stand first. Where the answer to the claim was lost nobody knows how many they are.
    returned = sum(share.returned for share in claim.shares) if claim.shares else len(created_us)
    fresh = created_us[returned:]
    known = list(compress(count(), fresh))
    if len(known) == len(fresh):
        return chain(repeat(0, returned), cast(Sequence[int], fresh))
    # Nothing is done here for each job: the lengths of the stretches are all that is reckoned.
    lengths = map(sub, [*known[1:], len(fresh)], [0, *known[1:]]) if known else [len(fresh)]
    times_us = [fresh[place] or 0 for place in known] or [0]
    return chain(repeat(0, returned), chain.from_iterable(map(repeat, times_us, lengths)))


def _rejected(lease_id: int, position: int, job_id: int, attempt: int, task: bytes, reason: str) -> Outcome:
    name = task.decode("utf-8", "backslashreplace")
    return Outcome(lease_id, position, job_id, attempt, OutcomeKind.REJECTED, 0, 0, error_payload("NotAllowed", f"{name}: {reason}"))
