"""`farm tail` shows ends as they are committed, over a restart of the database, until it is interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from farm import connect
from farm.cli.main import main
from farm.cli.tail import _queues_of
from farm.errors import FarmError
from tests.cli.conftest import COMMAND
from tests.process.crew import wait_for
from tests.servers import Server


def test_ends_are_followed_over_a_restart_until_interrupted(server: Server, dsn: str, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen([*COMMAND, "tail", "--json", "--since", "1h", "--dsn", dsn], stdout=to_out, stderr=to_err)

    def cancelled(job_id: int) -> bool:
        return any(json.loads(line)["id"] == job_id for line in out.read_text().splitlines())

    def cancel_one() -> int:
        with connect(dsn) as client:
            job_id = client.enqueue("farm.demo:noop", queue="mail")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SELECT farm.cancel_jobs(%s, %s)", [[job_id], "no \x1b[2J need"])
        return job_id

    try:
        first = cancel_one()
        wait_for(lambda: cancelled(first), "the first end")
        server.restart("immediate")
        second = cancel_one()
        wait_for(lambda: cancelled(second), "an end after the restart")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    ends = [json.loads(line) for line in out.read_text().splitlines()]
    assert [end["id"] for end in ends] == [first, second], "each once"
    assert {(end["state"], end["queue"], end["error_message"]) for end in ends} == {("cancelled", "mail", "no \x1b[2J need")}
    assert "\x1b" not in out.read_text()
    told = err.read_text().splitlines()
    assert [line.split("(")[0].strip() for line in told[:1]] == ["farm: the database is away"]
    assert told[-1].startswith("farm: the database is back after ")


def test_of_a_lane_the_queues_that_it_takes_are_followed() -> None:
    lanes = {"slow": {"queues": ["bulk", "mail"]}, "any": {"queues": ["mail", "*"]}}
    reads: Any = SimpleNamespace(hosts=lambda: [{"state": "live", "lanes": lanes}])
    assert _queues_of(reads, "slow", None) == ["bulk", "mail"]
    assert _queues_of(reads, "slow", ["mail", "other"]) == ["mail"]
    assert _queues_of(reads, "any", ["other"]) == ["other"]
    assert _queues_of(reads, "any", None) is None
    with pytest.raises(FarmError, match=r"^lane slow takes nothing of other: it takes bulk, mail$"):
        _queues_of(reads, "slow", ["other"])
    with pytest.raises(FarmError, match=r"^no host that lives has a lane 'slaw'; did you mean 'slow'\?$"):
        _queues_of(reads, "slaw", None)


def test_a_queue_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["tail", "--queue", "Mail!"])
    assert caught.value.code == 2
    assert "argument --queue: no queue can be called 'Mail!'" in capsys.readouterr().err
