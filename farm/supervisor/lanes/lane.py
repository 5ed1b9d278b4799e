"""A lane at work: the jobs it holds, its subworkers, and its demand. The main thread dispatches; the claim thread reads demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice

from farm.config.model import Lane as LaneConfig
from farm.failpoints import passing
from farm.shm.frames import LEASE_ID, HeldJob
from farm.supervisor.lanes.loners import Loners, take_out
from farm.supervisor.lanes.origins import Origin
from farm.supervisor.lanes.witness import Wary, Witness, split
from farm.supervisor.processes.generation import FULL, Appetite, Generation, Phase
from farm.supervisor.processes.pace import Pace
from farm.supervisor.processes.roster import Roster

CLAIM_AHEAD_S = 0.5
"""Seconds of work claimed ahead: a claim and the reading of its jobs take a few milliseconds, a busy database more; and four claims
a second are little beside jobs of any length. What is claimed is not another host's any more, so it is no more than that."""
HOARD_S = 2.0
"""More work than this goes back, once it was known for as long that it is: jobs have become slower, and other hosts may be idle."""
CLAIMS_AHEAD_MAX = 4
"""Batches of claim_max held at the most."""
CLAIMED_MIN = 2
"""Jobs claimed ahead, however long they take."""
ANY_QUEUE = "*"
PAUSED, SHORT_OF_MEMORY, LEAVING = "paused", "memory", "leaving"
"""Why a lane is held: by hand; while the host is short of memory; for good, since the configuration no longer has it."""


