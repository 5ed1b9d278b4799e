"""How a subworker begins, as its lane says, and how it is replaced while its lane goes on."""

from __future__ import annotations

import os
from pathlib import Path

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS

RETIRED = r"\(%s\) has a successor: %s"


def test_a_subworker_is_set_up_as_its_lane_says(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    """Functions, variables, CPUs, niceness. Where a setup fails nothing starts, the reason is told, others go on, until it is mended."""
    cpu = max(os.sched_getaffinity(0))
    (tmp_path / "mended.py").write_text(
        "def open():\n    raise OSError('no till behind postgresql://shop:hush@till/, nor for topsecret')\n"
    )
    farm = make_farm(
        runners={"python": {"allow": ["shop:*"], "path": [str(TASKS), str(tmp_path)]}},
        lanes={
            "one": {
                "queues": ["one"], "subworkers": 1, "memory": "40MB",
                "setup": "shop:open_shop", "env": {"REGION": "eu"}, "cpus": [cpu], "nice": 3,
            },
            "many": {"queues": ["many"], "subworkers": 1, "concurrency": 4, "setup": ["shop:open_loop"]},
            "awaits": {"queues": ["none"], "subworkers": 1, "setup": ["shop:open_loop"]},
            "broken": {"queues": ["broken"], "subworkers": 1, "setup": "mended:open", "env": {"KEY": "topsecret"}},
        },
    )  # fmt: skip
    waiting = ledger.enqueue("shop:nap", (0,), queue="broken", max_attempts=1)
    farm.start()
    line = farm.wait_log("ERROR lane broken has 0 of 1 subworkers: setup mended:open: OSError: no till")
    assert "postgresql://shop:***@till/, nor for *** (mended.py, line 2); it is tried again and again" in line
    assert ledger.places()[waiting].place in ("ready", "returned")
    (tmp_path / "mended.py").write_text("def open():\n    pass\n")
    looked = ledger.result(ledger.enqueue("shop:look_around", queue="one", max_attempts=1)).value
    assert looked == [True, "eu", [cpu], os.nice(0) + 3, 25_000_000], "what a setup has allocated is none of a job's"
    assert ledger.result(ledger.enqueue("shop:look_at_loop", queue="many")).value is True
    farm.wait_log(
        r"lane awaits has 0 of 1 subworkers: setup shop:open_loop: TypeError: it is a coroutine function, and those are awaited only"
    )
    farm.wait_log("WARNING lane broken has all its subworkers again")
    assert ledger.result(waiting).attempt == 1
    assert len(farm.log_lines("lane broken has 0")) == 1, "it is said once"
    farm.stop()
    ledger.check_all_ended()


def test_subworkers_are_replaced_without_a_gap(make_farm: MakeFarm, ledger: Ledger) -> None:
    """After so many jobs, at an age, and when they have grown: no attempt is used, and nobody is missing for it. Memory that was given
    back is no growth."""
    farm = make_farm(
        runners={"python": {"allow": ["shop:*"], "path": [str(TASKS)]}},
        lanes={
            "count": {"queues": ["count"], "subworkers": 2, "memory": "40MB", "recycle": {"max_jobs": 20}},
            "many": {"queues": ["many"], "subworkers": 1, "concurrency": 10, "memory": "40MB", "recycle": {"max_jobs": 20}},
            "age": {"queues": ["age"], "subworkers": 1, "memory": "40MB", "recycle": {"max_age": "1s"}},
            "grow": {"queues": ["grow"], "subworkers": 1, "memory": "400MB", "recycle": {"rss_growth": "120MB"}},
        },
    )
    farm.start()
    farm.all_subworkers(5)
    wait_for(lambda: len(farm.spares()) == 4, "a spare of each lane")
    borrowed = ledger.enqueue_all([("shop:borrow", (150,))] * 2, queue="grow")
    hoarded = ledger.enqueue_all([("shop:hoard", (15,))] * 20, queue="grow")
    counted = ledger.enqueue_all([("shop:nap", (0.01,))] * 200, queue="count")
    beside = ledger.enqueue_all([("shop:doze", (0.05,))] * 200, queue="many")
    aged = ledger.enqueue_all([("shop:nap", (0.02,))] * 80, queue="age")
    batches = {"borrowed": borrowed, "hoarded": hoarded, "count": counted, "many": beside, "age": aged}
    wait_for(lambda: ledger.settled() == sum(map(len, batches.values())), "all results")
    results = ledger.results()
    assert {result.attempt for result in results.values()} == {1}
    pids = {name: {results[job_id].value for job_id in jobs} for name, jobs in batches.items()}
    assert len(pids["borrowed"]) == 1
    assert len(pids["hoarded"]) > 1
    assert len(pids["count"]) > 3
    assert len(pids["many"]) > 1
    assert len(pids["age"]) > 1
    for lane, why in (("count", "after [0-9]+ jobs"), ("many", "after"), ("age", "at the age of"), ("grow", "grown by [0-9]+ MB")):
        assert farm.log_lines(RETIRED % (lane, why)), farm.log
    assert not farm.log_lines("WARNING|ERROR"), farm.log
    farm.stop()
    ledger.check_all_ended()
