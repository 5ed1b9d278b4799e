"""Jobs that want far more memory than they may have: they fail and are named, and nobody else notices."""

from __future__ import annotations

import re
from pathlib import Path

import bench.hogs
from farm.store.outcomes import SUCCEEDED
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger

JOBS = Path(bench.hogs.__file__).with_name("jobs")


def test_hogs_are_named_and_nobody_else_is_harmed(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Each kind of hog once in a lane with one job at a time, once beside others: all else succeeds at its first attempt."""
    hogs = {
        ledger.enqueue(f"hogs:{name}", args, queue=lane, max_attempts=1): lane
        for lane in ("single", "many")
        for name, args in (("leak", ()), ("at_once", ()), ("in_children", (4, 60)), ("in_shared_map", ()))
    }
    others = ledger.enqueue_all([("hogs:work", (2,))] * 60, queue="single") + ledger.enqueue_all([("hogs:work", (20,))] * 60, queue="many")
    farm = make_farm(
        runners={"python": {"allow": ["hogs:*"], "path": [str(JOBS)]}},
        lanes={
            "single": {"queues": ["single"], "subworkers": 2, "memory": "100MB"},
            "many": {"queues": ["many"], "subworkers": 1, "concurrency": 10, "memory": "100MB"},
        },
    )
    farm.start()
    for job_id, lane in hogs.items():
        assert re.match(r"MemoryError: memory limit of 100 MB reached; peak \d+ MB", ledger.error(job_id)), (lane, job_id)
        assert ledger.failures(job_id) == ["memory"]
    assert {(ledger.result(job_id).status, ledger.result(job_id).attempt) for job_id in others} == {(SUCCEEDED, 1)}
    assert not any(ledger.failures(job_id) for job_id in others)
    peaks = dict(ledger.query("SELECT job_id, peak_bytes FROM farm.result"))
    assert all(peaks[job_id] > 10_000_000 for job_id, lane in hogs.items() if lane == "single")
    # What runs alone in its process and takes over a millisecond is measured, and only that.
    assert all(bool(peaks[job_id]) == (place < 60) for place, job_id in enumerate(others))
    farm.wait_log("a job has left too much in its memory for the next one")
    farm.stop()
    ledger.check_all_ended()


def test_a_host_short_of_memory_claims_nothing(make_farm: MakeFarm, ledger: Ledger) -> None:
    """No lane of a host that never has as much memory left as it is to leave claims a job, and the log says so once."""
    farm = make_farm(host={"name": "test", "memory_floor": "900GB", "overcommit": True})
    farm.start()
    farm.wait_log("the host is short of memory: .* available, and host.memory_floor is 900 GB: nothing is claimed for default$")
    job_id = ledger.enqueue("who")
    (before,) = ledger.query("SELECT beat FROM farm.heartbeat")[0]
    wait_for(lambda: ledger.query("SELECT beat FROM farm.heartbeat")[0][0] > before + 2, "some time")
    farm.stop()
    assert len(farm.log_lines("short of memory")) == 1
    assert not ledger.results().get(job_id)
    ledger.check()
