"""Every configuration that comes with farm runs, and serves every queue that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from farm.config import load
from tests.process.conftest import MakeFarm
from tests.process.ledger import Ledger

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
ELSEWHERE = "a-queue-that-no-example-names"
DECLARED: dict[str, list[dict[str, Any]]] = {"heavy-memory": [{"queue": "reports", "memory": "1GB"}, {"queue": "mail", "memory": "1GB"}]}
"""What is filed beside a job for each queue."""


def one_line(file: Path) -> str | None:
    """Return the lanes that a file's own comment gives it in one line."""
    found = re.search(rf'{file.name} --lanes "(.*?)"', file.read_text())
    return found[1] if found else None


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_it_runs_what_it_is_for(make_farm: MakeFarm, ledger: Ledger, dsn: str, file: Path) -> None:
    lanes = one_line(file)
    config = load(file, lanes=lanes, environ={})
    queues = [*config.queues, *([ELSEWHERE] if config.takes_any_queue else [])]
    wishes = [*({"queue": queue} for queue in queues), *DECLARED.get(file.stem, [])]
    ids = [ledger.enqueue("farm.demo:noop", **wish) for wish in wishes for _ in range(3)]
    farm = make_farm(name=config.host.name)
    farm.config = file
    farm.start("--burst", "--dsn", dsn, *(["--lanes", lanes] if lanes else []))
    assert farm.wait() == 0, farm.log
    assert ledger.query("SELECT count(*) AS n FROM farm.result WHERE status = 1 AND job_id = ANY (%s)", ids)[0].n == len(ids), farm.log
    assert len(farm.log_lines(r"^  all +\d+")) == 1
    assert not farm.log_lines("WARNING|ERROR")
