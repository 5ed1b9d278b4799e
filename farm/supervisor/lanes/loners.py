"""Jobs that are to run with nobody beside them: together with others they took more memory than their subworker may have."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence

from farm.shm.frames import JOB_ID, HeldJob
from farm.supervisor.processes.generation import Generation, Phase

KNOWN_MAX = 10_000


class Loners:
    """Those of one lane. One subworker at a time is kept free of others for them, while there are any."""

    def __init__(self) -> None:
        self._known: dict[int, None] = {}
        """Ids of jobs that are to run alone when they come (again), the latest ones last."""
        self._waiting: deque[HeldJob] = deque()
        self._reserving = False

    def __len__(self) -> int:
        """Count those that are not handed out."""
        return len(self._waiting)

    @property
    def any(self) -> bool:
        """True while there is something to do for them."""
        return bool(self._waiting) or self._reserving

    @property
    def waiting(self) -> Sequence[HeldJob]:
        """Those that are not handed out."""
        return self._waiting

    def know(self, job_ids: Iterable[int]) -> None:
        """Have these jobs run alone when they come back. So it stays for those of them that come back more often; only the last
        KNOWN_MAX are known."""
        self._known.update(dict.fromkeys(job_ids))
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def keep(self, jobs: list[HeldJob]) -> list[HeldJob]:
        """Keep those that are to run alone; returns the others."""
        if not self._known:
            return jobs
        others: list[HeldJob] = []
        for job in jobs:
            (self._waiting if job[JOB_ID] in self._known else others).append(job)
        return others

    def take_all(self) -> list[HeldJob]:
        """Give up all that are not handed out."""
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def take_out(self, job_ids: Container[int]) -> list[HeldJob]:
        """Give up those of these jobs that are not handed out."""
        return take_out(self._waiting, job_ids)

    def hand_out(self, generations: Sequence[Generation]) -> None:
        """Keep one subworker free of others, and when it has nothing left give it one job."""
        serving = [generation for generation in generations if generation.phase is Phase.SERVING and not generation.leaving]
        if self._waiting and serving and not any(generation.reserved for generation in serving):
            kept_free = min(serving, key=lambda generation: len(generation.handed))
            kept_free.stir()
            kept_free.reserved = True
        for generation in serving:
            if generation.reserved and not self._waiting and not any(job[JOB_ID] in self._known for job in generation.handed.values()):
                # Whom it was kept free for is gone: cancelled, or released.
                generation.reserved = False
            if generation.reserved and not generation.handed and not generation.recall_active:
                generation.reserved = bool(self._waiting) and generation.give([self._waiting[0]]) == 1
                if generation.reserved:
                    self._waiting.popleft()
        self._reserving = any(generation.reserved for generation in serving)


def take_out(jobs: deque[HeldJob], job_ids: Container[int]) -> list[HeldJob]:
    """Take those of these jobs out that are among the ones that wait; the others stay in their order."""
    found = [job for job in jobs if job[JOB_ID] in job_ids]
    if found:
        left = [job for job in jobs if job[JOB_ID] not in job_ids]
        jobs.clear()
        jobs.extend(left)
    return found
