"""Who is taken for dead, and who is not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from farm.errors import StoreUnavailable
from farm.model import Beat, HorizonHolder
from farm.supervisor.upkeep.horizon import Since
from farm.supervisor.upkeep.upkeep import DUE_S_MIN, EXPIRE_MAX, PROMOTE_MAX, SWEEP_MAX, Upkeep, Watch

UP_S = 1e6
LEASE_S = 10.0


def looks(watch: Watch, beats: Sequence[tuple[float, Sequence[Beat]]], up_s: float = UP_S) -> list[list[int]]:
    return [[beat.host_id for beat in watch.look(list(seen), up_s, now)] for now, seen in beats]


def every(step_s: float, until_s: float, beat: Beat, since_s: float = 0.0) -> list[tuple[float, list[Beat]]]:
    return [(since_s + tick * step_s, [beat]) for tick in range(int(until_s / step_s) + 1)]


def test_a_host_that_beats_is_left_alone() -> None:
    """A beat that moves, however slowly, keeps its host."""
    assert not any(looks(Watch(lease_s=LEASE_S, look_every_s=2.0), [(tick * 2.0, [Beat(1, tick // 4)]) for tick in range(100)]))


def test_a_host_that_is_silent_for_a_lease() -> None:
    """A beat that has not moved for a whole lease is told, at the first look after it, and not before."""
    found = looks(Watch(lease_s=LEASE_S, look_every_s=2.0), every(2.0, 14, Beat(1, 7)))
    assert found == [[], [], [], [], [], [1], [1], [1]]


def test_a_late_look_begins_anew() -> None:
    """After a pause between two looks everybody has a lease time to beat again."""
    watch = Watch(lease_s=LEASE_S, look_every_s=2.0)
    assert not any(looks(watch, every(2.0, 8, Beat(1, 7))))
    assert looks(watch, every(2.0, 10, Beat(1, 7), since_s=20.0)) == [[], [], [], [], [], [1]]


def test_a_failed_look_begins_anew() -> None:
    """A look that failed breaks the row, though it was no later than others."""
    watch = Watch(lease_s=LEASE_S, look_every_s=2.0)
    assert not any(looks(watch, every(2.0, 8, Beat(1, 7))))
    watch.begin_anew()
    assert not any(looks(watch, every(2.0, 8, Beat(1, 7), since_s=10.0)))


def test_a_young_server() -> None:
    """Nobody is told within a lease time of the server's own start."""
    watch = Watch(lease_s=LEASE_S, look_every_s=2.0)
    assert not any(looks(watch, every(2.0, 30, Beat(1, 7)), up_s=LEASE_S - 0.1))
    assert looks(watch, every(2.0, 10, Beat(1, 7), since_s=32.0)) == [[], [], [], [], [1], [1]]


def test_hosts_come_and_go() -> None:
    """A host that is new, or came back, is watched from its first look on."""
    watch = Watch(lease_s=LEASE_S, look_every_s=2.0)
    assert not any(looks(watch, every(2.0, 8, Beat(1, 7))))
    assert looks(watch, [(10.0, [])]) == [[]]
    assert looks(watch, [(12.0, [Beat(1, 7), Beat(2, 1)])]) == [[]]


