"""A lane at work: the jobs it holds, its subworkers, and its demand. The main thread dispatches; the claim thread reads demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from farm.config.model import Lane as LaneConfig
from farm.supervisor.generation import Generation, HeldFrame, Phase
from farm.supervisor.pace import Pace

CLAIM_AHEAD_S = 0.2
"""Seconds of work claimed ahead: a claim and the reading of its jobs take a few milliseconds, a busy database more."""
CLAIMS_AHEAD_MAX = 4
"""Batches of claim_max held at the most."""


class Lane:
    """Holds claimed jobs between the claim and the rings."""

    def __init__(self, config: LaneConfig, *, claim_max: int) -> None:
        self.config = config
        self.name = config.name
        self.memory_mb = config.memory_bytes // 1_000_000
        """What a job may need here, in millions of bytes, as memory classes count."""
        self.held: deque[HeldFrame] = deque()
        self.generations: list[Generation] = []
        """Those that take frames or may yet; the buried are gone. Replaced as a whole, so that other threads may read it."""
        slots = config.subworkers * config.concurrency
        self._pace = Pace(ahead_s=CLAIM_AHEAD_S, width=slots, jobs_min=2 * slots, jobs_max=max(CLAIMS_AHEAD_MAX * claim_max, 2 * slots))
        self._slots = slots
        self._started_before = 0
        self.arrived = 0
        """Jobs that came from claims, in all: counted by the main thread."""
        self.claimed = 0
        """Jobs that were claimed, in all: counted by the claim thread."""

    @property
    def started(self) -> int:
        """Jobs that its subworkers have started, in all."""
        return self._started_before + sum(generation.started for generation in self.generations)

    @property
    def buffered(self) -> int:
        """Jobs claimed and not started, wherever they are."""
        return self.claimed - self.arrived + len(self.held) + sum(generation.unstarted for generation in self.generations)

    @property
    def serving(self) -> bool:
        """True while a subworker can take frames: claims for a lane without one would only be held."""
        return any(generation.phase is Phase.SERVING for generation in self.generations)

    def demand(self, now: float) -> int:
        """Return how many jobs to claim: 0 above the low watermark, else up to the high one and one for each free slot."""
        self._pace.note(self.started, now)
        buffered = self.buffered
        if not self.serving or buffered > self._pace.low:
            return 0
        busy = sum(generation.file.slots.any_running() for generation in self.generations)
        return self._pace.high - buffered + max(0, self._slots - busy)

    def wants_more(self) -> bool:
        """True at or below the low watermark, as last measured."""
        return self.buffered <= self._pace.low

    def arrive(self, claimed: int, frames: list[HeldFrame]) -> None:
        """Take in the frames of a claim of so many jobs; fewer where some were refused, or are no longer ours."""
        self.arrived += claimed
        self.held.extend(frames)

    def take_back(self, frames: Iterable[HeldFrame]) -> None:
        """Hold jobs again that were handed out and not started: ahead of the others, in their old order."""
        self.held.extendleft(reversed(list(frames)))

    def dispatch(self, now: float) -> None:
        """Put held jobs into the rings of its subworkers, each as far ahead as its pace allows."""
        if not self.held:
            return
        hungry = [(room, generation) for generation in self.generations if (room := generation.room(now)) > 0]
        for left, (room, generation) in zip(range(len(hungry), 0, -1), hungry, strict=True):
            # What there is, is shared out: the first one must not get all that could keep two busy.
            share = min(room, -(-len(self.held) // left))
            if share <= 0:
                return
            written = generation.give(list(islice(self.held, share)))
            for _ in range(written):
                self.held.popleft()

    def add(self, generation: Generation) -> None:
        self.generations = [*self.generations, generation]

    def remove(self, generation: Generation) -> None:
        """Forget a buried generation; what it started still counts."""
        self._started_before += generation.started
        self.generations = [other for other in self.generations if other is not generation]
