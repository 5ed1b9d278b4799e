"""What a farm counts of real jobs is what its database says of them, and outlives the subworkers that counted it."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.request import urlopen

from farm.model import OutcomeKind
from farm.shm.generation import GenerationFile
from farm.shm.tallies import Tally
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS, RunningFarm

LANES = {
    "single": {"queues": ["single"], "subworkers": 1},
    "crowd": {"queues": ["crowd"], "subworkers": 1, "concurrency": 10, "memory": "256MB"},
}
RUNNERS = {"python": {"allow": ["chores:*", "crowd:*"], "path": [str(TASKS)]}}
SUCCEEDED, FAILED = OutcomeKind.SUCCEEDED, OutcomeKind.FAILED


def tables(farm: RunningFarm) -> dict[str, Tally]:
    """Return what stands in the files of its subworkers; no two of them run the same task here."""
    found: dict[str, Tally] = {}
    (place,) = farm.rings.iterdir()
    for path in (path for path in place.glob("w*") if path.suffix != ".log"):
        file = GenerationFile.open(path)
        found |= file.tallies.read()
        assert file.tallies.total_ended() == sum(sum(tally.ended.values()) for tally in file.tallies.read().values())
        file.close()
    return found


def jobs_told(url: str) -> dict[tuple[str, str], int]:
    """Return how many jobs came to what, by task and outcome, as the page of metrics has it."""
    with urlopen(url, timeout=30) as answer:
        lines = re.findall(
            r'^farm_jobs_total\{lane="[^"]*",task="([^"]*)",outcome="([^"]*)"\} (\S+)$', answer.read().decode(), re.MULTILINE
        )
    return {(task, outcome): round(float(count)) for task, outcome, count in lines if float(count)}


def test_counted_as_the_database_has_it(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """Short jobs, long ones, failing ones with a second attempt, many at once; then their subworkers are killed."""
    short = ledger.enqueue_all([("chores:give_back", (number,)) for number in range(300)], queue="single")
    long = ledger.enqueue_all([("chores:mark", (str(effects), number, 0.15)) for number in range(3)], queue="single")
    failing = ledger.enqueue_all([("chores:fail", ("so",))] * 2, queue="single", max_attempts=2)
    beside = ledger.enqueue_all([("crowd:mark", (str(effects), number, 0.2)) for number in range(20)], queue="crowd")
    farm = make_farm(lanes=LANES, runners=RUNNERS, metrics={"port": 0}).start()
    url = farm.wait_log(r"metrics are at http://").rpartition(" at ")[2]
    expected = {
        ("chores:give_back", "succeeded"): 300,
        ("chores:mark", "succeeded"): 3,
        ("chores:fail", "failed"): 4,
        ("crowd:mark", "succeeded"): 20,
    }
    wait_for(lambda: jobs_told(url) == expected, "all that has ended")

    found = tables(farm)
    assert {task: dict(tally.ended) for task, tally in found.items()} == {
        "chores:give_back": {SUCCEEDED: 300},
        "chores:mark": {SUCCEEDED: 3},
        "chores:fail": {FAILED: 4},
        "crowd:mark": {SUCCEEDED: 20},
    }
    for task, job_ids in (("chores:give_back", short), ("chores:mark", long), ("crowd:mark", beside)):
        _look_at_times(found[task], ledger, job_ids)
    for job_id in failing:
        ledger.result(job_id)
    assert (found["chores:fail"].run.count, found["chores:fail"].queue.count) == (4, 2), (
        "a second attempt has not waited since it was filed"
    )

    for pid in farm.all_subworkers(2):
        crew.kill(pid, signal.SIGKILL)
    last = ledger.enqueue("chores:give_back", (0,), queue="single")
    ledger.result(last)
    wait_for(lambda: jobs_told(url) == {**expected, ("chores:give_back", "succeeded"): 301}, "those of the dead, and one more")
    farm.stop()


def _look_at_times(tally: Tally, ledger: Ledger, job_ids: list[int]) -> None:
    """Compare with the rows. What the database's clock says is known as well as the last heartbeat found it."""
    (row,) = ledger.query(
        "SELECT extract(epoch FROM sum(r.finished_at - r.started_at))::float8 AS ran_s,"
        " extract(epoch FROM sum(r.started_at - j.created_at))::float8 AS waited_s"
        " FROM farm.result AS r JOIN farm.job AS j ON j.id = r.job_id WHERE r.job_id = ANY (%s)",
        job_ids,
    )
    jobs = len(job_ids)
    assert (tally.run.count, tally.queue.count) == (jobs, jobs)
    # Between two jobs there is next to nothing, and that counts as the time of the one before.
    assert abs(tally.run.sum_s - row.ran_s) < 0.005 + 0.001 * jobs
    assert abs(tally.queue.sum_s - row.waited_s) < 0.3 * jobs
