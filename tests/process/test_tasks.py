"""Functions made tasks by @farm.task, run by a real farm."""

from __future__ import annotations

from importlib import import_module

import pytest

import farm
from tests.process.conftest import MakeFarm
from tests.process.ledger import Ledger
from tests.process.running import TASKS


def test_what_decorated_functions_enqueue_is_run(make_farm: MakeFarm, ledger: Ledger, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subworkers find tasks where they look for functions, and load nothing that only an enqueue needs; memory is respected."""
    monkeypatch.syspath_prepend(str(TASKS))
    decorated = import_module("decorated")
    names = ("farm.tasks", "psycopg", "farm.client", "farm.config", "difflib")
    with farm.connect(dsn) as client:
        wanted = {
            decorated.add.using(client=client).enqueue(40, right=2): 42,
            decorated.add.using(client=client, queue="other").enqueue(1): 2,
            decorated.add_later.using(client=client).enqueue(3, right=4): 7,
            decorated.loaded.using(client=client).enqueue(*names): ["farm.tasks"],
        }
        waits = decorated.large.using(client=client).enqueue()
    running = make_farm(
        runners={"python": {"allow": ["decorated:*"], "path": [str(TASKS)]}},
        lanes={"default": {"queues": ["*"], "subworkers": 1, "memory": "300MB"}},
    )
    running.start("--burst")
    assert running.wait() == 0, running.log
    assert {job_id: ledger.result(job_id).value for job_id in wanted} == wanted
    assert [tuple(row) for row in ledger.query("SELECT id, state FROM farm.jobs WHERE state <> 'succeeded'")] == [(waits, "ready")]
    stored = ledger.query("SELECT max_attempts, timeout_ms, priority FROM farm.job ORDER BY id LIMIT 1")
    assert [tuple(row) for row in stored] == [(1, 20_000, 2)]
