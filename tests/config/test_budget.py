"""What all lanes may come to is added up as the crew uses it, and shown against what the host has."""

from __future__ import annotations

import logging
from logging.handlers import BufferingHandler
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from farm.config import Config, load
from farm.config.budget import Budget, LaneBudget, budget_of
from farm.config.machine import Machine
from farm.config.share import SPARE
from farm.supervisor.crew.posts import EXTRA_MAX
from farm.supervisor.host.announcement import announce_lanes
from farm.supervisor.log.logs import JsonFormatter, TextFormatter

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
ISSUE = """\
runners: {python: {}}
host: {memory: 16GB}
lanes:
  fast:    {queues: [webhooks], subworkers: 1, concurrency: 20, memory: 256MB}
  default: {queues: [manual, bulk, "*"], subworkers: auto, memory: 512MB}
  heavy:   {queues: [reports], subworkers: 1, memory: 2GB}
"""


def read(tmp_path: Path, text: str = ISSUE) -> Config:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load(file, environ={}, machine=Machine(cores=8, memory_bytes=64_000_000_000))


def test_the_table_names_every_lane_and_the_host(tmp_path: Path) -> None:
    budget = budget_of(read(tmp_path))
    assert budget.headline == "memory of all lanes: 9.12 GB of 16 GB, 57 %"
    assert budget.rows() == [
        "LANE     SUBWORKERS  SPARE  MEMORY EACH  TOGETHER",
        "fast              1    + 1       256 MB    512 MB",
        "default           8    + 1       512 MB   4.61 GB",
        "heavy             1    + 1         2 GB      4 GB",
        "all              10    + 3                9.12 GB  57 % of 16 GB",
        "not in it: 16 processes before they run anything (5 to 35 MB each, and what your modules need), PostgreSQL",
    ]
    assert "\n  ".join([budget.headline, *budget.rows()]) in DOCUMENT.read_text()
    data = budget.as_data()
    assert orjson.dumps(data)
    assert data["lanes"][0] == {"name": "fast", "subworkers": 1, "spare": 1, "memory_bytes": 256_000_000, "sum_bytes": 512_000_000}
    assert (data["sum_bytes"], data["host_bytes"], data["percent"]) == (9_120_000_000, 16_000_000_000, 57)


def test_as_many_more_are_in_the_sum_as_the_crew_lets_end_at_once() -> None:
    """A spare works as soon as it has taken the place of one that was told to end: until that one is gone, both may hold memory."""
    assert SPARE == EXTRA_MAX


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40))
def test_more_than_there_is_never_reads_as_if_it_fitted(memory_bytes: int, host_bytes: int) -> None:
    budget = Budget(lanes=(LaneBudget(name="a", subworkers=1, memory_bytes=memory_bytes),), host_bytes=host_bytes)
    assert (budget.percent > 100) == (budget.sum_bytes > budget.host_bytes)


def test_overcommitted_and_automatic_figures_may_be_more_than_there_is(tmp_path: Path) -> None:
    text = ISSUE.replace("memory: 16GB", "memory: 4GB, overcommit: true")
    assert not budget_of(read(tmp_path, text)).fits
    assert not budget_of(read(tmp_path, "runners: {python: {}}\nhost: {memory: 100MB}\nlanes: {a: {queues: ['*']}}\n")).fits


def announced(tmp_path: Path, text: str) -> list[logging.LogRecord]:
    """Return what a start logs of the lanes of a configuration."""
    handler = BufferingHandler(capacity=100)
    logger = logging.getLogger("farm")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        announce_lanes(read(tmp_path, text))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return handler.buffer


def test_people_read_a_table_and_programs_one_event(tmp_path: Path) -> None:
    lanes, budget = announced(tmp_path, ISSUE)
    assert lanes.getMessage().startswith(
        "lanes: fast (1 subworker x 20 jobs; queues webhooks), default (8 subworkers; queues manual > bulk > *)"
    )
    assert budget.levelno == logging.INFO
    text = TextFormatter().format(budget)
    assert [line.strip().partition(" ")[0] for line in text.splitlines()[1:]] == ["LANE", "fast", "default", "heavy", "all", "not"]
    event = orjson.loads(JsonFormatter().format(budget))
    assert event["message"] == "memory of all lanes: 9.12 GB of 16 GB, 57 %"
    assert event["memory"]["lanes"][2]["sum_bytes"] == 4_000_000_000


def test_too_much_is_a_warning_and_queues_are_named_where_no_lane_takes_any(tmp_path: Path) -> None:
    text = ISSUE.replace("memory: 16GB", "memory: 4GB, overcommit: true").replace(', "*"', "")
    _, queues, budget = announced(tmp_path, text)
    assert (
        queues.getMessage() == "queues: webhooks, manual, bulk, reports; no lane has '*', so jobs in any other queue wait for another host"
    )
    assert TextFormatter().format(budget).splitlines()[0].endswith("WARNING memory of all lanes: 9.12 GB of 4 GB, 228 %")
