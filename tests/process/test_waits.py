"""Waiting for jobs that a farm runs: from Python, with asyncio, and on the command line."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import farm as api
import farm.waits as waits
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm

PATIENCE_S = 30.0


@pytest.fixture
def client(dsn: str) -> Iterator[api.Client]:
    with api.connect(dsn) as connected:
        yield connected


def enqueue_and_wait(dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farm.cli.main", "enqueue", *arguments, "--dsn", dsn, "--wait-timeout", f"{PATIENCE_S:g}s"]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_results_come_back_to_those_who_wait(farm: RunningFarm, client: api.Client, dsn: str) -> None:
    farm.start()
    assert client.wait(client.enqueue("operator:add", (2, 3)), PATIENCE_S) == 5
    with pytest.raises(api.JobFailed, match="after 2 attempts: ZeroDivisionError: division by zero") as caught:
        client.wait(client.enqueue("operator:truediv", (1, 0), max_attempts=2), PATIENCE_S)
    assert caught.value.type == "ZeroDivisionError"

    async def program() -> None:
        async with api.aconnect(dsn) as aclient:
            job_ids = await aclient.enqueue_many({"task": "operator:neg", "args": [number]} for number in range(50))
            values = await asyncio.gather(*(aclient.wait(job_id, PATIENCE_S) for job_id in job_ids))
            assert values == [-number for number in range(50)]

    asyncio.run(program())
    farm.stop()


def test_a_farm_tells_those_who_wait_and_does_so_after_its_writer_was_killed(
    farm: RunningFarm, client: api.Client, ledger: Ledger, effects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks: the farm has to say it.
    monkeypatch.setattr(waits, "POLL_S_MIN", 3600.0)
    monkeypatch.setattr(waits, "POLL_S", 3600.0)
    hold = tmp_path / "hold"

    def wait_for_one(number: int) -> None:
        """Wait for a job that ends when the farm knows of us: two beats after our row was written, one of them was answered with it."""
        hold.touch()
        job_id = client.enqueue("chores:mark_until", (str(effects), number, str(hold)))
        with ThreadPoolExecutor(1) as waiter:
            value = waiter.submit(client.wait, job_id, PATIENCE_S)
            wait_for(lambda: ledger.query("SELECT 1 FROM farm.waiter WHERE job_id = %s", job_id), "somebody who waits")
            known = beats(ledger) + 2
            wait_for(lambda: beats(ledger) >= known, "two beats")
            hold.unlink()
            assert value.result() == number

    farm.start()
    wait_for_one(1)
    killed = farm.writer()
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: farm.writer() != killed, "another writer")
    wait_for_one(2)
    farm.stop()


def beats(ledger: Ledger) -> int:
    """Return how many beats of the only host have been stored."""
    (row,) = ledger.query("SELECT beat FROM farm.heartbeat WHERE state = 'live'")
    return int(row.beat)


def test_the_command_prints_the_result_or_says_why_there_is_none(farm: RunningFarm, dsn: str) -> None:
    farm.start()
    done = enqueue_and_wait(dsn, "chores:give_back", '{"a": "ü"}')
    assert (done.returncode, done.stdout) == (0, '{"a": "ü", "args": []}\n')
    assert done.stderr.startswith("job ")
    done = enqueue_and_wait(dsn, "operator:truediv", "[1, 0]", "--max-attempts", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith("failed after 1 attempt: ZeroDivisionError: division by zero")
    farm.stop()
