"""What a farm tells of itself while it works: how far jobs are, how its lanes do, and why a job waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import farm
from farm.cli.main import main
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS

SINGLE = {"queues": ["single"], "subworkers": 1}
CROWD = {"queues": ["crowd", "*"], "subworkers": 1, "concurrency": 20, "memory": "256MB"}
RUNNERS = {"python": {"allow": ["reporting:*", "chores:*"], "path": [str(TASKS)]}}
HEAVY = {"queues": ["heavy"], "subworkers": 1, "memory": "1GB"}


class Shown:
    """What the commands print."""

    def __init__(self, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._dsn = dsn
        self._capsys = capsys

    def __call__(self, *command: object) -> str:
        assert main([*map(str, command), "--dsn", self._dsn]) == 0
        return self._capsys.readouterr().out

    def json(self, *command: object) -> Any:
        return json.loads(self(*command, "--json"))

    def lane(self, name: str) -> Any:
        """Return how a lane of the only host does."""
        (host,) = [host for host in self.json("status")["hosts"] if host["state"] == "live"]
        return host["lanes"][name]["state"]

    def line(self, job_id: int, name: str) -> str:
        """Return one line of `farm job`."""
        return dict(line.split(maxsplit=1) for line in self("job", job_id).split("\n\n")[0].splitlines()).get(name, "")


@pytest.fixture
def shown(dsn: str, capsys: pytest.CaptureFixture[str]) -> Shown:
    return Shown(dsn, capsys)


def test_how_far_jobs_are_and_how_lanes_do(make_farm: MakeFarm, ledger: Ledger, shown: Shown, dsn: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    running = make_farm(lanes={"single": SINGLE, "crowd": CROWD, "heavy": {**HEAVY, "setup": "reporting:fail"}}, runners=RUNNERS).start()
    (single,) = ledger.enqueue_all([("reporting:hold", (str(gone), 0.4, "importing\n\x1b[2J"))], queue="single")
    thread, task = ledger.enqueue_all(
        [("reporting:hold", (str(gone), 0.1, "größe")), ("reporting:hold_async", (str(gone), None, "counting"))], queue="crowd"
    )
    (waiting,) = ledger.enqueue_all([("chores:who", ())], queue="heavy", memory="1GB")

    expected = {single: (0.4, "importing  [2J"), thread: (0.1, "größe"), task: (None, "counting")}
    with farm.connect(dsn) as client:
        wait_for(lambda: {job_id: client.progress(job_id) for job_id in expected} == expected, "what each of the three says")
        assert client.progress(waiting) is None
        assert shown.line(single, "progress") == "40 % importing [2J"
        assert shown.json("job", task)["progress"] == {"fraction": None, "text": "counting"}
        listed = {job["id"]: job["progress"] for job in shown.json("jobs", "--state", "running")}
        assert listed[thread] == {"fraction": 0.1, "text": "größe"}
        assert "10 % größe" in shown("jobs", "--state", "running")

        wait_for(lambda: shown.lane("single").get("busy", 0) > 50, "a lane that is busy")
        busy = wait_for(lambda: shown.lane("crowd").get("busy"), "a lane that is a little busy")
        assert 1 <= busy <= 10, "two of twenty slots"
        assert (shown.lane("single")["serving"], shown.lane("heavy")["serving"]) == (1, 0)
        wait_for(lambda: "no pool" in shown.lane("heavy").get("missing", ""), "why its setup fails")
        assert "lane heavy of host 1 has 0 of 1 subworkers: " in shown.line(waiting, "waits")
        assert shown.line(waiting, "waits") in shown("status")
        assert all(len(line) <= 80 for line in shown("status").splitlines() if not line.startswith(("lane", "nothing")))

        shown("pause", "heavy", "--queue", "mail", "--host", "1")
        wait_for(lambda: "lane heavy of host 1 is paused; " in shown.line(waiting, "waits"), "why a job of a lane that is paused waits")
        wait_for(lambda: "\nhost 1 claims nothing of the queue mail, which is paused there\n" in shown("status"), "a queue that is paused")

        gone.unlink()
        for job_id in expected:
            client.wait(job_id, timeout_s=30)
            assert client.progress(job_id) is None
            assert not shown.line(job_id, "progress")
    running.stop()


def test_a_job_waits_for_a_lane_with_the_memory_that_it_declares(make_farm: MakeFarm, ledger: Ledger, shown: Shown) -> None:
    """While there is none it is said why; with one, that job is run, and one that declares yet more still waits."""
    running = make_farm(lanes={"crowd": CROWD}, runners=RUNNERS).start()
    modest, greedy = (ledger.enqueue_all([("chores:who", ())], queue="heavy", memory=memory)[0] for memory in ("1GB", "2GB"))
    reason = "no lane that serves the queue heavy has the {} of memory that jobs in it declare"
    assert shown.line(modest, "waits") == reason.format("1 GB")
    status = shown("status")
    assert all(reason.format(declared) in status for declared in ("1 GB", "2 GB"))
    running.stop()
    settings = yaml.safe_load(running.config.read_text())
    settings["lanes"]["heavy"] = HEAVY
    running.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    running.start("--burst", ready=False)
    assert running.wait() == 0, running.log
    assert shown.json("job", modest)["state"] == "succeeded"
    assert shown.json("job", greedy)["state"] == "ready"
    assert shown.line(greedy, "waits") == "no host is live"
