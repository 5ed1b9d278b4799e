"""Lanes with many jobs at once in a subworker: each ends exactly once, whatever those beside it do."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest

from farm.model import OutcomeKind
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left, effects_of
from tests.process.running import TASKS, RunningFarm
from tests.process.test_tallies import tables

AT_ONCE = 100


@pytest.fixture
def crowd(make_farm: MakeFarm) -> RunningFarm:
    """A farm with one subworker in which a hundred jobs may run at once, not yet started."""
    return make_crowd(make_farm)


def make_crowd(make_farm: MakeFarm, *, subworkers: int = 1, **options: object) -> RunningFarm:
    lane = {"queues": ["*"], "subworkers": subworkers, "concurrency": AT_ONCE}
    runners = {"python": {"allow": ["crowd:*", "asyncio:sleep", "chores:*"], "path": [str(TASKS)]}}
    return make_farm(lanes={"default": lane}, runners=runners, **options)


def drain(farm: RunningFarm) -> None:
    """Run what there is and nothing more."""
    farm.start("--burst")
    assert farm.wait() == 0, farm.log


def test_a_thousand_jobs(crowd: RunningFarm, ledger: Ledger, effects: Path) -> None:
    """A thousand coroutines and as many plain functions, a hundred at once: each is started and ends once."""
    ids = ledger.enqueue_all([("crowd:mark", (str(effects), number, 0.01)) for number in range(1000)])
    plain = ledger.enqueue_all([("chores:mark", (str(effects), number)) for number in range(1000, 2000)])
    slept = ledger.enqueue("asyncio:sleep", (0.001,))
    drain(crowd)
    results = ledger.results()
    assert [results[job_id].value for job_id in (*ids, *plain)] == list(range(2000))
    assert (results[slept].status, results[slept].value) == (1, None)
    assert effects_of(effects) == dict.fromkeys(range(2000), 1)
    ledger.check_all_ended()


def test_jobs_really_run_beside_each_other(crowd: RunningFarm, ledger: Ledger) -> None:
    """A hundred jobs that wait for each other end, in threads and on the loop; what one sets in its context no other one finds."""
    ids = ledger.enqueue_all([("crowd:meet", (AT_ONCE,))] * AT_ONCE)
    beside = ledger.enqueue_all([("crowd:meet_async", (AT_ONCE, number)) for number in range(AT_ONCE)])
    seats = ledger.enqueue_all([(f"crowd:{task}", (seat,)) for seat in range(1, 100) for task in ("sit", "sit_async")])
    program = ledger.enqueue("crowd:run_program")
    drain(crowd)
    results = ledger.results()
    assert len({results[job_id].value for job_id in ids}) == AT_ONCE
    assert len({results[job_id].value for job_id in beside}) == 1
    assert {results[job_id].value for job_id in seats} == {0}
    assert results[program].value == "hello"
    ledger.check_all_ended()


def test_bad_neighbours(crowd: RunningFarm, ledger: Ledger) -> None:
    """Whatever a job does to itself or to the loop, it has one outcome, and those beside it have theirs."""
    good = ledger.enqueue_all([("asyncio:sleep", (0.05,))] * 40)
    named = ("CancelledError", "SystemExit", "KeyboardInterrupt")
    raised = {
        ledger.enqueue(f"crowd:{task}", (name,), max_attempts=1): name for name in named for task in ("raise_named", "raise_in_thread")
    }
    cancelled = ledger.enqueue("crowd:cancel_itself", max_attempts=1)
    deep = ledger.enqueue("crowd:recurse", max_attempts=1)
    wrong = ledger.enqueue("crowd:mark", {"wrong": 1}, max_attempts=1)
    missing = ledger.enqueue("crowd:missing", max_attempts=1)
    large = ledger.enqueue_all([("crowd:allocate", (3000,)), ("chores:allocate", (3000,))], max_attempts=1)
    unkept = ledger.enqueue("crowd:_seat", max_attempts=1)
    fine = ("shrug", "leave_task", "stop_loop", "fork_on_loop", "fork_in_thread")
    once = {ledger.enqueue(f"crowd:{task}"): task for task in fine}
    late = ledger.enqueue("crowd:later", (7,))
    good += ledger.enqueue_all([("asyncio:sleep", (0.05,))] * 40)
    drain(crowd)
    assert {job_id: ledger.error(job_id).rpartition(".")[2] for job_id in raised} == {
        job_id: f"{name}: so it goes" for job_id, name in raised.items()
    }
    assert ledger.error(cancelled).startswith("asyncio.exceptions.CancelledError")
    assert ledger.error(deep).startswith("RecursionError")
    assert ledger.error(wrong).startswith("runners.python.WrongArguments: mark() got an unexpected keyword")
    assert "has no function 'missing'" in ledger.error(missing)
    assert ledger.error(unkept).startswith("runners.python.TaskNotFound")
    assert all("MB reached; peak " in ledger.error(job_id) for job_id in large)
    assert [ledger.failures(job_id) for job_id in large] == [["memory"], ["memory"]]
    results = ledger.results()
    assert {task: (results[job_id].status, results[job_id].value) for job_id, task in once.items()} == dict.fromkeys(fine, (1, 1))
    assert results[late].value == 7
    assert {(results[job_id].status, results[job_id].attempt) for job_id in good} == {(1, 1)}
    assert all("farm/subworker" not in results[job_id].error["traceback"] for job_id in (*raised, deep, wrong, missing))
    assert "exit" not in crowd.log
    ledger.check_all_ended()


def test_a_job_that_cancels_all_others(crowd: RunningFarm, ledger: Ledger) -> None:
    """Those that it has cancelled have failed, even before their first line, and are tried again."""
    hung = ledger.enqueue_all([("asyncio:sleep", (3600,))] * 20, max_attempts=1)
    guilty = ledger.enqueue("crowd:cancel_all")
    hung += ledger.enqueue_all([("asyncio:sleep", (3600,))] * 20, max_attempts=1)
    crowd.start()
    wait_for(lambda: ledger.results().get(guilty), "the one that cancels")
    more = len(ledger.query("SELECT 1 FROM farm.result WHERE status = 2"))
    while more < len(hung):
        ledger.enqueue("crowd:cancel_all")
        more = wait_for(lambda: len(ledger.query("SELECT 1 FROM farm.result WHERE status = 2")), "the cancelled")
    assert {ledger.error(job_id).partition(":")[0] for job_id in hung} == {"asyncio.exceptions.CancelledError"}
    crowd.stop()
    ledger.check_all_ended()


def test_results_that_do_not_fit(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Results that fill the ring many times over, and some that are spilled and fill that room too, are all kept."""
    farm = make_crowd(make_farm, spill={"max": "34MB"})
    inline = ledger.enqueue_all([("crowd:give_text", (100_000,))] * 100)
    spilled = ledger.enqueue_all([("crowd:give_text", (3_000_000,)), ("chores:give_text", (3_000_000,))] * 8)
    drain(farm)
    lengths = {
        row.job_id: (row.status, row.length)
        for row in ledger.query("SELECT job_id, status, length(value #>> '{}') AS length FROM farm.result")
    }
    assert lengths == dict.fromkeys(inline, (1, 100_000)) | dict.fromkeys(spilled, (1, 3_000_000))
    assert farm.spilled == []
    ledger.check_all_ended()