class FakeStore:
    """Plays the database of one upkeep: nothing waits, one host is silent."""

    def __init__(self) -> None:
        self.away = False
        self.moves: list[int] = []
        self.next_due_s: float | None = None
        self.expiries: list[int] = []
        self.next_expiry_s: float | None = None
        self.requests: list[int] = []
        self.swept: list[int] = []
        self.looked_at: list[float] = []
        self.now = 0.0
        self.open: list[HorizonHolder] = []
        self.leases: list[tuple[int, int, int]] = []
        """What one reap after the other brings: jobs, those of them that had started, and leases."""

    def live_hosts(self) -> tuple[list[Beat], float]:
        self.looked_at.append(self.now)
        return [Beat(1, 7)], UP_S

    def retired_with_leases(self) -> Sequence[int]:
        return [2] if self.leases else []

    def reap(self, host_id: int, started: Sequence[int] | None) -> tuple[int, int, int]:
        return self.leases.pop(0)

    def end_stuck_commits(self) -> int:
        raise AssertionError

    def promote(self, jobs_max: int) -> tuple[int, float | None]:
        if self.away:
            raise StoreUnavailable("away")
        return (self.moves.pop(0) if self.moves else 0), self.next_due_s

    def expire(self, jobs_max: int) -> tuple[int, float | None]:
        return (self.expiries.pop(0) if self.expiries else 0), self.next_expiry_s

    def any_cancels(self) -> bool:
        return bool(self.requests)

    def sweep_cancels(self, above_id: int, jobs_max: int) -> tuple[int, int | None, int]:
        page = [job_id for job_id in self.requests if job_id > above_id][:jobs_max]
        self.swept.append(above_id)
        return len(page), page[-1] if page else None, 0

    def keep_partitions_ahead(self) -> int:
        return 0

    def prune_requests(self) -> None:
        pass

    def prune_waiters(self) -> None:
        pass

    def horizon(self) -> list[HorizonHolder]:
        return self.open

    def prune_hosts(self) -> Sequence[int]:
        return []


class Rounds:
    """Steps an upkeep on a clock of its own, as a thread would."""

    def __init__(self, store: FakeStore, *, lease_s: float, reap_every_s: float) -> None:
        self.store = store
        self.retired: list[tuple[int, int | None]] = []
        self.promoted = 0
        self.upkeep = Upkeep(
            store=store,
            retire=self._retire,
            lease_s=lease_s,
            reap_every_s=reap_every_s,
            promote_every_s=1.0,
            promoted=self._note_promoted,
        )

    def run(self, seconds: float) -> None:
        end = self.store.now + seconds
        while self.store.now < end:
            try:
                self.store.now += max(0.001, self.upkeep.step(self.store.now))
            except StoreUnavailable:
                self.store.now += 0.2

    def _retire(self, host_id: int, beat: int | None) -> bool:
        self.retired.append((host_id, beat))
        return True

    def _note_promoted(self) -> None:
        self.promoted += 1


@pytest.mark.parametrize(("lease_s", "reap_every_s"), [(10.0, 2.0), (2.0, 0.3), (1.0, 0.4), (4.0, 2.0)])
def test_silent_hosts_are_retired_with_any_lease(lease_s: float, reap_every_s: float) -> None:
    """Looks come as often as configured, so a silent host is retired soon after its lease, by the beat that was watched."""
    rounds = Rounds(FakeStore(), lease_s=lease_s, reap_every_s=reap_every_s)
    rounds.run(lease_s + 2 * reap_every_s + 0.5)
    assert (1, 7) in rounds.retired


def test_what_is_reaped_is_counted_as_leases_and_as_jobs() -> None:
    """A lease whose jobs had all ended is one as well: nothing was in the way then, and no commit is ended for it."""
    store = FakeStore()
    store.leases = [(30, 2, 20), (0, 0, 1)]
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    rounds.run(5.0)
    figures = rounds.upkeep.figures
    assert (figures.leases_reaped, figures.jobs_reaped, rounds.promoted) == (21, 30, 1)


def test_nobody_is_retired_after_an_outage() -> None:
    """An outage starts the watch anew, however long it was."""
    store = FakeStore()
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    rounds.run(9.0)
    store.away = True
    rounds.run(60.0)
    store.away = False
    rounds.run(9.0)
    assert rounds.retired == []


