"""What jobs print: kept with the attempt that printed it and with no other, whatever ends it, and shown by the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from farm.cli.main import main
from farm.screen.deeds import Deeds
from farm.store.session import Session
from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS

RUNNERS = {"python": {"allow": ["talking:*"], "path": [str(TASKS)]}}
LANES: dict[str, Any] = {
    "one": {"queues": ["default"], "subworkers": 1, "timeout": "1s"},
    "held": {"queues": ["held"], "subworkers": 1},
    "many": {"queues": ["many"], "subworkers": 1, "concurrency": 8, "memory": "256MB"},
    "failures": {"queues": ["failures"], "subworkers": 1, "logs": "failures", "log_limit": "1KiB"},
    "quiet": {"queues": ["quiet"], "subworkers": 1, "logs": False},
}


class Logs:
    """The logs as they are stored."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, job_id: int) -> list[str | None]:
        """Wait for a job's end; returns the logs of its attempts, that of a success last."""
        end = self._ledger.result(job_id)
        rows = self._ledger.query("SELECT log FROM farm.failure WHERE job_id = %s ORDER BY attempt", job_id)
        assert end.status == 1 or end.log is None, "it stands with the failure"
        return [row.log for row in rows] + ([end.log] if end.status == 1 else [])


@pytest.fixture
def logs(ledger: Ledger) -> Logs:
    return Logs(ledger)


def test_logs_of_every_kind_of_job(  # noqa: PLR0915 - one farm for all of it
    make_farm: MakeFarm, ledger: Ledger, logs: Logs, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    farm = make_farm(lanes=LANES, runners=RUNNERS)

    def enqueue(task: str, *args: object, queue: str = "default", **options: object) -> int:
        return ledger.enqueue(f"talking:{task}", args, queue=queue, **options)

    gone = tmp_path / "gone"
    gone.touch()
    held = enqueue("hold", str(gone), "\x1b[31mstep\x07", queue="held")
    everything, silent, past, large = enqueue("everything"), enqueue("silent"), enqueue("past_python"), enqueue("much", 20_000, 900_000)
    taken, after = enqueue("take_away"), enqueue("number", 7)
    failed = enqueue("fail", "twice", max_attempts=2)
    crashed, hung = enqueue("crash", "last words", max_attempts=2), enqueue("hang", "still here", max_attempts=1)
    kinds = ["number", "interleaved"]
    beside = {number: enqueue(kinds[number % 2], number, queue="many") for number in range(24)}
    dropped, kept = enqueue("number", 1, queue="failures"), enqueue("fail", "é" * 1000, queue="failures", max_attempts=1)
    uncaptured = enqueue("number", 99, queue="quiet")
    farm.start()

    (whole,) = logs.of(everything)
    assert whole is not None
    first, second, logged, *rest = whole.splitlines()
    assert (first, second, rest) == ("printed", "to stderr", ["bytes \ufffd\ufffd", "by a thread", "without an end"])
    assert logged.endswith(" INFO talking: logged 1")
    assert logs.of(silent) == [None]
    assert logs.of(past) == ["by the job\n"]
    farm.wait_log(r"w0 \(one\) \| by a program")
    farm.wait_log(r"w0 \(one\) \| by a fork")
    (much,) = logs.of(large)
    assert much is not None
    assert len(ledger.result(large).value) == 900_000
    beginning, marker = much[: 64 << 10], much[64 << 10 :].strip()
    assert beginning.startswith("line 000000\nline 000001\n")
    assert marker == f"[... {20_000 * 12 - (64 << 10):,} bytes left out here]"
    assert logs.of(taken) == [None]
    assert logs.of(after) == ["number 7\n" * 20]
    assert logs.of(failed) == ["twice\n"] * 2
    for crash in logs.of(crashed):
        assert crash is not None
        assert crash.startswith("last words\nFatal Python error: Segmentation fault\n")
        assert "talking.py" in crash
    assert len(farm.log_lines("Fatal Python error: Segmentation fault")) == 2
    assert logs.of(hung) == ["still here\n"]
    assert ledger.failures(hung) == ["timed_out"]
    for number, job_id in beside.items():
        assert logs.of(job_id) == [f"number {number}\n" * (20 + 4 * (number % 2))]
    assert logs.of(dropped) == [None]
    (cut,) = logs.of(kept)
    assert cut == "é" * 512 + "\n[... 977 bytes left out here]\n"
    assert logs.of(uncaptured) == [None]
    farm.wait_log(r"w[0-9]+ \(quiet\) \| number 99")
    assert not farm.log_lines(r"\| (number [0-9]$|printed|twice|still here|line 0)")

    # Shown by a process of its own, which finds the tail and prints it as it comes.
    with subprocess.Popen(
        [sys.executable, "-m", "farm.cli.main", "logs", str(held), "--follow", "--dsn", dsn],
        stdout=subprocess.PIPE,
        env={"FARM_HOME": str(farm.home), "PATH": "/usr/bin:/bin"},
        text=True,
    ) as follower:
        assert follower.stdout is not None
        for line in range(30):
            assert follower.stdout.readline() == f"step {line}\n"
        # The page of a job that the screen shows has it as well.
        deeds = Deeds(lambda: closing(Session(dsn, application_name="tests")))
        assert deeds.job(held)["logs"].startswith("\x1b[31mstep\x07 0\n")
        assert deeds.job(failed)["logs"] == "twice\n"
        deeds.close()
        gone.unlink()
        *_, last = follower.stdout.readlines()
        assert last == "the end\n"
    assert follower.returncode == 0

    def shown(*command: object) -> str:
        assert main([*map(str, command), "--dsn", dsn]) == 0
        return capsys.readouterr().out

    assert shown("logs", failed, "--attempt", 1) == "twice\n"
    assert [attempt["log"] for attempt in json.loads(shown("logs", crashed, "--json"))["attempts"]] == logs.of(crashed)
    assert shown("logs", everything).endswith("by a thread\nwithout an end\n")
    assert shown("logs", silent) == ""
    job = shown("job", large)
    assert "line 000100" not in job
    assert f"(all of it: farm logs {large} --attempt 1)" in job
    assert main(["logs", str(failed), "--attempt", "3", "--dsn", dsn]) == 1
    assert capsys.readouterr().err == f"farm: job {failed} has no attempt 3\n"
    assert main(["logs", "999", "--dsn", dsn]) == 1
    farm.stop()
    ledger.check_all_ended()


def test_a_log_is_committed_once_with_its_outcome_whoever_is_killed(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Writer and subworkers are killed while hundreds of jobs print: what comes of each has what it printed, and nothing else."""
    farm = make_farm(lanes={"default": {"queues": ["*"], "subworkers": 2}}, runners=RUNNERS, writer={"age_max": "5ms"})
    jobs = dict(enumerate(ledger.enqueue_all([("talking:number", (number,)) for number in range(2000)])))
    farm.start()
    assert farm.state is not None
    lock = farm.state.crew_lock_path
    for share in (200, 700, 1200):
        wait_for(partial(_settled, ledger, share), f"{share} results")
        for pid in crew.writers(lock)[:1] + crew.subworkers(lock)[:1]:
            crew.kill(pid)
    wait_for(partial(_settled, ledger, len(jobs)), "all results")
    farm.stop()
    ledger.check_all_ended()
    stored = {job_id: row.log for job_id, row in ledger.results().items()}
    assert stored == {job_id: f"number {number}\n" * 20 for number, job_id in jobs.items()}


def _settled(ledger: Ledger, jobs: int) -> bool:
    return ledger.settled() >= jobs
