"""Jobs that were lost before: each starts alone, and only when a heartbeat has named it, so that its next loss is counted.

A lost host is known by its last heartbeat: what it started since then counts as not started. A job that kills whole machines within a
second of its start would never be counted. So a job whose loss was counted in `lost` is named as running before it may run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from farm.shm.frames import JOB_ID, HeldJob
from farm.supervisor.lanes.loners import take_out
from farm.supervisor.processes.generation import Generation, Phase


class Named(NamedTuple):
    """What a heartbeat is to name beside what runs. Replaced as a whole, since another thread reads it."""

    number: int
    job_ids: tuple[int, ...]


class Witness:
    """Between the lanes, which ask in the main thread, and the heartbeat, which answers in its own."""

    def __init__(self, *, hurry: Callable[[], None], wake: Callable[[], None]) -> None:
        """hurry: have the heartbeat beat now; wake: have the lanes look again."""
        self.asked = Named(0, ())
        self._hurry = hurry
        self._wake = wake
        self._seen = 0
        self._by_lane: dict[str, tuple[int, ...]] = {}

    def ask(self, lane: str, job_ids: Iterable[int], *, now: bool) -> int:
        """Have the heartbeats name these jobs of a lane and none else, the next one at once if `now`; returns the number to ask for."""
        self._by_lane[lane] = tuple(job_ids)
        self.asked = Named(self.asked.number + 1, tuple(job_id for ids in self._by_lane.values() for job_id in ids))
        if now:
            self._hurry()
        return self.asked.number

    def has_seen(self, number: int) -> bool:
        """True when a heartbeat has named what was asked with this number, or later."""
        return self._seen >= number

    def note(self, named: Named) -> None:
        """Be told by the heartbeat what a beat that got through has named."""
        if named.number > self._seen:
            self._seen = named.number
            self._wake()


class Wary:
    """The jobs of one lane that were lost before. Modes: waiting; asked (named by no heartbeat yet); handed (until it is settled).

    As many are asked for as slots are free: one that is named and has not started would be counted all the same.
    """

    def __init__(self, *, lane: str, witness: Witness) -> None:
        self._lane = lane
        self._witness = witness
        self._waiting: deque[HeldJob] = deque()
        self._asked: deque[HeldJob] = deque()
        self._number = 0
        self._handed: list[tuple[int, Generation, int]] = []
        """(job, who has it, sequence)."""

    def __len__(self) -> int:
        """Count those that are not handed out."""
        return len(self._waiting) + len(self._asked)

    @property
    def any(self) -> bool:
        """True while there is something to do for them."""
        return bool(self._waiting or self._asked or self._handed)

    @property
    def waiting(self) -> list[HeldJob]:
        """Those that are not handed out."""
        return [*self._asked, *self._waiting]

    def add(self, jobs: Iterable[HeldJob]) -> None:
        self._waiting.extend(jobs)

    def take_back(self, jobs: Sequence[HeldJob]) -> None:
        """Hold jobs again that were handed out and not started: they are asked for anew."""
        self._waiting.extendleft(reversed(jobs))

    def take_all(self) -> list[HeldJob]:
        """Give up all that are not handed out."""
        jobs = [*self._asked, *self._waiting]
        self._waiting.clear()
        if self._asked:
            self._asked.clear()
            self._witness.ask(self._lane, self._named(), now=False)
        return jobs

    def take_out(self, job_ids: Container[int]) -> list[HeldJob]:
        """Give up those of these jobs that are not handed out; they are named no longer."""
        asked = take_out(self._asked, job_ids)
        if asked:
            self._witness.ask(self._lane, self._named(), now=False)
        return [*asked, *take_out(self._waiting, job_ids)]

    def hand_out(self, generations: Sequence[Generation]) -> None:
        """Give each one that was named to a subworker with a free slot; ask for as many as there are free slots."""
        before = len(self._handed)
        self._handed = [one for one in self._handed if one[2] in one[1].handed]
        changed = len(self._handed) != before
        free = [generation for generation in generations if generation.phase is Phase.SERVING and generation.spare]
        if self._asked and self._witness.has_seen(self._number):
            for generation in free:
                while self._asked and generation.spare and generation.give([self._asked[0]]):
                    self._handed.append((self._asked.popleft()[JOB_ID], generation, generation.next_seq - 1))
        asks = 0
        if not self._asked and self._waiting:
            asks = min(len(self._waiting), sum(generation.spare for generation in free))
            self._asked.extend(self._waiting.popleft() for _ in range(asks))
        if changed or asks:
            number = self._witness.ask(self._lane, self._named(), now=asks > 0)
            # Those that were asked for earlier are still among the named: they need not wait for this one.
            self._number = number if asks else self._number

    def _named(self) -> list[int]:
        return [job[JOB_ID] for job in self._asked] + [job_id for job_id, _generation, _seq in self._handed]


def split(jobs: Iterable[HeldJob]) -> tuple[list[HeldJob], list[HeldJob]]:
    """Return the jobs that were never lost, and those that were."""
    fresh: list[HeldJob] = []
    wary: list[HeldJob] = []
    for job in jobs:
        _flags, _lease_id, _job_id, _position, _timeout_ms, _attempt, lost, *_ = job
        (wary if lost else fresh).append(job)
    return fresh, wary