def test_what_holds_the_horizon_is_told_of_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore()
    session = HorizonHolder("session", 77, "psql of ada", "idle in transaction", 840.0, 12)
    store.open = [HorizonHolder("session", 78, "young", "active", 1.0, 14), session]
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    rounds.run(300.0)
    who = "a transaction of psql of ada (backend 77, idle in transaction)"
    told = f"{who} keeps all that was done in the last 14m from being cleaned up"
    assert [record.message for record in caplog.records if "from being cleaned up" in record.message] == [told]
    store.open = [HorizonHolder("prepared", None, "x of ada", "", 660.0, 9)]
    rounds.run(120.0)
    assert "the prepared transaction x of ada keeps all that was done in the last 11m from being cleaned up" in caplog.messages
    store.open = []
    rounds.run(120.0)
    store.open = [session]
    rounds.run(120.0)
    assert len([record for record in caplog.records if who in record.message]) == 2


def test_a_slot_holds_the_horizon_for_as_long_as_it_stands_still() -> None:
    """The database does not know since when: the transactions that have begun since only become more."""
    slot = HorizonHolder("slot", None, "standby", "nobody reads it", None, 100)
    since = Since()
    assert since.note([slot], 10.0) == [slot._replace(age_s=0.0)]
    assert since.note([slot._replace(transactions=150)], 25.0)[0].age_s == 15.0
    assert since.note([slot._replace(transactions=20)], 30.0)[0].age_s == 0.0, "it has moved on"
    session = slot._replace(kind="session", age_s=3.0)
    assert since.note([session], 40.0) == [session]
    assert since.note([slot], 50.0)[0].age_s == 0.0, "it was gone in between"


def test_a_moment_without_the_database_begins_the_watch_anew() -> None:
    """However short it was, and though the next look comes in time: whoever could not beat then has a whole lease to do so."""
    store = FakeStore()
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    rounds.run(8.5)
    store.away = True
    rounds.run(0.1)
    store.away = False
    rounds.run(9.0)
    assert rounds.retired == []
    assert max(later - earlier for earlier, later in pairwise(store.looked_at)) <= 4.0, "no look was late"


def test_promotion_on_time() -> None:
    """The step sleeps no longer than until the next job is due, and not at all while there is more to move."""
    store = FakeStore()
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    store.next_due_s = 0.25
    assert rounds.upkeep.step(0.0) == 0.25
    store.moves = [PROMOTE_MAX, 3]
    assert rounds.upkeep.step(0.1) == 0.0
    assert rounds.upkeep.step(0.1) == 0.25
    assert rounds.promoted == 2


def test_promotion_does_not_starve_the_watch() -> None:
    """While more and more is due the other hosts are looked at all the same."""
    store = FakeStore()
    store.moves = [PROMOTE_MAX] * 20_000
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    rounds.run(14.0)
    assert rounds.retired


def test_expiry_on_time() -> None:
    """The step sleeps no longer than until the next job expires; what is due and locked by somebody is not asked for in a whirl."""
    store = FakeStore()
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    store.next_due_s, store.next_expiry_s = 0.5, 0.25
    assert rounds.upkeep.step(0.0) == 0.25
    store.expiries = [EXPIRE_MAX]
    assert rounds.upkeep.step(0.1) == 0.0
    store.next_expiry_s = -3.0
    assert rounds.upkeep.step(0.2) == DUE_S_MIN


def test_requests_are_swept_every_so_often_and_when_told_a_step_at_a_time() -> None:
    store = FakeStore()
    rounds = Rounds(store, lease_s=10.0, reap_every_s=2.0)
    store.requests = list(range(1, 2 * SWEEP_MAX + 6))
    assert [rounds.upkeep.step(0.1) for _ in range(2)] == [0.0, 0.0]
    assert rounds.upkeep.step(0.1) > 0
    assert store.swept == [0, SWEEP_MAX, 2 * SWEEP_MAX]
    rounds.upkeep.step(1.0)
    assert len(store.swept) == 3
    rounds.upkeep.hear_of_cancel()
    store.requests = [7]
    rounds.upkeep.step(1.1)
    assert store.swept[3:] == [0]
    store.requests = []
    rounds.upkeep.step(5.0)
    assert len(store.swept) == 4
