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


def test_what_a_working_farm_tells(
    make_farm: MakeFarm, ledger: Ledger, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    runners = {"python": {"allow": ["reporting:*", "chores:*"], "path": [str(TASKS)]}}
    running = make_farm(lanes={"single": SINGLE, "crowd": CROWD, "heavy": {**HEAVY, "setup": "reporting:fail"}}, runners=runners).start()
    shown = Shown(dsn, capsys)

    (single,) = ledger.enqueue_all([("reporting:hold", (str(gone), 0.4, "importing\n\x1b[2J"))], queue="single")
    thread, task = ledger.enqueue_all(
        [("reporting:hold", (str(gone), 0.1, "größe")), ("reporting:hold_async", (str(gone), None, "counting"))], queue="crowd"
    )
    (modest, greedy) = (ledger.enqueue_all([("chores:who", ())], queue="heavy", memory=memory)[0] for memory in ("1GB", "2GB"))

    expected = {single: (0.4, "importing  [2J"), thread: (0.1, "größe"), task: (None, "counting")}
    with farm.connect(dsn) as client:
        wait_for(lambda: {job_id: client.progress(job_id) for job_id in expected} == expected, "what each of the three says")
        assert client.progress(modest) is None
        assert shown.line(single, "progress") == "40 % importing [2J"
        assert shown.json("job", task)["progress"] == {"fraction": None, "text": "counting"}
        listed = {job["id"]: job["progress"] for job in shown.json("jobs", "--state", "running")}
        assert listed[thread] == {"fraction": 0.1, "text": "größe"}
        assert "10 % größe" in shown("jobs", "--state", "running")

        # Lanes.
        wait_for(lambda: shown.lane("single").get("busy", 0) > 50, "a lane that is busy")
        busy = wait_for(lambda: shown.lane("crowd").get("busy"), "a lane that is a little busy")
        assert 1 <= busy <= 10, "two of twenty slots"
        assert shown.lane("single")["serving"] == 1
        assert shown.lane("heavy")["serving"] == 0
        wait_for(lambda: "no pool" in shown.lane("heavy").get("missing", ""), "why its setup fails")
        assert "heavy of host 1 has 0 of 1 subworkers: " in shown("status")
        assert all(len(line) <= 80 for line in shown("status").splitlines() if not line.startswith(("lane", "no lane", "nothing")))

        # Jobs that no lane can have now.
        assert "lane heavy of host 1 has 0 of 1 subworkers: " in shown.line(modest, "waits")
        assert shown.line(greedy, "waits") == "no lane that serves the queue heavy has the 2 GB of memory that jobs in it declare"
        assert shown.line(greedy, "waits") in shown("status")
        assert not shown.line(single, "waits")

        gone.unlink()
        for job_id in expected:
            client.wait(job_id, timeout_s=30)
            assert client.progress(job_id) is None
            assert not shown.line(job_id, "progress")
    running.stop()

    # Without that lane nobody has the memory; with it again, and a setup that works, one job of the two is run.
    settings = yaml.safe_load(running.config.read_text())
    del settings["lanes"]["heavy"]
    running.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    running.start()
    reason = "no lane that serves the queue heavy has the 1 GB of memory that jobs in it declare"
    wait_for(lambda: shown.line(modest, "waits") == reason, "a lane too few")
    running.stop()
    settings["lanes"]["heavy"] = HEAVY
    running.config.write_text(yaml.safe_dump(settings, sort_keys=False))
    running.start()
    wait_for(lambda: shown.json("job", modest)["state"] == "succeeded", "the job that a lane has the memory for")
    assert shown.json("job", greedy)["state"] == "ready"
    running.stop()
