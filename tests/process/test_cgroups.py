"""Control groups for real: where this machine lets us make some, each subworker has one, and what is sudden gets no further."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import yaml

import bench.hogs
from farm import cgroups
from farm.store.outcomes import SUCCEEDED
from tests.leaks import groups_left
from tests.process.conftest import MakeFarm
from tests.process.crew import kill, wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS, RunningFarm

SITE = cgroups.probe()
JOBS = Path(bench.hogs.__file__).with_name("jobs")
pytestmark = pytest.mark.skipif(bool(SITE.why), reason=f"no control groups can be made here: {SITE.why}")

MEMORY_MB = 100
PEAK_MB_MAX = 250
"""A subworker holds some 30 MB before its first job; its group a quarter of its memory more than that and its memory, and 34 MB."""
LIMIT_FILE = "memory.limit_in_bytes" if SITE.version == 1 else "memory.max"


@pytest.fixture
def farm(make_farm: MakeFarm) -> RunningFarm:
    """A farm with two lanes of one subworker each."""
    return make_farm(
        runners={"python": {"allow": ["hogs:*", "chores:*"], "path": [str(JOBS), str(TASKS)]}},
        lanes={
            "single": {"queues": ["single"], "subworkers": 1, "memory": f"{MEMORY_MB}MB"},
            "many": {"queues": ["many"], "subworkers": 1, "concurrency": 10, "memory": f"{MEMORY_MB}MB"},
        },
    )


def state(farm: RunningFarm) -> Path:
    return farm.home / "instances" / farm.name


def limits_mb(farm: RunningFarm) -> list[int]:
    """Return the limits of its groups, in millions of bytes, the small ones first; a spare has none yet."""
    texts = [path.read_text().strip() for home in groups_left(state(farm)) for path in home.glob(f"w*/{LIMIT_FILE}")]
    return sorted(int(text) // 1_000_000 for text in texts if text.isdigit() and int(text) < 1 << 60)


def test_what_is_sudden_gets_no_further_than_its_group(farm: RunningFarm, ledger: Ledger) -> None:
    """Two gigabytes of a shared map, touched as fast as can be, and children that are too much together: named, little over the limit.

    Where several jobs run beside each other, those that do not are not harmed.
    """
    hogs = [
        ledger.enqueue(f"hogs:{name}", args, queue=lane, max_attempts=1)
        for lane in ("single", "many")
        for name, args in (("in_shared_map", ()), ("in_children", (4, 60)))
    ]
    others = ledger.enqueue_all([("hogs:work", (20,))] * 60, queue="many")
    farm.start()
    for job_id in hogs:
        found = re.match(rf"MemoryError: memory limit of {MEMORY_MB} MB reached; peak (\d+) MB", ledger.error(job_id))
        assert found is not None, ledger.error(job_id)
        assert int(found[1]) < PEAK_MB_MAX
        assert ledger.failures(job_id) == ["memory"]
    assert {(ledger.result(job_id).status, ledger.result(job_id).attempt) for job_id in others} == {(SUCCEEDED, 1)}
    assert farm.log_lines("ended by the kernel")
    farm.stop()
    assert not groups_left(state(farm))
    ledger.check_all_ended()


def test_a_file_that_is_left_in_memory_harms_no_later_job(farm: RunningFarm, ledger: Ledger, tmp_path: Path) -> None:
    """It is charged to the group of whoever wrote it, as long as it is there."""
    path = Path("/dev/shm") / f"test-{farm.name}-{tmp_path.name}"
    farm.start()
    try:
        first = ledger.enqueue("hogs:leave_file", (str(path), MEMORY_MB + 20), queue="single")
        assert ledger.result(first).status == SUCCEEDED
        # In a subworker that is looked at once a second.
        ledger.enqueue_all([("hogs:work", (1200,))] * 2, queue="single")
        last = ledger.enqueue("hogs:hold", (MEMORY_MB * 85 // 100,), queue="single")
        assert (ledger.result(last).status, ledger.failures(last)) == (SUCCEEDED, [])
    finally:
        path.unlink(missing_ok=True)
    farm.stop()


def test_a_reload_moves_the_limit_and_a_killed_farm_leaves_no_groups(farm: RunningFarm) -> None:
    """The successors have the new limit. The writer, last to leave, removes all; if it is killed, too, the next start does."""
    farm.start()
    wait_for(lambda: len(limits_mb(farm)) == 2, "both groups to be limited")
    before = limits_mb(farm)
    assert all(MEMORY_MB * 1.25 < limit < PEAK_MB_MAX for limit in before)
    settings = yaml.safe_load(farm.config.read_text())
    settings["lanes"]["single"]["memory"] = "300MB"
    farm.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    farm.signal(signal.SIGHUP)
    wait_for(lambda: len(limits := limits_mb(farm)) == 2 and limits[1] - before[1] in range(240, 260), "the limit to be moved")
    (home,) = groups_left(state(farm))
    farm.kill()
    wait_for(lambda: not home.exists(), "the writer to remove the groups")
    farm.start()
    (home,) = groups_left(state(farm))
    # Stopped, it cannot remove anything.
    writer = farm.writer()
    kill(writer, signal.SIGSTOP)
    farm.kill()
    kill(writer)
    wait_for(farm.crew_gone, "the end of the crew")
    assert home.exists()
    farm.start()
    assert not home.exists()
    farm.stop()
    assert not groups_left(state(farm))
