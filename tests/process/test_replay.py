"""Running a job again outside of any farm: it comes to the same, within the same limits, and nothing is written to it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm

COMMAND = (sys.executable, "-m", "farm.cli.main", "replay")
LANE = {"queues": ["*"], "subworkers": 1, "memory": "64MB", "timeout": "500ms", "env": {"COLOUR": "blue", "PGPASSWORD_OF_MINE": "x"}}


def replay(farm: RunningFarm, job_id: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, str(job_id), "--config", str(farm.config), *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def compared(farm: RunningFarm, job_id: int) -> dict[str, Any]:
    """Replay a job; returns what it was and is, as data. The exit code tells whether it has succeeded."""
    done = replay(farm, job_id, "--json")
    data: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (data["now"]["kind"] != "succeeded"), done.stderr
    return data


def everything(ledger: Ledger) -> list[list[Any]]:
    return [
        ledger.query(f"SELECT t::text FROM farm.{table} AS t ORDER BY 1")  # noqa: S608
        for table in ("job", "result", "failure", "ready", "returned", "scheduled", "lease")
    ]


def test_each_comes_to_the_same_and_nothing_is_written(make_farm: MakeFarm, ledger: Ledger) -> None:
    jobs = {
        "succeeded": ledger.enqueue("give_back", {"a": [1, "x"]}),
        "failed": ledger.enqueue("fail", ("no good",)),
        "memory": ledger.enqueue("allocate", (600,)),
        "crashed": ledger.enqueue("kill_itself", (int(signal.SIGSEGV),)),
        "timed_out": ledger.enqueue("spin"),
    }
    farm = make_farm(lanes={"default": LANE}, tasks={"*": {"max_attempts": 1, "retry": "0s"}})
    farm.start("--burst", ready=False)
    assert farm.wait() == 0
    before = everything(ledger)
    for kind, job_id in jobs.items():
        data = compared(farm, job_id)
        assert (data["before"]["kind"], data["now"]["kind"], data["same_outcome"]) == (kind, kind, True), data
        was, now = data["before"], data["now"]
        if kind == "succeeded":
            assert was["result"] == now["result"] == {"args": [], "a": [1, "x"]}
        elif kind in ("failed", "timed_out"):
            assert (was["error"]["type"], was["error"]["message"]) == (now["error"]["type"], now["error"]["message"])
        if kind == "failed":
            # No frame of the farm's own stands in either.
            assert was["error"]["traceback"] == now["error"]["traceback"]
    assert everything(ledger) == before
    # For people.
    done = replay(farm, jobs["failed"])
    assert done.returncode == 1
    assert "with the limits of lane default (64 MB, up to 500ms)" in done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("outcome")] == [["outcome", "failed", "failed"]]


def test_what_it_starts_counts_and_ends_with_it(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Programs that take too much memory together are one breach; one that is left behind is ended, and does not hold up the answer."""
    lane = {**LANE, "timeout": "20s"}
    shared, left = ledger.enqueue("share_out", (60, 3)), ledger.enqueue("leave_child")
    farm = make_farm(lanes={"default": lane}, tasks={"*": {"max_attempts": 1, "retry": "0s"}})
    farm.start("--burst", ready=False)
    assert farm.wait() == 0
    now = compared(farm, shared)["now"]
    assert now["kind"] == "memory", now
    assert now["error"]["message"].startswith("memory limit of 64 MB reached; peak ")
    child = compared(farm, left)["now"]["result"]
    wait_for(lambda: not Path(f"/proc/{child}").exists(), "the end of what it has left behind")


