"""Hosts that stop, sleep or are lost, with another one beside them: the stale outcome is refused, and losses are counted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from farm.store.hosts import HostStore
from farm.store.session import Session
from farm.store.upkeep import Reaped
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm
from tests.store.bench import Bench


def whole(farm: RunningFarm) -> list[int]:
    """Return all processes of a farm, its supervisor first."""
    return [farm.pid, *(pid for pid in crew.holders(farm.crew_lock) if pid != farm.pid)]


def starts(path: Path) -> list[int]:
    """Return the pids that have started it, in order."""
    return [int(line.split()[1]) for line in path.read_text().splitlines()] if path.exists() else []


class Twins:
    """Two hosts of one name on one machine, with different state directories."""

    def __init__(self, make_farm: MakeFarm, home: Path, ledger: Ledger, directory: Path) -> None:
        options = {"name": "twin", "subworkers": 1, "heartbeat": "100ms", "lease": "1500ms", "reap_every": "200ms"}
        (directory / "b").mkdir()
        self.a = make_farm(**options)
        self.b = make_farm(**options, home=home / "b", directory=directory / "b")
        self.ledger = ledger
        self.hold = directory / "hold"

    def wait_for_begin(self) -> None:
        """Wait until A has seen that it was declared dead, and lives again."""
        self.a.wait_log("begins again as host")
        wait_for(lambda: len(self.ledger.live_hosts()) == 2, "A as a new host")

    def stall(self, effects: Path) -> None:
        """A claims, runs and stalls; it is declared dead; B claims and runs; A wakes and reports."""
        a, b, ledger, hold = self.a, self.b, self.ledger, self.hold
        a.start()
        # So that its writer is at work for certain, and is no newcomer that reads the rings of others.
        assert ledger.result(ledger.enqueue("who")).attempt == 1
        hold.touch()
        job_id = ledger.enqueue("mark_both_ends", (str(effects), 1, str(hold)))
        wait_for(lambda: starts(effects), "its start on A")
        (of_a,) = ledger.live_hosts()
        wait_for(lambda: ledger.query("SELECT 1 AS x FROM farm.heartbeat WHERE running = ARRAY[%s]::bigint[]", job_id), "a beat with it")
        stalled = [a.pid, a.writer()]
        for pid in stalled:
            crew.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        hold.unlink()
        wait_for(effects.with_suffix(".ended").exists, "its end on A, with nobody to commit it")
        hold.touch()
        b.start()
        b.wait_log(f"host {of_a} has not beaten for a lease time")
        wait_for(lambda: len(starts(effects)) == 2, "its start on B")
        print(f"a stalled host, lease 1.5 s: its job ran elsewhere after {time.monotonic() - begun:.1f} s, the start of B included")
        for pid in stalled:
            crew.kill(pid, signal.SIGCONT)
        a.wait_log("outcomes dropped: 0 duplicate, 1 stale")
        self.wait_for_begin()
        assert ledger.places()[job_id].place == "leased"
        hold.unlink()
        row = ledger.result(job_id)
        assert (row.status, row.attempt, row.value) == (1, 2, starts(effects)[1])
        assert ledger.failures(job_id) == ["lost"]
        assert len(a.log_lines("outcomes dropped")) == 1

    def sleep(self, effects: Path) -> list[int]:
        """Every process of A stops past its lease, as in a suspend, with a running job and others behind it; returns them."""
        # Of a host that is just starting or has just begun again, B would have no beat to go by.
        self.b.signal(signal.SIGSTOP)
        self.hold.touch()
        jobs = self.ledger.enqueue_all([("mark_both_ends", (str(effects), number, str(self.hold))) for number in range(4)])
        wait_for(lambda: starts(effects), "a start on A")
        asleep = whole(self.a)
        for pid in asleep:
            crew.kill(pid, signal.SIGSTOP)
        self.b.signal(signal.SIGCONT)
        self.hold.unlink()
        wait_for(lambda: set(jobs) <= set(self.ledger.results()), "their results, by B")
        for pid in asleep:
            crew.kill(pid, signal.SIGCONT)
        wait_for(lambda: len(self.a.log_lines("begins again as host")) == 2, "A as a new host once more")
        return jobs


@pytest.mark.timeout(180)
def test_hosts_that_stall_and_sleep(make_farm: MakeFarm, farm_home: Path, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """The stale outcome of one who was declared dead is refused, the other's stands; one who slept starts nothing of what it held."""
    twins = Twins(make_farm, farm_home, ledger, tmp_path)
    twins.stall(effects)
    slept = tmp_path / "slept"
    jobs = twins.sleep(slept)
    # What ran when A fell asleep ran again, and nothing else, however much A held.
    assert sorted(effects_of(slept).values()) == [1, 1, 1, 2]
    again = ledger.enqueue_marks(100, tmp_path / "again", seconds=0.005)
    wait_for(lambda: set(again.values()) <= set(ledger.results()), "all results")
    assert effects_of(tmp_path / "again") == dict.fromkeys(again, 1)
    # A job that kills its subworker, with two hosts to run it: three crashes in all, not three for each, and others go on beside it.
    pill = ledger.enqueue("kill_itself", (signal.SIGSEGV,))
    beside = ledger.enqueue_marks(100, tmp_path / "beside", seconds=0.002)
    assert ledger.error(pill).startswith("CrashedTooOften: crashed 3 times")
    assert all(ledger.result(job).attempt == 1 for job in beside.values())
    twins.a.stop()
    twins.b.stop()
    results = ledger.results()
    assert {results[job].status for job in jobs} == {1}
    ledger.check_all_ended()


