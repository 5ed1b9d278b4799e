"""Leaving: nothing is lost, nothing is used up, nothing stays behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import RunningFarm


def nothing_left(farm: RunningFarm) -> None:
    """Look that no process, no ring and no spill file of a farm is left."""
    wait_for(farm.crew_gone, f"the end of the crew: {[crew.command(pid) for pid in crew.holders(farm.crew_lock)]}")
    assert not farm.rings.exists()
    assert farm.spilled == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_drains(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A signal lets the running job end, gives back what has not started with its attempts as they were, and leaves with 0."""
    farm = make_farm(subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    running = ledger.enqueue("mark_until", (str(effects), 1, str(hold)))
    spilled = ledger.enqueue_all([("length_of", ("a" * 300_000,))] * 5)
    ledger.enqueue_marks(500, tmp_path / "others")
    farm.start()
    wait_for(lambda: effects_left(effects), "the start of the first job")
    wait_for(lambda: farm.spilled, "jobs that are claimed and wait")
    farm.signal(number)
    farm.wait_log("draining")
    wait_for(lambda: sum(place.place == "returned" for place in ledger.places().values()), "jobs that are given back")
    hold.unlink()
    assert farm.wait() == 0, farm.log
    assert (ledger.result(running).status, ledger.result(running).attempt) == (1, 1)
    left = {job_id: place for job_id, place in ledger.places().items() if job_id != running}
    assert {(place.place in ("ready", "returned"), place.attempt, place.lost) for place in left.values()} == {(True, 0, 0)}
    assert set(spilled) <= set(left)
    assert not (tmp_path / "others").exists()
    assert ledger.query("SELECT id FROM farm.lease") == []
    assert ledger.live_hosts() == []
    nothing_left(farm)
    ledger.check()
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert effects_of(tmp_path / "others") == dict.fromkeys(range(1, 501), 1)
    ledger.check_all_ended()
    nothing_left(farm)


def test_nohup(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A farm that was started with nohup outlives its terminal, whose end has it read its configuration again."""
    farm = make_farm(subworkers=1, wrapper=["nohup"])
    farm.start()
    farm.signal(signal.SIGHUP)
    farm.wait_log("reload: every subworker is replaced")
    assert ledger.result(ledger.enqueue("who")).status == 1
    assert not farm.log_lines("draining")
    farm.stop()
    nothing_left(farm)


def test_a_subworker_that_stands_still(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A subworker that was stopped between two jobs does not hold up the drain for longer than its timeout."""
    farm = make_farm(subworkers=1, drain_timeout="300ms")
    farm.start()
    crew.kill(farm.subworkers()[0], signal.SIGSTOP)
    farm.stop()
    nothing_left(farm)


def test_drain_timeout(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A job that runs past the drain timeout is ended, its attempt is used, and it is there for the next start."""
    farm = make_farm(drain_timeout="300ms")
    job_id = ledger.enqueue("ignore_deadline", (str(effects),))
    farm.start()
    wait_for(effects.exists, "the start of the job")
    farm.stop()
    assert ledger.places()[job_id] == ("returned", 1, 0)
    assert ledger.failures(job_id) == ["stopped"]
    nothing_left(farm)
    ledger.check()


def test_second_signal_hurries(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A second signal does not wait for running jobs; a third does no harm."""
    farm = make_farm(drain_timeout="1h")
    job_id = ledger.enqueue("ignore_deadline", (str(effects),))
    farm.start()
    wait_for(effects.exists, "the start of the job")
    farm.signal(signal.SIGTERM)
    farm.wait_log("draining")
    assert ledger.places()[job_id].place == "leased"
    farm.signal(signal.SIGINT)
    farm.wait_log("hurrying")
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0, farm.log
    assert ledger.places()[job_id] == ("returned", 1, 0)
    nothing_left(farm)
    ledger.check()


def test_burst_leaves_jobs_due_later(farm: RunningFarm, ledger: Ledger) -> None:
    """With --burst the farm leaves when nothing runnable is left, though a job is due later; a retry keeps it."""
    later = ledger.enqueue("who", delay_s=3600)
    failing = ledger.enqueue("fail", ("again",), max_attempts=4)
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    assert ledger.result(failing).attempt == 4
    assert ledger.places()[later].place == "scheduled"
    nothing_left(farm)
    ledger.check()


def test_burst_of_nothing(farm: RunningFarm, ledger: Ledger) -> None:
    """With --burst and an empty database the farm leaves at once."""
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    nothing_left(farm)
    assert ledger.live_hosts() == []


@pytest.mark.parametrize("stage", ["state directory", "writer", "host row"])
def test_signal_during_startup(farm: RunningFarm, ledger: Ledger, stage: str) -> None:
    """A signal that comes while the farm starts ends it in order: it does not run a job, and leaves nothing behind."""
    jobs = ledger.enqueue_all([("who", ())] * 10)
    farm.start(ready=False)
    wait_for(lambda: farm.state is not None and (stage == "state directory" or farm.rings.exists()), "the state directory")
    if stage != "state directory":
        farm.writer()
    if stage == "host row":
        wait_for(ledger.live_hosts, "a host row")
    farm.signal(signal.SIGTERM)
    assert farm.wait() == 0, farm.log
    nothing_left(farm)
    assert ledger.live_hosts() == []
    assert {place.attempt for job_id, place in ledger.places().items() if place.place != "result"} <= {0}
    assert set(ledger.places()) == set(jobs)
    ledger.check()


def test_second_farm_is_refused(farm: RunningFarm, make_farm: MakeFarm, ledger: Ledger) -> None:
    """A second farm on the same state directory ends with one line and exit code 2; the first one does not notice."""
    farm.start()
    second = make_farm()
    second.log_path = second.log_path.with_name("second.log")
    with pytest.raises(AssertionError):
        second.start()
    assert second.exit_code == 2
    assert len(second.log.splitlines()) == 1, second.log
    assert "another farm runs as 'test'" in second.log
    assert f"pid {farm.pid}" in second.log
    job_id = ledger.enqueue("who")
    assert ledger.result(job_id).status == 1
    farm.stop()
    nothing_left(farm)


def test_stray_processes_of_jobs(farm: RunningFarm, ledger: Ledger) -> None:
    """What jobs leave running does not keep the farm from leaving; what stayed in the subworker's group goes with it."""
    farm.start()
    child, stray = (ledger.result(ledger.enqueue(task)).value for task in ("leave_child", "leave_stray"))
    try:
        farm.stop()
        wait_for(lambda: not crew.is_alive(child), "the end of the job's child")
        nothing_left(farm)
    finally:
        crew.kill(stray)
        assert stray != os.getpid()
