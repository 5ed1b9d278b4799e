"""Ends jobs that somebody wants to end, wherever this host has them. Main thread only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm.model import CancelRequest, Outcome, OutcomeKind
from farm.shm.frames import HeldJob, task_of
from farm.shm.slots import Slot
from farm.subworker.results import error_payload
from farm.supervisor.crew.crew import Crew
from farm.supervisor.crew.desk import Desk, outcome_of
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.limits.deadlines import end_job
from farm.supervisor.processes.generation import Doom, Generation, Phase
from farm.units import counted

log = logging.getLogger("farm")

Wanted = Mapping[int, CancelRequest]


@dataclass(frozen=True, slots=True)
class Unwanted:
    """News from the heartbeat: jobs that are to end."""

    requests: Sequence[CancelRequest]


class Cancels:
    """Acts once on each news from the heartbeat, and remembers nothing: what it cannot find yet, stands in the news of the next beat.

    Three places: held by a lane or waiting in a ring (its outcome is cancelled, and no attempt is used), or running (it is ended). What has
    published an outcome of its own is left alone. While draining, what has not started is given back, and cancelled where it is then.
    """

    def __init__(self, *, crew: Crew, desk: Desk) -> None:
        self._crew = crew
        self._desk = desk

    def act(self, requests: Sequence[CancelRequest], *, draining: bool) -> int:
        """End the jobs of these requests that are here, or begin to; returns how many had not started."""
        wanted = {request.job_id: request for request in requests}
        unstarted: list[HeldJob] = []
        for lane in self._crew.lanes:
            found: list[HeldJob] = []
            for generation in lane.generations:
                if generation.phase is Phase.SERVING:
                    # The running ones first: behind a recall that stands already, no other job can take their slot.
                    self._end_running(generation, wanted)
                    if not draining:
                        found += self._take_back(lane, generation, wanted)
            found += lane.take_out(wanted)
            if not found:
                continue
            outcomes = [_cancelled(job, wanted[job[2]]) for job in found]
            self._desk.push(outcomes)
            self._crew.tallies.note(lane.name, zip(map(task_of, found), outcomes, strict=True))
            unstarted += found
        self._crew.drop_arguments(unstarted)
        if unstarted:
            log.info("cancelled %s that had not started", counted(len(unstarted), "job"))
        return len(unstarted)

    def _end_running(self, generation: Generation, wanted: Wanted) -> None:
        for slot in generation.running():
            request = wanted.get(slot.job_id)
            if request is not None and not request.only_unstarted and _is_handed(generation, slot):
                end_job(generation, slot, Doom(OutcomeKind.CANCELLED, request.reason, slot.seq))

    def _take_back(self, lane: Lane, generation: Generation, wanted: Wanted) -> list[HeldJob]:
        """Recall a subworker if one of these jobs waits in its ring; returns those, the lane holds the others again."""
        marked = generation.file.marked
        if not any(seq > marked and job[2] in wanted for seq, job in generation.handed.items()):
            return []
        generation.recall()
        came_back = generation.recall_now()
        lane.take_back(job for job in came_back if job[2] not in wanted)
        return [job for job in came_back if job[2] in wanted]


def _is_handed(generation: Generation, slot: Slot) -> bool:
    """Look whether it was handed what its slot says: a job may have written over that."""
    job = generation.handed.get(slot.seq)
    return job is not None and job[2] == slot.job_id


def _cancelled(job: HeldJob, request: CancelRequest) -> Outcome:
    kind = "Expired" if request.only_unstarted else "Cancelled"
    return outcome_of(job, OutcomeKind.CANCELLED, error_payload(kind, request.reason))