def lost_before(bench: Bench, jobs: list[int]) -> None:
    """Have a host claim these jobs and be lost, with none of them known to have started."""
    host = bench.host("lost")
    assert sorted(bench.claim(host, len(jobs)).job_ids) == sorted(jobs)
    assert bench.hosts.retire(host, None)
    assert bench.upkeep.reap(host, None) == Reaped(len(jobs), 0, 1)


@pytest.mark.leaves_rings
@pytest.mark.timeout(120)
def test_a_job_that_kills_its_host_is_counted(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, dsn: str) -> None:
    """A job that was lost before is named in a heartbeat before it starts: though the host dies at once, that start is counted."""
    bench = Bench(dsn)
    hold = tmp_path / "hold"
    hold.touch()
    killer = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), max_attempts=1)
    lost_before(bench, [killer])
    assert ledger.places()[killer] == ("returned", 0, 1)
    # A heartbeat much longer than the test: what is named is named before the start, and by nothing else.
    farm = make_farm(subworkers=2, heartbeat="60s", lease="300s", reap_every="60s")
    farm.start()
    wait_for(lambda: starts(effects), "its start")
    os.kill(farm.pid, signal.SIGKILL)
    farm.end()
    session = Session(dsn, application_name="reaper")
    (host,) = ledger.live_hosts()
    assert HostStore(session).retire(host, None)
    assert bench.upkeep.reap(host, None).started == 1
    session.close()
    row = ledger.result(killer)
    assert (row.status, row.attempt, row.error["type"]) == (2, 1, "HostLost")
    # Many at once take the slow way, and all end.
    innocent = list(ledger.enqueue_marks(400, tmp_path / "innocent").values())
    lost_before(bench, innocent)
    bench.close()
    other = make_farm(name="other", subworkers=2)
    begun = time.monotonic()
    other.start()
    wait_for(lambda: ledger.settled() == 401, f"all results\n{other.log}")
    print(f"400 jobs of a lost host took {time.monotonic() - begun:.1f} s, the start included")
    other.stop()
    assert effects_left(tmp_path / "innocent") == 400
    results = ledger.results()
    assert {results[job].attempt for job in innocent} == {1}
    ledger.check_all_ended()
