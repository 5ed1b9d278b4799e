"""Jobs that are ended on purpose: past their time, over their memory. Exactly they are hit, whatever they do about it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS, RunningFarm


@pytest.fixture
def lanes(make_farm: MakeFarm) -> RunningFarm:
    """A farm with lanes for jobs one by one, one of a single subworker, and one for many at once; started."""
    farm = make_farm(
        runners={"python": {"allow": ["chores:*", "crowd:*"], "path": [str(TASKS)]}},
        lanes={
            "cpu": {"queues": ["cpu"], "subworkers": 2, "memory": "64MB", "timeout": "700ms"},
            "one": {"queues": ["one"], "subworkers": 1, "memory": "64MB"},
            "crowd": {"queues": ["crowd"], "subworkers": 1, "concurrency": 20, "memory": "150MB"},
        },
        tasks={"crowd:hang": {"timeout": "300ms"}, "*": {"retry": "0s"}},
    )
    farm.start()
    wait_for(lambda: len(farm.spares()) == 3, f"three spares\n{farm.log}")
    return farm


def test_past_their_time(lanes: RunningFarm, ledger: Ledger, tmp_path: Path) -> None:
    """Stuck in Python, in C, stopped, deaf, waiting for a program, on a loop: all are ended at their time, programs too; others go on."""
    farm, program, pid = lanes, tmp_path / "program", tmp_path / "pid"
    hung = ledger.enqueue("crowd:hang", (str(tmp_path / "hung"), 1), queue="crowd", max_attempts=1)
    longer = ledger.enqueue("crowd:hang", (str(tmp_path / "hung"), 1), queue="crowd", max_attempts=1, timeout_s=0.8)
    calls: list[tuple[str, object]] = [
        ("spin", ()),
        ("count_for_ever", ()),
        ("stop_itself", ()),
        ("ignore_deadline", (str(tmp_path / "deaf"),)),
        ("wait_for_program", (str(program),)),
    ]
    stuck = ledger.enqueue_all(calls, queue="cpu", max_attempts=1)
    twice = ledger.enqueue("spin", queue="cpu", max_attempts=2, timeout_s=0.2)
    poison = ledger.enqueue("kill_itself", (int(signal.SIGSEGV),), queue="cpu")
    good = ledger.enqueue_all([("who", ())] * 50, queue="cpu")
    awaited = ledger.enqueue("wait_for_ever", (str(pid),), queue="one", max_attempts=1, timeout_s=0.3)
    assert ledger.error(awaited) == "TimedOut: timeout of 0.3 s reached"
    assert ledger.result(ledger.enqueue("who", queue="one")).value == int(pid.read_text()), "it was cancelled, and nothing else done"
    assert "await asyncio.Event().wait()" in ledger.result(awaited).error["traceback"]
    assert [ledger.error(job_id) for job_id in stuck] == ["TimedOut: timeout of 0.7 s reached"] * len(stuck)
    assert [ledger.error(job_id) for job_id in (hung, longer)] == [f"TimedOut: timeout of {limit} s reached" for limit in ("0.3", "0.8")]
    assert ledger.error(twice) == "TimedOut: timeout of 0.2 s reached"
    assert ledger.failures(twice) == ["timed_out"] * 2
    assert "was killed by SIGSEGV" in ledger.error(poison)
    assert ledger.failures(poison) == ["crashed"] * 3
    assert [ledger.result(job_id).attempt for job_id in good] == [1] * len(good)
    wait_for(lambda: not crew.is_alive(int(program.read_text())), "the end of the program")
    farm.stop()
    ledger.check_all_ended()


def test_a_spare_takes_the_place(lanes: RunningFarm, ledger: Ledger, tmp_path: Path) -> None:
    """What comes after a job that was ended runs in a process that was there before, while the deaf one is still being ended."""
    farm = lanes
    assert {oom_score(pid) for pid in (farm.zygote(), *farm.subworkers(), *farm.spares())} == {500}
    # Below 0 only where it is allowed.
    assert {oom_score(pid) for pid in (farm.pid, farm.writer())} <= {-500, oom_score(os.getpid())}
    spares, (before,) = set(farm.spares()), {pid for pid in farm.subworkers() if crew.name(pid) == "farm w2"}
    deaf = ledger.enqueue("ignore_deadline", (str(tmp_path / "deaf"),), queue="one", max_attempts=1, timeout_s=0.2)
    after = ledger.enqueue("who", queue="one")
    successor = ledger.result(after).value
    assert successor in spares
    assert crew.name(successor) == "farm w2"
    assert ledger.error(deaf) == "TimedOut: timeout of 0.2 s reached"
    wait_for(lambda: not crew.is_alive(before), "the end of the deaf one")
    wait_for(lambda: len(set(farm.spares()) - {successor}) == 3, "another spare")
    crew.kill(successor)
    assert ledger.result(ledger.enqueue("who", queue="one")).value not in (before, successor)
    farm.stop()
    ledger.check_all_ended()


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_over_their_memory(lanes: RunningFarm, ledger: Ledger, tmp_path: Path) -> None:
    """What a job and its programs take together has a bound; of jobs beside each other nobody is blamed, each runs again alone."""
    farm, gate = lanes, tmp_path / "gate"
    gate.touch()
    programs = ledger.enqueue("share_out", (40, 4), queue="one", max_attempts=1)
    large = ledger.enqueue("map_shared", (300, "/"), queue="one", max_attempts=1)
    beside = ledger.enqueue_all([("map_shared", (100, str(gate)))] * 2, queue="crowd")
    small = ledger.enqueue_all([("who", ())] * 20, queue="crowd")
    farm.wait_log("memory limit of 150 MB reached; peak [0-9]* MB by 2 jobs beside each other: each is to run alone")
    gate.unlink()
    assert [ledger.result(job_id).attempt for job_id in beside] == [1, 1]
    assert [ledger.failures(job_id) for job_id in beside] == [[], []]
    assert [ledger.result(job_id).attempt for job_id in small] == [1] * len(small)
    alone = ledger.enqueue("map_shared", (300, "/"), queue="crowd", max_attempts=1)
    for job_id, limit in ((programs, 64), (large, 64), (alone, 150)):
        assert ledger.error(job_id).startswith(f"MemoryError: memory limit of {limit} MB reached; peak ")
        assert ledger.failures(job_id) == ["memory"]
    # Who is quicker: we, or the kernel where they have a control group.
    assert ledger.error(programs).endswith((" more of its processes", "(one of its processes was ended by the kernel)"))
    farm.stop()
    ledger.check_all_ended()
