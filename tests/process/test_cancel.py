"""Jobs that are cancelled, or expire, wherever a farm has them; and lanes that keep no results."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import farm as api
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_of
from tests.process.running import TASKS, RunningFarm

PATIENCE_S = 30.0
QUICK, BEHIND = 2_000, 600
"""Jobs that go before, so that a subworker is handed many at once; and those that then wait behind a long one."""
RUNNING, UNSTARTED, KEPT = 1, 2, 3


@pytest.fixture
def lanes(make_farm: MakeFarm) -> RunningFarm:
    """A farm with one subworker that runs one job after the other, and one that runs many at once and keeps no results; not yet started."""
    return make_farm(
        lanes={
            "sole": {"queues": ["default"], "subworkers": 1},
            "crowd": {"queues": ["crowd"], "subworkers": 1, "concurrency": 20, "keep_result": False},
        },
        runners={"python": {"allow": ["crowd:*", "chores:*"], "path": [str(TASKS)]}},
    )


def test_cancelled_wherever_they_are(lanes: RunningFarm, ledger: Ledger, dsn: str, effects: Path, tmp_path: Path) -> None:
    """In a ring, held, or not yet claimed: final, and no attempt is used. Running: ended. Whoever was beside it runs on, or again."""
    gate = tmp_path / "gate"
    gate.touch()
    ledger.enqueue_marks(QUICK, effects)
    long = ledger.enqueue("mark_until", (str(effects), 0, str(gate)))
    behind = ledger.enqueue_all([("mark", (str(effects), QUICK + number)) for number in range(1, BEHIND + 1)])
    crowd: list[tuple[str, object]] = [("crowd:mark_until", (str(effects), 10_000 + number, str(gate))) for number in range(4)]
    crowd += [("chores:mark_until", (str(effects), 10_004, str(gate)))]
    awaited, *beside, blocking = ledger.enqueue_all(crowd, queue="crowd")
    lanes.start()
    wait_for(lambda: {0, *range(10_000, 10_005)} <= set(effects_of(effects)), f"the start of the long ones:\n{lanes.log}")
    with api.connect(dsn) as client:
        kept, doomed = behind[::3], [job_id for job_id in behind if job_id % 3 != behind[0] % 3]
        asked = ledger.query("SELECT * FROM farm.cancel_jobs(%s, 'not needed')", doomed)[0]
        assert (asked.cancelled + asked.asked, asked.ended, asked.unknown) == (len(doomed), 0, 0)
        assert asked.asked, "some were in the lane's hands, or in a ring"
        wait_for(lambda: ledger.settled() == QUICK + len(doomed), f"the end of what had not started:\n{lanes.log}")
        assert client.cancel(awaited) == client.cancel(long, reason="enough") == "asked"
        with pytest.raises(api.JobCancelled, match="enough"):
            client.wait(long, PATIENCE_S)
        assert ledger.result(awaited).status == 3
        assert {ledger.result(job_id).status for job_id in kept} == {1}
        # A thread cannot be ended alone: its neighbours are sent back, and run again.
        assert client.cancel(blocking, reason="enough") == "asked"
        assert ledger.result(blocking).status == 3
        gate.unlink()
        assert [client.wait(job_id, PATIENCE_S) for job_id in beside] == [None] * 3, "this lane keeps no results"
        assert client.cancel(beside[0]) == client.cancel(long) == "ended"
    wait_for(lambda: not ledger.query("SELECT 1 FROM farm.cancel_request"), "requests that are settled to go")
    lanes.stop()
    results = ledger.results()
    assert {(results[job_id].status, results[job_id].attempt, results[job_id].started_at) for job_id in doomed} == {(3, 0, None)}
    assert {results[job_id].error["message"] for job_id in doomed} == {"not needed"}
    assert {(results[job_id].attempt, results[job_id].error["type"]) for job_id in (long, awaited, blocking)} == {(1, "Cancelled")}
    assert [ledger.failures(job_id) for job_id in (long, awaited, blocking, doomed[0])] == [["cancelled"]] * 3 + [[]]
    assert {results[job_id].attempt for job_id in (*kept, *beside)} == {1}, "what was beside a cancelled one has used nothing by that"
    assert {results[job_id].value for job_id in beside} == {None}
    left = effects_of(effects)
    assert not {QUICK + 1 + behind.index(job_id) for job_id in doomed} & set(left), "none of them was started"
    assert all(left[QUICK + 1 + behind.index(job_id)] == 1 for job_id in kept)
    ledger.check_all_ended()


def test_expired_while_the_lane_is_busy_and_cancelled_while_its_host_is_away(
    lanes: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path
) -> None:
    """What has not started in time never starts, wherever it waits; what has, runs on. A request waits for a host that does not listen."""
    gate = tmp_path / "gate"
    gate.touch()
    lanes.start()
    running = ledger.enqueue("mark_until", (str(effects), RUNNING, str(gate)), expires_s=3600)
    wait_for(lambda: effects_of(effects)[RUNNING], "a start")
    ledger.query("UPDATE farm.expiry SET expires_at = now()")
    held = ledger.enqueue_all([("mark", (str(effects), UNSTARTED))] * 5, expires_s=0.3)
    for job_id in held:
        result = ledger.result(job_id)
        assert (result.status, result.attempt, result.error["type"], result.error["message"]) == (3, 0, "Expired", "expired")
    crew.kill(lanes.pid, signal.SIGSTOP)
    (waiting,) = ledger.enqueue_all([("mark", (str(effects), KEPT))])
    ledger.query("SELECT farm.cancel_jobs(%s, 'while it was away')", [running])
    crew.kill(lanes.pid, signal.SIGCONT)
    assert ledger.result(running).error["message"] == "while it was away"
    assert ledger.result(waiting).status == 1
    wait_for(lambda: not ledger.query("SELECT 1 FROM farm.cancel_request"), "requests that are settled to go")
    assert not ledger.query("SELECT 1 FROM farm.expiry")
    lanes.stop()
    assert effects_of(effects) == {RUNNING: 1, KEPT: 1}
    ledger.check_all_ended()