class Lane:
    """Holds claimed jobs between the claim and the rings."""

    def __init__(self, config: LaneConfig, *, claim_max: int, witness: Witness) -> None:
        self.name = config.name
        self.held: deque[HeldJob] = deque()
        self.loners = Loners()
        """Jobs that are to run alone, apart from the others."""
        self.wary = Wary(lane=config.name, witness=witness)
        """Jobs that were lost before, apart from the others."""
        self._had_wary = False
        self.generations: list[Generation] = []
        """Those that take frames or may yet; the buried are gone. Replaced as a whole, so that other threads may read it."""
        self._roster: Roster[Generation] = Roster()
        self.adopt(config, claim_max=claim_max)
        self._started_before = 0
        self.arrived = 0
        """Jobs that came from claims, in all: counted by the main thread."""
        self.claimed = 0
        """Jobs that were claimed, in all: counted by the claim thread."""
        self.turns = 0
        """How often the claim thread has come to it to claim, in all, whether there was anything for it or not."""
        self.excess = 0
        """Jobs that are held beyond what HOARD_S allow: set by the claim thread, taken down by take_excess()."""
        self._hoards_since = float("inf")
        self.held_by: frozenset[str] = frozenset()
        """Why nothing is claimed for it; empty: nothing keeps it. Replaced as a whole, so that other threads may read it."""
        self.stolen = 0
        """Jobs that it was given of other lanes, less those that others were given of it, in all."""

    def adopt(self, config: LaneConfig, *, claim_max: int) -> None:
        """Go by this configuration from now on. Main thread only; each word is replaced as a whole, so that other threads may read it.

        Subworkers that are there already keep to the one that they were made by.
        """
        self.config = config
        self.memory_mb = config.memory_bytes // 1_000_000
        """What a job may need here, in millions of bytes, as memory classes count."""
        self.slots = config.subworkers * config.concurrency
        """Jobs that it can run at once, with all its subworkers."""
        most = max(CLAIMS_AHEAD_MAX * claim_max, 2 * self.slots)
        self._pace = Pace(ahead_s=CLAIM_AHEAD_S, width=self.slots, jobs_min=CLAIMED_MIN, jobs_max=most)

    def hold(self, reason: str) -> None:
        """Claim nothing more, for this reason; called again with the same one it changes nothing. Main thread only.

        PAUSED and LEAVING have it stand back as well: it starts nothing, and what it has not started goes to others (handover.py).
        """
        self.held_by |= {reason}

    def let_go(self, reason: str) -> None:
        """Take a reason back; with none left it claims and starts jobs again. Main thread only."""
        self.held_by -= {reason}

    @property
    def stands_back(self) -> bool:
        """True while it is to start nothing."""
        return not self.held_by.isdisjoint((PAUSED, LEAVING))

    def serves(self, origin: Origin) -> bool:
        """Tell whether it could have claimed those jobs itself."""
        queues = self.config.queues
        return origin.memory_mb <= self.memory_mb and bool(origin.queues) and (ANY_QUEUE in queues or origin.queues.issubset(queues))

    @property
    def astir(self) -> tuple[Generation, ...]:
        """Those of its subworkers that have anything to do. The others take frames, have none, and all their slots are free."""
        return self._roster.standing.astir

    @property
    def slots_at_rest(self) -> int:
        """The slots of those that are not astir."""
        return self._roster.standing.slots

    @property
    def started(self) -> int:
        """Jobs that its subworkers have started, in all."""
        standing = self._roster.standing
        return self._started_before + standing.started + sum(generation.started for generation in standing.astir)

    @property
    def buffered(self) -> int:
        """Jobs claimed and not started, wherever they are."""
        return self.claimed - self.arrived + self.waiting + sum(generation.unstarted for generation in self.astir)

    @property
    def waiting(self) -> int:
        """Jobs that wait here, in no ring."""
        return len(self.held) + len(self.loners) + len(self.wary)

    @property
    def spare(self) -> int:
        """Slots that could start a job at once, and have none."""
        standing = self._roster.standing
        return standing.slots + sum(generation.spare for generation in standing.astir)

    @property
    def jobs_ahead(self) -> int:
        """Jobs that it claims ahead at its pace, as last measured: few for one that has little to do, or slow jobs."""
        return self._pace.high

    @property
    def serving(self) -> bool:
        """True while a subworker can take frames: claims for a lane without one would only be held."""
        standing = self._roster.standing
        return standing.slots > 0 or any(generation.phase is Phase.SERVING for generation in standing.astir)

    def demand(self, now: float) -> int:
        """Return how many jobs to claim: 0 above the low watermark and while it is held, else up to the high one and one for each free
        slot."""
        occupied = sum(generation.occupied for generation in self.astir)
        buffered = self.buffered
        self._pace.note(self.started - occupied, now, is_dry=not buffered and not occupied)
        self._note_hoard(buffered, now)
        if self.held_by or not self.serving or buffered > self._pace.low:
            return 0
        # What one that is leaving still runs takes nobody's slot: its successor has as many.
        occupied -= sum(generation.occupied for generation in self.astir if generation.leaving)
        return self._pace.high - buffered + max(0, self.slots - occupied)

    def _note_hoard(self, buffered: int, now: float) -> None:
        beyond = buffered - self.slots - int(self._pace.high * HOARD_S / CLAIM_AHEAD_S)
        self._hoards_since = min(self._hoards_since, now) if beyond > 0 else float("inf")
        self.excess = beyond if now - self._hoards_since >= HOARD_S else 0

    def take_excess(self) -> list[HeldJob]:
        """Give up the last ones of those that wait here, as many as are too many."""
        excess, self.excess = self.excess, 0
        return [self.held.pop() for _ in range(min(excess, len(self.held)))]

    def appetite(self, now: float) -> Appetite:
        """Return how many jobs its subworkers would be handed now: for slots that have nothing to do, and behind running jobs."""
        appetites = [generation.appetite(now) for generation in self.generations]
        return sum(spare for spare, _behind in appetites), sum(behind for _spare, behind in appetites)

    def wants_more(self) -> bool:
        """True at or below the low watermark, as last measured, and nothing keeps it from claiming."""
        # Most of those that are asked leave at the first look: it is asked for every lane, at every step of the main thread.
        return len(self.held) <= self._pace.low and not self.held_by and self.buffered <= self._pace.low

    def arrive(self, claimed: int, jobs: list[HeldJob], *, some_lost: bool = False) -> None:
        """Take in the jobs of a claim of so many; fewer where some were refused, or are no longer ours."""
        self.arrived += claimed
        if self.config.concurrency > 1:
            # Before anything is kept: one of these may be among them.
            for generation in self.astir:
                self.loners.know(generation.crowded())
        jobs = self.loners.keep(jobs)
        if some_lost:
            self._had_wary = True
            jobs, wary = split(jobs)
            self.wary.add(wary)
        self.held.extend(jobs)

    def take_back(self, jobs: Iterable[HeldJob]) -> None:
        """Hold jobs again that were handed out and not started: ahead of the others, in their old order."""
        fresh = self.loners.keep(list(jobs))
        if self._had_wary:
            fresh, wary = split(fresh)
            self.wary.take_back(wary)
        self.held.extendleft(reversed(fresh))

    def take_all(self) -> list[HeldJob]:
        """Give up all that waits here."""
        jobs = [*self.wary.take_all(), *self.loners.take_all(), *self.held]
        self.held.clear()
        return jobs

    def all_waiting(self) -> Iterator[HeldJob]:
        """Go through all that waits here."""
        return chain(self.wary.waiting, self.loners.waiting, self.held)

    def leases(self) -> set[int]:
        """Return the leases of all jobs that it holds or has handed out."""
        leases = {job[LEASE_ID] for job in self.all_waiting()}
        return leases.union(*({job[LEASE_ID] for job in generation.handed.values()} for generation in self.astir))

    def take_out(self, job_ids: Container[int]) -> list[HeldJob]:
        """Give up those of these jobs that wait here."""
        return [*take_out(self.held, job_ids), *self.loners.take_out(job_ids), *self.wary.take_out(job_ids)]

    def finish_recalls(self) -> bool:
        """Hold again what was recalled from subworkers that have answered, and let them go on; True if anybody has. Not those that are
        leaving: Recycling looks after them."""
        anybody = False
        for generation in self.astir:
            if generation.recall_active and generation.phase is Phase.SERVING and not generation.leaving:
                frames = generation.recalled()
                if frames is not None:
                    passing("supervisor.after_answer")
                    self.take_back(frames)
                    generation.lift_recall()
                    anybody = True
        return anybody

    def dispatch(self, now: float, *, behind: bool = True) -> None:
        """Put held jobs into rings: for free slots first, then, unless somebody else is to come first, behind running jobs as far ahead as
        their pace allows."""
        if self.held_by and self.stands_back:
            return
        if self.loners.any:
            self.loners.hand_out(self.generations)
        takers: Sequence[Generation] | None = None
        if self.wary.any:
            # Each of those needs a slot to itself, and a heartbeat before it. They are older than what is held, but may be thousands: so
            # they get the larger half of the subworkers, and the rest goes on as ever.
            others = len(self.generations) // 2 if self.held else 0
            self.wary.hand_out(self.generations[others:])
            if len(self.wary):
                takers = self.generations[:others]
        if not self.held:
            return
        takers = self._takers() if takers is None else takers
        asked = [(generation, appetite) for generation in takers if (appetite := generation.appetite(now)) != FULL]
        if not asked:
            return
        shares = share_out(len(self.held), [(spare, more if behind else 0) for _generation, (spare, more) in asked])
        for (generation, _appetite), share in zip(asked, shares, strict=True):
            if share:
                frames = [self.held.popleft() for _ in range(share)]
                written = generation.give(frames)
                if written < share:
                    self.take_back(frames[written:])

    def _takers(self) -> list[Generation]:
        """Return who may have some of the held jobs. Of those at rest no more than there are jobs: each of them takes one at the least."""
        return [*self.astir, *islice(reversed(self._roster.resting), len(self.held))]

    def let_rest(self, generation: Generation) -> None:
        """Have one of them looked at seldom that may rest: with all that it has to say of its former jobs, nothing more comes of it."""
        if generation.slots > 1:
            self.loners.know(generation.crowded())
        generation.rest()

    def add(self, generation: Generation) -> None:
        generation.timeout_ms = round(1000 * self.config.timeout_s)
        self._roster.add(generation)
        self.generations = [*self.generations, generation]

    def remove(self, generation: Generation) -> None:
        """Forget a buried generation; what it started still counts."""
        if generation in self.generations:
            # No spare, which was none of ours yet.
            self._roster.remove(generation)
        self._started_before += generation.started
        self.loners.know(generation.crowded())
        self.generations = [other for other in self.generations if other is not generation]


def leases_held(lanes: Iterable[Lane]) -> set[int]:
    """Return the leases of all jobs that these lanes hold or have handed out."""
    return set[int]().union(*(lane.leases() for lane in lanes))


def share_out(jobs: int, appetites: Sequence[Appetite]) -> list[int]:
    """Say how many of so many jobs each subworker gets, never more than it asked for.

    Slots that have nothing to do come first, and what there is, is shared out: the first one must not get all that could keep
    two busy. The rest goes behind running jobs, but only if there is some for each that asked: else it is held for whoever is free first.
    """
    shares = [0] * len(appetites)
    left = jobs
    # Those that want least first: what they leave of an even share is for the others.
    idle = sorted((spare, index) for index, (spare, _behind) in enumerate(appetites) if spare)
    for takers, (spare, index) in zip(range(len(idle), 0, -1), idle, strict=True):
        shares[index] = min(spare, -(-left // takers))
        left -= shares[index]
    hungry = sorted((behind, index) for index, (_spare, behind) in enumerate(appetites) if behind)
    if left < len(hungry):
        return shares
    for takers, (behind, index) in zip(range(len(hungry), 0, -1), hungry, strict=True):
        share = min(behind, left // takers)
        shares[index] += share
        left -= share
    return shares
