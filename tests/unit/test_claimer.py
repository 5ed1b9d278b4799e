"""For whom the claim thread claims: lanes that are held, replaced, or whose queues are paused, against a store that is played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from farm.config.model import Lane as LaneConfig
from farm.model import Claim, JobRow, Share
from farm.supervisor.claims.claimer import Arrival, Claimer
from farm.supervisor.lanes.lane import LEAVING, PAUSED, SHORT_OF_MEMORY, Lane
from farm.supervisor.lanes.origins import Origin
from farm.supervisor.lanes.witness import Witness
from farm.supervisor.processes.generation import Generation, Phase

CLASSES = {1: ("mail", "python", 0), 2: ("reports", "python", 256), 3: ("rest", "python", 0)}


class PlayedStore:
    """Has so many jobs of each class, forever; remembers what was asked."""

    def __init__(self, waiting: Mapping[int, int]) -> None:
        self.waiting = dict(waiting)
        self.declared: dict[str, Sequence[int] | None] = {}
        self.looked_for: list[list[int]] = []
        self._last_id = 0

    def classes(self) -> dict[int, tuple[str, str, int]]:
        return CLASSES

    def find_work(self, class_ids: Sequence[int], *_bounds: object) -> list[tuple[int, int, bool, int]]:
        self.looked_for.append(sorted(class_ids))
        return [(class_id, 4, False, 1) for class_id in class_ids if self.waiting.get(class_id)]

    def find_late(self, *_: object, **__: object) -> list[Any]:
        return []

    def claim(self, *, lease_id: int, class_ids: Sequence[int], jobs_max: int, **_: object) -> Claim | None:
        shares = []
        for class_id in class_ids:
            if count := min(self.waiting.get(class_id, 0), jobs_max // len(class_ids)):
                self.waiting[class_id] -= count
                shares.append(Share(class_id, count, self._last_id + count, 0, 0))
        jobs = sum(share.jobs for share in shares)
        job_ids = list(range(self._last_id + 1, self._last_id + jobs + 1))
        self._last_id += jobs
        return Claim(lease_id, job_ids, [0] * jobs, None, tuple(shares)) if jobs else None

    def read_jobs(self, job_ids: Sequence[int]) -> list[JobRow]:
        return [JobRow(job_id, b"chores:who", b"[]", 0, None) for job_id in job_ids]

    def declare_idle(self, _host_id: int, lane: str, classes: Sequence[int] | None) -> int:
        self.declared[lane] = classes
        return 0

    def withdraw_idle(self, _host_id: int, lane: str) -> None:
        del self.declared[lane]

    def oldest_open(self) -> int:
        return 1


def lane(name: str, *queues: str, memory_bytes: int = 1 << 30, slots: int = 4) -> Lane:
    """A lane whose only subworker serves, and never starts anything."""
    config = LaneConfig(name=name, queues=queues, subworkers=1, concurrency=slots, memory_bytes=memory_bytes)
    made = Lane(config, claim_max=1000, witness=Witness(hurry=lambda: None, wake=lambda: None))
    said = {"phase": Phase.SERVING, "leaving": False, "started": 0, "unstarted": 0, "occupied": 0, "at_rest": False, "rosters": []}
    made.add(cast(Generation, type("Idle", (), said)()))
    return made


class Claiming:
    """A claimer and what it has delivered."""

    def __init__(self, lanes: Sequence[Lane], **waiting: int) -> None:
        self.store = PlayedStore({class_id: waiting.get(of[0], 0) for class_id, of in CLASSES.items()})
        self.arrivals: list[Arrival] = []
        self.now = 100.0
        self.claimer = Claimer(
            store=self.store,
            lanes=lanes,
            host_id=1,
            runner_names=["python"],
            deliver=self.arrivals.append,
            claim_max=1000,
            poll_s=0.25,
            burst=False,
            clock=lambda: self.now,
        )
        self.claimer.hear_anew(True)

    def step(self) -> dict[str, int]:
        """Step once; returns how many jobs each lane got."""
        self.now += 1.0
        self.arrivals.clear()
        self.claimer.step(self.now)
        return {arrival.lane.name: len(arrival.claim.job_ids) for arrival in self.arrivals}


def test_nothing_is_claimed_for_a_lane_that_is_held() -> None:
    """Whatever holds it, until the last reason is gone; the others are served meanwhile."""
    mail, rest = lane("mail", "mail"), lane("rest", "rest", slots=2)
    claiming = Claiming([mail, rest], mail=100, rest=2)
    mail.hold(PAUSED)
    mail.hold(SHORT_OF_MEMORY)
    mail.hold(PAUSED)
    assert claiming.step() == {"rest": 2}
    mail.let_go(PAUSED)
    assert claiming.step() == {}
    mail.let_go(SHORT_OF_MEMORY)
    assert mail.held_by == frozenset()
    assert set(claiming.step()) == {"mail"}


def test_only_who_would_start_it_stands_back() -> None:
    """A host that is short of memory claims nothing more for a lane, and lets it run what it has."""
    mail = lane("mail", "mail")
    for reason, stands_back in ((SHORT_OF_MEMORY, False), (PAUSED, True), (LEAVING, True)):
        mail.hold(reason)
        assert mail.stands_back == stands_back
        assert mail.demand(0.0) == 0
        assert not mail.wants_more()
        mail.let_go(reason)
        assert mail.demand(0.0) > 0


def test_nobody_rings_for_a_lane_that_is_held_or_gone() -> None:
    """Its idleness is withdrawn, and declared again when it claims again."""
    mail, rest = lane("mail", "mail"), lane("rest", "rest")
    claiming = Claiming([mail, rest])
    claiming.step()
    assert claiming.store.declared == {"mail": [1], "rest": [3]}
    mail.hold(PAUSED)
    claiming.step()
    assert claiming.store.declared == {"rest": [3]}
    mail.let_go(PAUSED)
    claiming.step()
    assert set(claiming.store.declared) == {"mail", "rest"}
    claiming.claimer.set_lanes([rest])
    claiming.step()
    assert set(claiming.store.declared) == {"rest"}


def test_lanes_are_replaced_between_two_steps() -> None:
    """Those that are new have work looked for and claimed at once; those that are gone get nothing more."""
    mail, rest = lane("mail", "mail"), lane("rest", "rest")
    claiming = Claiming([mail], mail=100, rest=100)
    assert set(claiming.step()) == {"mail"}
    claiming.claimer.set_lanes([rest])
    assert set(claiming.step()) == {"rest"}
    assert claiming.store.looked_for[-1] == [3]


def test_queues_that_are_paused_are_passed_over() -> None:
    """What is known of them is forgotten, what is heard of them is not believed, and they are looked for when that is over."""
    both = lane("both", "mail", "*")
    claiming = Claiming([both], mail=100, rest=100)
    claiming.claimer.pause_queues(frozenset({"mail"}))
    claiming.step()
    claiming.claimer.hear([(1, 4)])
    both.claimed = 0
    claiming.step()
    assert claiming.store.waiting[1] == 100
    assert claiming.store.waiting[3] < 100
    assert all(1 not in looked for looked in claiming.store.looked_for)
    claiming.claimer.pause_queues(frozenset())
    both.claimed = 0
    claiming.step()
    assert claiming.store.waiting[1] < 100


def test_an_arrival_says_where_it_is_from() -> None:
    """The queues that a claim brought something of, and the memory class, which is the same for all."""
    both = lane("all", "mail", "*")
    claiming = Claiming([both], mail=3)
    claiming.step()
    assert [arrival.origin for arrival in claiming.arrivals] == [Origin(frozenset({"mail"}), 0)]
    both.claimed, claiming.store.waiting = 0, {2: 4}
    claiming.step()
    assert [arrival.origin for arrival in claiming.arrivals] == [Origin(frozenset({"reports"}), 256)]


def test_a_lane_for_which_nothing_is_there_has_its_turn_all_the_same() -> None:
    """Whoever judges progress must not take it for a lane that is forgotten, however much the others have to do."""
    mail, rest = lane("mail", "mail"), lane("rest", "rest")
    claiming = Claiming([mail, rest], mail=100)
    assert list(claiming.step()) == ["mail"]
    assert rest.turns == 1
