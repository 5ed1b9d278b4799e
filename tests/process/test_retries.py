"""Jobs that fail, and jobs that wish for something: what they come to in a farm, one at a time and many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import farm as farm_package
from farm.cli.main import main
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS

LANES = {
    "one": {"queues": ["one"], "subworkers": 1},
    "many": {"queues": ["many"], "subworkers": 1, "concurrency": 8},
}
ENDS = {"retry": (1, 2, 2), "snooze": (1, 1, 2), "cancel": (3, 1, None)}
"""Wishes that lead to an end: status, attempts, value."""
WAITS = {
    "retry later": (1, 3000),
    "retry whenever": (1, 36000),
    "snooze for long": (0, 3000),
    "snooze wrongly": (1, 36000),
    "snooze vaguely": (1, 36000),
}
"""Wishes after which the job waits: attempts, seconds."""
STORM = 1500


def test_wishes_and_failures(make_farm: MakeFarm, ledger: Ledger, effects: Path, tmp_path: Path, dsn: str, capsys: Any) -> None:
    """Retry, Snooze and Cancel from functions, coroutines and threads; errors that no attempt mends; a storm of failures."""
    (tmp_path / "no_python.py").write_text("def f(:\n")
    farm = make_farm(
        lanes=LANES,
        runners={"python": {"allow": ["*:*"], "path": [str(TASKS), str(tmp_path)]}},
        tasks={"chores:fail": {"retry": "1h to 2h"}, "operator:truediv": {"final_errors": ["ZeroDivisionError"]}, "*": {"retry": "10h"}},
    ).start()
    jobs: dict[int, str] = {}
    hopeless = []
    for queue in LANES:
        for task in ("wishful:wish", "wishful:wish_async"):
            for name in (*ENDS, *WAITS):
                jobs[ledger.enqueue(task, (str(effects), len(jobs), name), queue=queue)] = name
        for task, args in (
            ("wishful:wish", (1, 2, 3, 4)),
            ("wishful:wish_async", {"x": 1}),
            ("wishful:none", ()),
            ("no_such:f", ()),
            ("no_python:f", ()),
            ("chores:give", ("set",)),
            ("operator:truediv", (1, 0)),
        ):
            hopeless.append(ledger.enqueue(task, args, queue=queue))
    storm = ledger.enqueue_all([("fail", ("again",))] * STORM, queue="one")
    for job_id, name in jobs.items():
        if name in ENDS:
            row = ledger.result(job_id)
            assert (row.status, row.attempt, row.value) == ENDS[name], (name, row)
    due = wait_for(lambda: rows if len(rows := _scheduled(ledger)) == STORM + 4 * len(WAITS) else {}, "all that waits")
    for job_id, name in jobs.items():
        if name in WAITS:
            attempts, seconds = WAITS[name]
            assert due[job_id].attempt == attempts
            assert seconds - 200 < due[job_id].seconds <= seconds
    for job_id in hopeless:
        row = ledger.result(job_id)
        assert (row.status, row.attempt) == (2, 1), row
        assert row.error["not_retried"].startswith("another attempt would not mend a "), row
        assert ledger.failures(job_id) == ["failed"]
    assert [ledger.result(job_id).error["type"].rpartition(".")[2] for job_id in hopeless[:7]] == [
        "WrongArguments", "WrongArguments", "TaskNotFound", "TaskNotFound", "SyntaxError", "ResultError", "ZeroDivisionError"
    ]  # fmt: skip
    # FAULTS 57: what failed together comes back spread over the hour, and the lane has long gone on.
    quarters = [sum(low <= due[job_id].seconds < low + 900 for job_id in storm) for low in (-100, 900, 1800, 2700)]
    assert all(STORM / 6 < quarter < STORM / 3 for quarter in quarters), quarters
    last = ledger.enqueue("who", queue="one")
    assert ledger.result(last).attempt == 1
    _look_at_words(ledger, jobs, dsn, capsys)
    farm.stop()
    ledger.check()


def _scheduled(ledger: Ledger) -> dict[int, Any]:
    rows = ledger.query("SELECT job_id, attempt, extract(epoch FROM run_at - now())::float8 AS seconds FROM farm.scheduled")
    return {row.job_id: row for row in rows}


def _look_at_words(ledger: Ledger, jobs: dict[int, str], dsn: str, capsys: Any) -> None:
    """Look at what people are told of these jobs."""
    first = {name: job_id for job_id, name in reversed(jobs.items())}

    def told(name: str) -> str:
        assert main(["job", str(first[name]), "--dsn", dsn]) == 0
        return str(capsys.readouterr().out)

    assert "Retry: not yet" in told("retry")
    assert "\nattempt 1 failed (started 20" in told("retry")
    assert "\nattempt 2 succeeded (started 20" in told("retry")
    assert told("retry later").count("\ndue  ") == told("snooze for long").count("\ndue  ") == 1
    assert "\nattempt" not in told("snooze for long").partition("\n\n")[2]
    assert "ValueError: after_s: expected 0 to 316224000 seconds (ten years), got -1" in told("snooze wrongly")
    assert "\nattempt 1 cancelled (started 20" in told("cancel")
    with farm_package.connect(dsn) as client, pytest.raises(farm_package.JobCancelled, match=r"the \\ud800 customer has gone"):
        client.wait(first["cancel"], 30)
    assert ledger.failures(first["cancel"]) == ["cancelled"]