def test_what_cannot_be_run_again_is_said_in_a_line(make_farm: MakeFarm, ledger: Ledger, farm_home: Path) -> None:
    farm = make_farm(lanes={"default": {**LANE, "queues": ["mine"]}})
    waiting = ledger.enqueue("who", queue="mine")
    elsewhere = ledger.enqueue("who", queue="other")
    refused = ledger.enqueue("os:getpid", queue="mine")
    farm.start("--burst", ready=False)
    assert farm.wait() == 0
    later = ledger.enqueue("who", queue="mine")
    said = {
        later: f"farm: job {later} is ready and has not run yet: there is nothing to be run again\n",
        elsewhere: f"farm: job {elsewhere} is ready and has not run yet: there is nothing to be run again\n",
        refused: f"farm: job {refused} is failed and has not run yet: there is nothing to be run again\n",
        99: "farm: there is no job 99 in ",
    }
    for job_id, line in said.items():
        done = replay(farm, job_id)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        assert done.stderr.startswith(line)
    assert replay(farm, waiting, "--lane", "defualt").stderr == f"farm: {farm.config} has no lane 'defualt'; did you mean 'default'?\n"
    assert replay(farm, waiting, "--attempt", "7").stderr == f"farm: job {waiting} has no attempt 7 that ran; it has 1\n"
    assert replay(farm, waiting, "--debugger").stderr == "farm: --debugger needs a terminal: its commands are typed\n"
    farm.config.write_text(farm.config.read_text().replace("chores:", "others:"))
    assert replay(farm, waiting).stderr == "farm: chores:who: not allowed here: no pattern of runners.python.allow matches\n"
    done = subprocess.run([*COMMAND, str(waiting), "--dsn", ledger.dsn], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("farm: which code and which limits? Name a configuration with --config (no farm runs in ")


def test_a_setup_that_fails_is_told_without_secrets(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    job_id = ledger.enqueue("who")
    farm = make_farm(lanes={"default": LANE}).start("--burst", ready=False)
    assert farm.wait() == 0
    text = farm.config.read_text().replace("timeout: 500ms", "setup: chores:fail\n    timeout: 500ms")
    farm.config.write_text(text)
    done = replay(farm, job_id)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("farm: the job could not be run again: setup chores:fail: TypeError: ")


@pytest.mark.timeout(90)
def test_under_the_debugger_it_stops_in_the_function_and_where_it_failed(make_farm: MakeFarm, ledger: Ledger) -> None:
    job_id = ledger.enqueue("fail", ("no good",))
    farm = make_farm(lanes={"default": LANE}, tasks={"*": {"max_attempts": 1, "retry": "0s"}}).start("--burst", ready=False)
    assert farm.wait() == 0
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, str(job_id), "--config", str(farm.config), "--debugger"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "120"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, b"(Pdb) ")
        assert "chores.py" in shown
        os.write(ours, b"p message\n")
        assert "'no good'" in _read_until(ours, b"(Pdb) ")
        os.write(ours, b"continue\n")
        # So far there was time enough, though the lane has none: nothing limits it here.
        assert "ValueError: no good" in _read_until(ours, b"(Pdb) ")
        os.write(ours, b"quit\n")
        end = _read_until(ours, b"", to_the_end=True)
        assert "no good" in end
        assert not [name for name in ("bdb.py", "debugger.py", "runners/python.py") if name in end], "only its own frames are shown"
        assert process.wait(30) == 1
    finally:
        process.kill()
        process.wait()
        os.close(ours)


WITHOUT_FARM = """
import sys
from farm.replay.order import ReplayOrder
from farm.replay.run import replay
from farm.subworker.order import ForkOrder

fork = ForkOrder(
    name="replay", path="", lane="default", concurrency=1, memory_bytes=64_000_000,
    runners=(("python", {"path": [sys.argv[1]], "allow": ["chores:*"]}),), env={}, cpus=(), nice=0, setup="", spill_directory="",
    spill_owner="", spill_bytes_max=0, supervisor_pid=0,
)
order = ReplayOrder(fork=fork, job_id=1, task="chores:" + sys.argv[2], args=sys.argv[3:], attempt=1, debugger=False)
came_to = replay(order, timeout_s=0.0, pass_on=lambda piece: None)
print(came_to.kind, came_to.error)
"""
CHORES = Path(__file__).parent / "tasks"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_runs_ends_with_whoever_has_it_run(number: signal.Signals, tmp_path: Path) -> None:
    """And only a kill leaves what it has started: to that nobody can say anything before."""
    effects, gone = tmp_path / "effects", tmp_path / "gone"
    process = subprocess.Popen([sys.executable, "-c", WITHOUT_FARM, str(CHORES), "start_and_wait", str(effects), str(gone)])
    try:
        wait_for(lambda: effects.exists() and effects.read_text().endswith("\n"), "the job's start")
        job, program = map(int, effects.read_text().split())
        process.send_signal(number)
        process.wait(30)
        wait_for(lambda: not Path(f"/proc/{job}").exists(), "the job's end")
        if number is not signal.SIGKILL:
            wait_for(lambda: not Path(f"/proc/{program}").exists(), "the end of what it has started")
    finally:
        gone.touch()
        process.kill()
        process.wait()


def test_the_job_cannot_look_into_whoever_has_it_run() -> None:
    """Its database's DSN may stand in that one's environment."""
    script = f"{WITHOUT_FARM}\nimport ctypes\nprint('dumpable', ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    done = subprocess.run([sys.executable, "-c", script, str(CHORES), "who"], capture_output=True, text=True, timeout=40, check=False)
    assert done.stdout.splitlines()[-1] == "dumpable 0", done.stderr


def test_its_peak_is_its_own_and_not_that_of_whoever_has_it_run() -> None:
    script = f"held = b'x' * 300_000_000\n{WITHOUT_FARM}\nprint('peak', came_to.peak_bytes)"
    done = subprocess.run([sys.executable, "-c", script, str(CHORES), "who"], capture_output=True, text=True, timeout=40, check=False)
    word, peak_bytes = done.stdout.splitlines()[-1].split()
    assert word == "peak", done.stderr
    assert 0 < int(peak_bytes) < 200_000_000


def test_a_signal_without_a_name_and_one_that_prints_on_for_ever(tmp_path: Path) -> None:
    """What has left the group of the job, and prints on, does not hold up the answer."""
    gone = tmp_path / "gone"
    command = [sys.executable, "-c", WITHOUT_FARM, str(CHORES), "leave_printer", str(gone)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    finally:
        gone.touch()
    assert done.stdout.startswith("crashed {'type': 'Crashed', 'message': 'its process was killed by signal 40'"), done.stderr


def _read_until(fd: int, mark: bytes, *, to_the_end: bool = False) -> str:
    shown = b""
    while to_the_end or mark not in shown:
        assert select.select([fd], [], [], 40)[0], shown
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    return shown.decode()