def test_a_result_that_the_disk_does_not_take(crowd: RunningFarm, ledger: Ledger) -> None:
    """It fails its job, which counts as failed, and those beside it go on."""
    crowd.start()
    assert crowd.state is not None
    directory = crowd.state.spill_path
    away = directory.rename(directory.with_name("away"))
    large = ledger.enqueue("crowd:give_text", (3_000_000,), max_attempts=1)
    small = ledger.enqueue("crowd:give_text", (3,))
    assert ledger.error(large).startswith("ResultNotKept: the result is 3,000,002 bytes long and cannot be kept in ")
    assert ledger.result(small).value == "rrr"
    came_to = {OutcomeKind.FAILED: 1, OutcomeKind.SUCCEEDED: 1}
    wait_for(lambda: tables(crowd)["crowd:give_text"].ended == came_to, "both to be counted")
    away.rename(directory)
    crowd.stop()
    ledger.check_all_ended()


def test_kill_in_mid_flight(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """A killed subworker's started jobs have crashed, those that it had not started use no attempt; all end once."""
    farm = make_crowd(make_farm)
    gate = tmp_path / "gate"
    gate.touch()
    ids = ledger.enqueue_all([("crowd:mark_until", (str(effects), number, str(gate))) for number in range(300)])
    farm.start()
    for starts in (AT_ONCE, 2 * AT_ONCE):
        wait_for(partial(lambda wanted: effects_left(effects) >= wanted, starts), f"{starts} starts\n{farm.log}")
        (victim,) = farm.subworkers()
        crew.kill(victim)
        wait_for(partial(lambda pid: farm.subworkers() and pid not in farm.subworkers(), victim), "a successor")
    wait_for(lambda: effects_left(effects) >= 3 * AT_ONCE, f"three times a hundred starts\n{farm.log}")
    gate.unlink()
    wait_for(lambda: ledger.settled() == len(ids), f"all results\n{farm.log}")
    farm.stop()
    starts_of, results = effects_of(effects), ledger.results()
    assert {results[job_id].attempt - starts_of[number] for number, job_id in enumerate(ids)} == {0}
    assert {row.status for row in results.values()} == {1}
    crashes = {job_id: ledger.failures(job_id) for job_id in ids}
    assert all(kinds == ["crashed"] * (results[job_id].attempt - 1) for job_id, kinds in crashes.items())
    assert sum(map(len, crashes.values())) == 2 * AT_ONCE
    ledger.check_all_ended()


def test_a_timeout_strikes_one(crowd: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Coroutines past their time are cancelled and those beside them go on, unless one does not listen: then all others start anew."""
    gate = tmp_path / "gate"
    gate.touch()
    beside = ledger.enqueue_all([("crowd:mark_until", (str(effects), number, str(gate))) for number in range(20)])
    hung = ledger.enqueue_all([("crowd:hang", (str(effects), 100 + number)) for number in range(20)], timeout_s=0.7, max_attempts=1)
    tidy = ledger.enqueue("crowd:tidy", timeout_s=0.7)
    crowd.start()
    assert all(ledger.error(job_id) == "TimedOut: timeout of 0.7 s reached" for job_id in hung)
    assert "await asyncio.Event().wait()" in ledger.result(hung[0]).error["traceback"]
    assert ledger.result(tidy).value == "tidied"
    assert effects_left(effects) == 40
    (before,) = crowd.subworkers()
    for task in ("shrug_off", "block_all", "sleep_in_thread"):
        stubborn = ledger.enqueue(f"crowd:{task}", timeout_s=0.3, max_attempts=1)
        assert ledger.error(stubborn) == "TimedOut: timeout of 0.3 s reached"
    assert len(crowd.log_lines("while it ran job .* timeout of 0.3 s reached")) == 3
    wait_for(lambda: effects_left(effects) == 100, "the others to have started anew, three times")
    assert before not in crowd.subworkers()
    gate.unlink()
    assert [ledger.result(job_id).attempt for job_id in beside] == [1] * len(beside)
    assert [ledger.failures(job_id) for job_id in beside] == [[]] * len(beside)
    crowd.stop()
    ledger.check_all_ended()


def test_drain(crowd: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Jobs that run when the farm is told to stop may end; those behind them are given back."""
    gate = tmp_path / "gate"
    gate.touch()
    ids = ledger.enqueue_all([("crowd:mark_until", (str(effects), number, str(gate))) for number in range(250)])
    crowd.start()
    wait_for(lambda: effects_left(effects) >= AT_ONCE, f"a hundred starts\n{crowd.log}")
    crowd.signal(signal.SIGTERM)
    crowd.wait_log("draining")
    gate.unlink()
    assert crowd.wait() == 0, crowd.log
    places = ledger.places()
    started = set(effects_of(effects))
    assert {(places[job_id].place, places[job_id].attempt) for number, job_id in enumerate(ids) if number in started} == {("result", 1)}
    assert {places[job_id].attempt for number, job_id in enumerate(ids) if number not in started} == {0}
    assert len(started) == AT_ONCE
    ledger.check()


def test_a_supervisor_dies(crowd: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Orphans end what they run and start nothing more; the next farm does the rest."""
    gate = tmp_path / "gate"
    gate.touch()
    ids = ledger.enqueue_all([("crowd:mark_until", (str(effects), number, str(gate))) for number in range(250)])
    crowd.start()
    wait_for(lambda: effects_left(effects) >= AT_ONCE, f"a hundred starts\n{crowd.log}")
    crowd.kill()
    gate.unlink()
    wait_for(crowd.crew_gone, "the end of the crew")
    assert len(effects_of(effects)) == AT_ONCE
    drain(crowd)
    assert effects_of(effects) == dict.fromkeys(range(250), 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    assert len(ledger.results()) == len(ids)
    ledger.check_all_ended()
