"""Jobs that wait behind another one are run by whoever is idle."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_of
from tests.process.running import RunningFarm

QUICK = 4_000
"""Jobs that go before, so that subworkers are handed many at once: what comes next waits in their rings."""
BEHIND = 2_000


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still."""
    crew.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        crew.kill(pid, signal.SIGCONT)


def test_short_jobs_pass_a_long_one(farm: RunningFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """All short jobs that were filed behind a long one end while that one runs, and nothing is started twice."""
    gate = tmp_path / "gate"
    gate.touch()
    ledger.enqueue_marks(QUICK, effects)
    long = ledger.enqueue("mark_until", (str(effects), 0, str(gate)))
    ledger.query(
        "SELECT farm.enqueue('chores:mark', jsonb_build_array(%s::text, n)) FROM generate_series(%s::int, %s) AS n",
        str(effects),
        QUICK + 1,
        QUICK + BEHIND,
    )
    farm.start()
    wait_for(lambda: ledger.settled() == QUICK + BEHIND, f"all but the long one:\n{farm.log}")
    assert ledger.query("SELECT 1 FROM farm.result WHERE job_id = %s", long) == []
    gate.unlink()
    assert ledger.result(long).attempt == 1
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(range(QUICK + BEHIND + 1), 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()


def test_jobs_behind_a_long_one_pass_to_another_lane(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path) -> None:
    """Two lanes of one subworker that serve the same queues: what the one holds behind a long job, the other one runs, each job once."""
    gate = tmp_path / "gate"
    gate.touch()
    ledger.enqueue_marks(QUICK, effects)
    long = ledger.enqueue("mark_until", (str(effects), 0, str(gate)))
    ledger.query(
        "SELECT farm.enqueue('chores:mark', jsonb_build_array(%s::text, n)) FROM generate_series(%s::int, %s) AS n",
        str(effects),
        QUICK + 1,
        QUICK + BEHIND,
    )
    lanes = {"any": {"queues": ["default", "*"], "subworkers": 1}, "other": {"queues": ["rare", "default"], "subworkers": 1}}
    farm = make_farm(lanes=lanes).start()
    wait_for(lambda: ledger.settled() == QUICK + BEHIND, f"all but the long one:\n{farm.log}")
    assert ledger.query("SELECT 1 FROM farm.result WHERE job_id = %s", long) == []
    gate.unlink()
    assert ledger.result(long).attempt == 1
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(range(QUICK + BEHIND + 1), 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()


def test_a_subworker_that_stands_still(farm: RunningFarm, ledger: Ledger, effects: Path) -> None:
    """One that cannot answer keeps no more than the job that it was at: all others are run by its sibling; when it goes on, so does it."""
    ids = ledger.enqueue_marks(QUICK, effects)
    farm.start()
    wait_for(lambda: len(effects_of(effects)) > QUICK // 4, "some starts")
    with stopped(farm.subworkers()[0]):
        wait_for(lambda: ledger.settled() >= QUICK - 1, f"all jobs but one:\n{farm.log}")
    wait_for(lambda: ledger.settled() == QUICK, f"the last one:\n{farm.log}")
    farm.stop()
    assert effects_of(effects) == dict.fromkeys(ids, 1)
    assert {row.attempt for row in ledger.results().values()} == {1}
    ledger.check_all_ended()
