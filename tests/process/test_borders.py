"""Deaths at the borders: what had started, what had not, and what was finished but not yet committed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.locks import leases_locked
from tests.process.running import RunningFarm


def leased(ledger: Ledger) -> int:
    return sum(place.place == "leased" for place in ledger.places().values())


def test_supervisor_killed_with_jobs_buffered(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Jobs that were claimed and handed out but not started come back with their attempts as they were, and run once."""
    farm = make_farm(subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    first = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), max_attempts=1)
    ids = ledger.enqueue_marks(300, effects)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1 and leased(ledger) >= 2, "a running job and others behind it")
    farm.kill()
    claimed = {job_id for job_id, place in ledger.places().items() if place.place == "leased"} - {first}
    hold.unlink()
    farm.start()
    assert all(ledger.result(job_id).attempt == 1 for job_id in ids.values())
    assert farm.log_lines(f"took over {len(claimed)} jobs of an earlier run, 0 of them had started"), farm.log
    assert (ledger.result(first).status, ledger.result(first).attempt) == (1, 1)
    farm.stop()
    assert effects_of(effects) == dict.fromkeys([0, *ids], 1)
    ledger.check_all_ended()


def test_orphan_ends_its_job(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Without a supervisor a subworker ends the job that it runs, the writer commits it and both leave: nothing is run again."""
    farm = make_farm(subworkers=2)
    hold = tmp_path / "hold"
    hold.touch()
    ids = ledger.enqueue_all([("mark_until", (str(effects), number, str(hold))) for number in range(6)])
    farm.start()
    wait_for(lambda: effects_left(effects) == 2, "two running jobs")
    farm.kill()
    wait_for(lambda: not crew.zygotes(farm.crew_lock), "the zygote's end")
    assert len(farm.subworkers()) == 2
    hold.unlink()
    wait_for(farm.crew_gone, "the end of the crew")
    assert {row.value for row in ledger.results().values()} == set(effects_of(effects))
    assert ledger.settled() == 2
    assert leased(ledger) > 0
    ledger.check()
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert effects_of(effects) == dict.fromkeys(range(6), 1)
    assert all(ledger.result(job_id).attempt == 1 for job_id in ids)
    ledger.check_all_ended()


def test_orphan_is_waited_for(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """A successor that starts while an orphan still runs its job lets it end within the grace, and does not run it again."""
    farm = make_farm(subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    ledger.enqueue("mark_until", (str(effects), 1, str(hold)), max_attempts=2)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    farm.kill()
    farm.start("--burst", ready=False)
    farm.wait_log("a crew whose supervisor died is still there")
    hold.unlink()
    assert farm.wait() == 0, farm.log
    assert effects_of(effects) == {1: 1}
    assert [row.attempt for row in ledger.results().values()] == [1]
    ledger.check_all_ended()


def test_orphan_is_killed_after_the_grace(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """An orphan that runs on after the grace is killed; its job is known to have started, so its attempt is used."""
    farm = make_farm(subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    often = ledger.enqueue("mark_until", (str(effects), 1, str(hold)), max_attempts=3)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    (orphan,) = farm.subworkers()
    farm.kill()
    farm.start()
    assert not crew.is_alive(orphan)
    assert farm.log_lines("took over 1 job of an earlier run, 1 of them had started"), farm.log
    wait_for(lambda: effects_left(effects) == 2, "the second start of the job")
    hold.unlink()
    assert (ledger.result(often).status, ledger.result(often).attempt) == (1, 2)
    assert ledger.failures(often) == ["lost"]
    farm.stop()
    ledger.check_all_ended()


def test_last_attempt_lost(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """A job with one attempt that is lost while it runs has failed, and does not run again."""
    farm = make_farm(subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    once = ledger.enqueue("mark_until", (str(effects), 1, str(hold)), max_attempts=1)
    farm.start()
    wait_for(lambda: effects_left(effects) == 1, "the start of the job")
    farm.kill()
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    assert ledger.error(once) == "HostLost: its farm was killed while it ran"
    assert ledger.result(once).attempt == 1
    assert effects_of(effects) == {1: 1}
    ledger.check_all_ended()


def test_orphaned_job_over_its_time(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """Without a supervisor the writer ends jobs at their own deadline, then the crew leaves."""
    farm = make_farm(subworkers=1, drain_timeout="1h")
    ledger.enqueue("ignore_deadline", (str(effects),), timeout_s=1.0)
    farm.start()
    wait_for(effects.exists, "the start of the job")
    farm.kill()
    wait_for(farm.crew_gone, "the end of the crew")
    farm.start()
    assert farm.log_lines("took over 1 job of an earlier run, 1 of them had started"), farm.log
    farm.stop()


@pytest.mark.parametrize("victim", ["writer", "supervisor", "both"])
def test_killed_with_outcomes_not_committed(
    farm: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path, dsn: str, victim: str
) -> None:
    """Outcomes that were published and not committed are committed by the next writer: no job is done again."""
    ids = ledger.enqueue_marks(100, effects)
    large = ledger.enqueue_all([("give_text", (2_000_000,))] * 3)
    farm.start(ready=False)
    with leases_locked(dsn):
        wait_for(lambda: effects_left(effects) > 20, "jobs that have run while no commit can end")
        wait_for(lambda: any(".w" in name for name in farm.spilled), "a spilled result")
        done = effects_left(effects)
        assert ledger.settled() < done
        if victim != "supervisor":
            crew.kill(farm.writer())
        if victim != "writer":
            farm.kill()
    if victim != "writer":
        farm.start(ready=False)
    farm.wait_log("ready$")
    wait_for(lambda: ledger.settled() == len(ids) + len(large), f"all results\n{farm.log}")
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(ids, 1)
    assert all((row.status, row.attempt) == (1, 1) for row in ledger.results().values())
    assert farm.spilled == []
    ledger.check_all_ended()


def test_more_arguments_than_may_be_spilled(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A batch whose arguments take more room than there is runs piece by piece, and its results find room."""
    farm = make_farm(subworkers=8, spill={"max": "34MB"})
    given = ledger.enqueue_all([("give_back", ("a" * 1_000_000,))] * 60)
    farm.start()
    for job_id in given:
        assert ledger.result(job_id).status == 1
    farm.stop()
    assert farm.spilled == []
    ledger.check_all_ended()


def test_take_over_of_large_frames(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, dsn: str) -> None:
    """Spilled arguments and results of a crew that was killed are committed or given back, and their files are gone."""
    farm = make_farm(subworkers=1)
    made = ledger.enqueue_all([("give_text", (2_000_000,))] * 2)
    hold = tmp_path / "hold"
    hold.touch()
    ledger.enqueue("mark_until", (str(effects), 1, str(hold)))
    given = ledger.enqueue_all([("length_of", ("a" * 700_000,))] * 5)
    farm.start(ready=False)
    with leases_locked(dsn):
        wait_for(lambda: effects_left(effects) and any(".supervisor-" in name for name in farm.spilled), "jobs with large arguments")
        assert any(".w" in name for name in farm.spilled)
        farm.kill()
        crew.end_all(farm.crew_lock)
        left = farm.spilled
    hold.unlink()
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    assert farm.spilled == [], left
    assert all(len(ledger.result(job_id).value) == 2_000_000 and ledger.result(job_id).attempt == 1 for job_id in made)
    assert all((ledger.result(job_id).value, ledger.result(job_id).attempt) == (700_000, 1) for job_id in given)
    ledger.check_all_ended()


def test_stopped_past_its_lease(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """A host that stops for longer than its lease loses its jobs to another one; awake again, it begins as a new host."""
    one = make_farm(name="one", subworkers=1)
    other = make_farm(name="other", subworkers=1)
    hold = tmp_path / "hold"
    hold.touch()
    first = ledger.enqueue("mark_until", (str(effects), 0, str(hold)), max_attempts=5)
    ids = ledger.enqueue_marks(50, effects, seconds=0.001)
    one.start()
    wait_for(lambda: effects_left(effects) == 1 and leased(ledger) >= 2, "a running job and others behind it")
    (old_host,) = ledger.live_hosts()
    wait_for(lambda: ledger.query("SELECT 1 AS x FROM farm.heartbeat WHERE running = ARRAY[%s]::bigint[]", first), "a beat that lists it")
    one.signal(signal.SIGSTOP)
    other.start()
    other.wait_log(f"host {old_host} has not beaten for a lease time")
    wait_for(lambda: effects_of(effects)[0] == 2, "the second start of the first job")
    one.signal(signal.SIGCONT)
    one.wait_log("begins again as host")
    hold.unlink()
    assert ledger.result(first).attempt == 2
    assert ledger.failures(first) == ["lost"]
    again = ledger.enqueue_marks(400, tmp_path / "again", seconds=0.005)
    wait_for(lambda: ledger.settled() == 1 + len(ids) + len(again), f"all results\n{one.log}\n{other.log}")
    hosts = {row.host for row in ledger.query("SELECT DISTINCT lease_id >> 32 AS host FROM farm.result")}
    assert len(hosts - {old_host}) == 2, "the one that was stopped works again, as another host"
    one.stop()
    other.stop()
    assert effects_of(effects) == {**dict.fromkeys(ids, 1), 0: 2}
    assert effects_of(tmp_path / "again") == dict.fromkeys(again, 1)
    ledger.check_all_ended()
