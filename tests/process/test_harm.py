"""Single processes come to harm: the others go on, and a successor takes over."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm


def test_idle_subworkers_are_replaced(farm: RunningFarm, ledger: Ledger) -> None:
    """A subworker that dies while it has nothing to do has a successor soon, and nobody else notices."""
    farm.start()
    before = set(farm.subworkers())
    for pid in before:
        crew.kill(pid)
    wait_for(lambda: len(set(farm.subworkers()) - before) == 2, "two successors")
    after = set(farm.subworkers())
    assert not before & after
    pids = {ledger.result(job_id).value for job_id in ledger.enqueue_all([("who", ())] * 20)}
    assert pids <= after
    farm.stop()
    ledger.check_all_ended()


def test_subworkers_outlive_their_zygote(farm: RunningFarm, ledger: Ledger) -> None:
    """When the zygote dies its subworkers go on, and another zygote makes their successors."""
    farm.start()
    before, zygote = set(farm.subworkers()), farm.zygote()
    crew.kill(zygote)
    wait_for(lambda: crew.zygotes(farm.crew_lock) not in ([], [zygote]), "another zygote")
    assert ledger.result(ledger.enqueue("who")).value in before
    crew.kill(next(iter(before)))
    wait_for(lambda: len(set(farm.subworkers()) - before) == 1, "a subworker of the new zygote")
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    ledger.check_all_ended()


def test_a_writer_that_stands_still(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """While the writer stands still a subworker fills its ring and then waits; awake again, it commits all of it."""
    farm = make_farm(subworkers=2, claim_max=10_000)
    farm.start()
    writer = farm.writer()
    crew.kill(writer, signal.SIGSTOP)
    given = ledger.enqueue_all([("give_text", (100_000,))] * 60)
    ids = ledger.enqueue_marks(2000, effects)
    beats: list[list[int]] = []
    wait_for(lambda: all_stuck(ledger, beats), "a ring that is full")
    assert ledger.settled() == 0
    crew.kill(writer, signal.SIGCONT)
    wait_for(lambda: ledger.settled() == len(given) + len(ids), f"all results\n{farm.log}")
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(ids, 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()


def all_stuck(ledger: Ledger, previous: list[list[int]]) -> bool:
    """Say whether the running set has stopped changing over some beats: of short jobs, so they wait for room to publish."""
    (row,) = ledger.query("SELECT beat, running FROM farm.heartbeat WHERE state = 'live'")
    if row.running and (not previous or row.beat != previous[-1][0]):
        previous.append([row.beat, *row.running])
    return len(previous) >= 4 and len({tuple(entry[1:]) for entry in previous[-4:]}) == 1


def test_overwritten_rings(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A job that writes over its subworker's shared memory ends that subworker alone; it counts as a crash of that job."""
    farm = make_farm(subworkers=2)
    farm.start()
    wild = ledger.enqueue("scribble", max_attempts=2)
    good = ledger.enqueue_all([("who", ())] * 200)
    assert "overwritten" in ledger.error(wild)
    assert ledger.failures(wild) == ["crashed"] * 2
    assert all(ledger.result(job_id).status == 1 for job_id in good)
    assert farm.log_lines("has overwritten its result ring")
    assert not farm.log_lines("the writer ended")
    farm.stop()
    ledger.check_all_ended()


def test_a_job_that_is_stopped(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A subworker that was stopped in the middle of a job is ended at the job's deadline all the same."""
    farm = make_farm(subworkers=1)
    job_id = ledger.enqueue("mark", (str(effects), 1, 3600), timeout_s=1.0, max_attempts=1)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    crew.kill(farm.subworkers()[0], signal.SIGSTOP)
    assert ledger.error(job_id).startswith("TimedOut")
    assert ledger.result(ledger.enqueue("who")).status == 1
    farm.stop()
    ledger.check_all_ended()
