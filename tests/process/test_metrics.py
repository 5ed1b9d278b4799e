"""What a real farm tells monitoring systems, as Prometheus' own tool and our dashboard and alert rules take it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from farm.client import connect
from farm.config.model import Metrics
from farm.doctor.finding import Level
from farm.doctor.metrics import examine_metrics
from farm.metrics.families import FAMILIES, Kind
from farm.model import OutcomeKind
from farm.shm.failures import FailureFile
from tests.metrics.queries import GRAFANA, as_rules, complaints, exposed, find_promtool, queries
from tests.process.crew import wait_for
from tests.process.running import RunningFarm

LANES = {"fast": {"queues": ["fast"], "subworkers": 1}, "slow": {"queues": ["slow"], "subworkers": 1}}


@pytest.fixture
def promtool() -> str:
    return find_promtool()


@pytest.fixture
def farm(farm_home: Path, tmp_path: Path, dsn: str) -> Iterator[RunningFarm]:
    running = RunningFarm(home=farm_home, directory=tmp_path, dsn=dsn, lanes=LANES, metrics={"port": 0})
    yield running
    running.end()


class Monitored:
    """The pages of a running farm."""

    def __init__(self, farm: RunningFarm) -> None:
        self.url = farm.wait_log(r"metrics are at http://").rpartition(" at ")[2].removesuffix("/metrics")

    def page(self, name: str = "metrics") -> tuple[int, str]:
        try:
            with urlopen(f"{self.url}/{name}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def value(self, line: str) -> float:
        """Return the number of a line that begins so, 0 if there is none."""
        return next((float(found.rpartition(" ")[2]) for found in self.page()[1].splitlines() if found.startswith(f"{line} ")), 0.0)


def test_a_farm_tells_all_that_it_has_to_tell_as_prometheus_wants_it(
    farm: RunningFarm, dsn: str, promtool: str, tmp_path: Path, farm_home: Path
) -> None:
    """One farm for many questions. After some jobs every metric that is declared is exposed, in the right format; every query of the
    dashboard and of the alert rules asks for metrics, labels and values that are there."""
    farm.start()
    farm.all_subworkers(2)
    monitored = Monitored(farm)
    assert monitored.page("readyz") == monitored.page("healthz") == (200, "ok\n")
    with connect(dsn) as client:
        client.enqueue_many([{"task": "chores:give_text", "args": [5], "queue": "slow"}] * 50)
        client.enqueue("chores:give_text", [5], queue="nobody")
        failed = client.enqueue("chores:fail", ["no\nway"], queue="slow", max_attempts=1)
        client.enqueue("chores:kill_itself", [signal.SIGTRAP], queue="fast", max_attempts=1)
    for line, number in {
        'farm_writer_outcomes_total{fate="written"}': 52,
        'farm_jobs_total{lane="slow",task="chores:give_text",outcome="succeeded"}': 50,
        'farm_queue_depth{queue="nobody"}': 1,
    }.items():
        wait_for(lambda line=line, number=number: monitored.value(line) == number, f"{line} {number}")  # type: ignore[misc]
    _status, page = monitored.page()
    _look_at_format(page, promtool)
    _look_at_queries(page, promtool, tmp_path)
    _look_at_numbers(monitored)
    _look_at_failures(farm, failed)
    _look_at_a_second_farm(monitored, farm_home, tmp_path, dsn)
    _look_with_a_doctor(monitored, farm_home, farm.name)
    _look_at_drain(farm, monitored, dsn, tmp_path)


def _look_at_format(page: str, promtool: str) -> None:
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    found = exposed(page)
    for family in FAMILIES:
        names = [f"{family.name}{end}" for end in ("_bucket", "_sum", "_count")] if family.kind is Kind.HISTOGRAM else [family.name]
        for name in names:
            assert found.pop(name).keys() == {*family.labels, *(["le"] if name.endswith("_bucket") else [])}, name
    assert not found, "not declared"


def _look_at_queries(page: str, promtool: str, directory: Path) -> None:
    found = exposed(page)
    asked = list(queries())
    assert [complaint for query in asked for complaint in complaints(query, found)] == []
    (directory / "rules.yaml").write_text(as_rules(asked))
    for rules in (directory / "rules.yaml", GRAFANA / "farm-alerts.yaml"):
        checked = subprocess.run([promtool, "check", "rules", str(rules)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def _look_at_numbers(monitored: Monitored) -> None:
    numbers = {
        'farm_jobs_total{lane="slow",task="chores:fail",outcome="failed"}': 1,
        'farm_jobs_total{lane="fast",task="chores:kill_itself",outcome="crashed"}': 1,
        'farm_job_duration_seconds_count{lane="slow",task="chores:give_text"}': 50,
        'farm_job_queue_time_seconds_count{lane="slow",task="chores:give_text"}': 50,
        # Who crashes takes along how long it had waited.
        'farm_job_duration_seconds_count{lane="fast",task="chores:kill_itself"}': 1,
        'farm_job_queue_time_seconds_count{lane="fast",task="chores:kill_itself"}': 0,
        'farm_subworker_restarts_total{lane="fast",reason="crashed"}': 1,
        'farm_lane_claimed_jobs_total{lane="slow"}': 51,
        'farm_lane_capacity{lane="slow"}': 1,
        "farm_database_up": 1,
        "farm_healthy": 1,
    }
    assert {line: monitored.value(line) for line in numbers} == numbers
    page = monitored.page()[1]
    assert all(f"\n{line} " in page for line in numbers), "0 is told, not left out"


def _look_at_failures(farm: RunningFarm, failed: int) -> None:
    """Screens read the last failures where the writer has left them."""
    (place,) = farm.rings.iterdir()
    failures = FailureFile.open(place / "failures")
    rows = failures.read()
    failures.close()
    assert {row.lane: (OutcomeKind(row.kind).name, row.task, row.attempt, row.delay_s) for row in rows} == {
        "slow": ("FAILED", "chores:fail", 1, None),
        "fast": ("CRASHED", "chores:kill_itself", 1, None),
    }
    assert [row.text for row in rows if row.job_id == failed] == ["ValueError: no way"]


def _look_at_a_second_farm(monitored: Monitored, home: Path, directory: Path, dsn: str) -> None:
    """The port is taken now: another farm says so in one line, before it starts anything."""
    port = int(monitored.url.rpartition(":")[2])
    other = RunningFarm(home=home, directory=directory, dsn=dsn, name="other", metrics={"port": port}).start(ready=False)
    assert other.wait() == 2
    assert other.log == f"farm: metrics: cannot listen on 127.0.0.1, port {port}: Address already in use\n"


def _look_with_a_doctor(monitored: Monitored, home: Path, instance: str) -> None:
    port = int(monitored.url.rpartition(":")[2])
    found = examine_metrics(Metrics(host="127.0.0.1", port=port), home, instance)
    assert (found.level, found.text) == (Level.OK, f"127.0.0.1, port {port}: this farm, which runs, listens there")
    assert "another farm, test" in examine_metrics(Metrics(host="127.0.0.1", port=port), home, "other").text


def _look_at_drain(farm: RunningFarm, monitored: Monitored, dsn: str, directory: Path) -> None:
    """While it drains it lives, and is not ready."""
    marks, gone = directory / "marks", directory / "gone"
    gone.touch()
    with connect(dsn) as client:
        client.enqueue("chores:mark_until", [str(marks), 1, str(gone)], queue="fast")
    wait_for(marks.exists, "the job to run")
    farm.signal(signal.SIGTERM)
    wait_for(lambda: monitored.page("readyz") == (503, "the farm is draining\n"), "it to be not ready")
    assert monitored.page("healthz") == (200, "ok\n")
    gone.unlink()
    assert farm.wait() == 0
