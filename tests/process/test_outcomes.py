"""What jobs come to: each kind runs to its outcome, and a bad one harms nobody but itself."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.process.conftest import MakeFarm
from tests.process.ledger import Ledger
from tests.process.running import RunningFarm

UNKEPT = {
    "nul": "result.a[0] has a NUL character",
    "surrogate": "lone surrogate",
    "nan": "result[1] is nan",
    "infinity": "result is -inf",
    "integer": "64",
    "deep": "more than 200 levels",
    "string": "a string of 17,825,792 characters",
    "list": "bytes long",
    "set": "set",
    "bytes": "bytes",
    "key": "key",
    "object": "object",
}


def test_good_jobs(farm: RunningFarm, ledger: Ledger) -> None:
    """Positional and named arguments arrive as they were given, and what a job returns is kept."""
    odd = ["ü\u2028\\\t\n", 2**63 - 1, -(2**63), 1.5e-7, None, True, [], {"a": {"": []}}]
    jobs = {
        ledger.enqueue("give_back", odd): odd,
        ledger.enqueue("give_back", {"a": 1, "b": [2]}): {"args": [], "a": 1, "b": [2]},
        ledger.enqueue("give_back"): [],
        ledger.enqueue("operator:add", (2, 3)): 5,
        ledger.enqueue("operator:not_", ([],)): True,
        ledger.enqueue("wait_async", (7,)): 7,
        ledger.enqueue("leave_thread"): None,
    }
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    for job_id, value in jobs.items():
        row = ledger.result(job_id)
        assert (row.status, row.attempt, row.value) == (1, 1, value)
    ledger.check_all_ended()


def test_failing_jobs(farm: RunningFarm, ledger: Ledger) -> None:
    """A job that raises, or whose task is missing or not allowed, fails with a reason, alone; not allowed uses no attempt."""
    once: dict[str, object] = {"max_attempts": 1}
    raised = ledger.enqueue("fail", ("what for?",), **once)
    unprintable = ledger.enqueue("fail_unprintable", **once)
    left = ledger.enqueue("leave", (3,), **once)
    wrong_arguments = ledger.enqueue("fail", (1, 2, 3), **once)
    no_function = ledger.enqueue("chores:missing", **once)
    not_allowed = ledger.enqueue("os:getpid")
    good = ledger.enqueue("who")
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert ledger.error(raised) == "ValueError: what for?"
    traceback = ledger.result(raised).error["traceback"]
    assert "chores.py" in traceback
    assert "farm/subworker" not in traceback
    assert ledger.error(unprintable).endswith("Odd: unprintable fail_unprintable.<locals>.Odd")
    assert ledger.error(left) == "SystemExit: 3"
    assert ledger.error(wrong_arguments).startswith("runners.python.WrongArguments: fail() takes 1")
    assert "has no function 'missing'" in ledger.error(no_function)
    assert ledger.error(not_allowed).startswith("NotAllowed: os:getpid: not allowed here")
    assert {job_id: row.attempt for job_id, row in ledger.results().items()} == {
        raised: 1, unprintable: 1, left: 1, wrong_arguments: 1, no_function: 1, not_allowed: 0, good: 1
    }  # fmt: skip
    assert ledger.failures(not_allowed) == []
    assert "exit" not in farm.log
    ledger.check_all_ended()


def test_results_that_cannot_be_kept(farm: RunningFarm, ledger: Ledger) -> None:
    """A result that PostgreSQL or JSON does not have fails that job alone, and says what is wrong with it."""
    jobs = {kind: ledger.enqueue("give", (kind,), max_attempts=1) for kind in UNKEPT}
    good = ledger.enqueue_all([("who", ())] * 50)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    for kind, reason in UNKEPT.items():
        error = ledger.error(jobs[kind])
        assert error.startswith("ResultError: "), (kind, error)
        assert reason in error, (kind, error)
    assert all(ledger.result(job_id).status == 1 for job_id in good)
    assert len({ledger.result(job_id).value for job_id in good}) <= 2, "no subworker had to be replaced"
    ledger.check_all_ended()


@pytest.mark.parametrize(
    ("task", "args", "reason"),
    [
        ("vanish", (0,), "exited with code 0 without a result"),
        ("vanish", (9,), "exited with code 9 without a result"),
        ("kill_itself", (int(signal.SIGSEGV),), "killed by SIGSEGV"),
        ("kill_itself", (int(signal.SIGKILL),), "killed by SIGKILL"),
    ],
)
def test_jobs_that_end_their_subworker(make_farm: MakeFarm, ledger: Ledger, task: str, args: tuple[int], reason: str) -> None:
    """A job that takes its subworker with it is tried three times and fails; its neighbours in the ring are not touched."""
    farm = make_farm(subworkers=1)
    before = ledger.enqueue_all([("who", ())] * 20)
    bad = ledger.enqueue(task, args)
    once = ledger.enqueue(task, args, max_attempts=1)
    after = ledger.enqueue_all([("who", ())] * 20)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert ledger.error(bad).startswith("CrashedTooOften: crashed 3 times; the last time: ")
    assert ledger.failures(bad) == ["crashed"] * 3
    assert reason in ledger.error(once)
    results = ledger.results()
    assert (results[bad].attempt, results[once].attempt) == (3, 1)
    assert all((results[job_id].status, results[job_id].attempt) == (1, 1) for job_id in (*before, *after))
    ledger.check_all_ended()


def test_forks_that_come_back(farm: RunningFarm, ledger: Ledger) -> None:
    """A job whose forks return from it too has one outcome: only its subworker speaks."""
    jobs = ledger.enqueue_all([("fork_twice", ())] * 20)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    results = ledger.results()
    assert all((results[job_id].status, results[job_id].attempt, results[job_id].value) == (1, 1, 1) for job_id in jobs)
    ledger.check_all_ended()


def test_large_arguments_and_results(farm: RunningFarm, ledger: Ledger) -> None:
    """What is too large for a ring goes through files that are gone afterwards, whatever becomes of the job."""
    given = ledger.enqueue_all([("length_of", ("a" * 700_000,))] * 10)
    made = ledger.enqueue_all([("give_text", (3_000_000,))] * 5)
    both = ledger.enqueue("give_back", ["b" * 900_000])
    wrong = ledger.enqueue("fail", ("c" * 500_000,), max_attempts=2)
    unknown = ledger.enqueue("chores:missing", ("d" * 500_000,), max_attempts=1)
    crashing = ledger.enqueue("kill_itself", {"number": 9, "padding": "e" * 500_000}, max_attempts=2)
    dying = ledger.enqueue("vanish", {"code": 1, "padding": "f" * 500_000}, max_attempts=1)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert all(ledger.result(job_id).value == 700_000 for job_id in given)
    assert all(len(ledger.result(job_id).value) == 3_000_000 for job_id in made)
    assert ledger.result(both).value == ["b" * 900_000]
    assert "characters cut" in ledger.error(wrong)
    assert "has no function" in ledger.error(unknown)
    assert "killed by SIGKILL" in ledger.error(crashing)
    assert "exited with code 1" in ledger.error(dying)
    assert farm.spilled == []
    ledger.check_all_ended()


def test_memory_limit(make_farm: MakeFarm, ledger: Ledger) -> None:
    """A job may allocate what its lane allows; beyond it that job fails and its subworker lives on."""
    farm = make_farm(lanes={"default": {"queues": ["*"], "subworkers": 1, "memory": "100MB"}})
    first = ledger.enqueue("who")
    inside = ledger.enqueue("allocate", (80,))
    beyond = ledger.enqueue("allocate", (150,), max_attempts=1)
    last = ledger.enqueue("who")
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert ledger.result(inside).value == 80_000_000
    assert ledger.error(beyond).startswith("MemoryError: memory limit of 100 MB reached")
    assert ledger.result(first).value == ledger.result(last).value
    ledger.check_all_ended()


def test_prints(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Where no logs are kept, prints stand in the farm's own, each line with its subworker's name, long ones and floods cut."""
    farm = make_farm(lanes={"default": {"queues": ["*"], "subworkers": 1, "logs": False}})
    ledger.enqueue("say", (1, "x" * 5000))
    ledger.enqueue("say", (1, "\x1b[31mred"))
    ledger.enqueue("say_on_both")
    ledger.enqueue("say", (5000, "flood"))
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    for text in ("by python", "to stderr", "by a program", "without an end"):
        assert len(farm.log_lines(rf"w0 \(default\) \| {text}")) == 1, farm.log
    assert max(map(len, farm.log.splitlines())) < 2200
    assert farm.log_lines(r"x{2000} \[\.\.\. 3000 bytes cut\]$")
    assert "\x1b" not in farm.log
    assert farm.log_lines(r"lines dropped")
    assert len(farm.log_lines(r"\| flood$")) < 2000


def test_timeout(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A job over its time is killed with its subworker, which is replaced; a neighbour's jobs go on undisturbed."""
    farm = make_farm(subworkers=2)
    slow = ledger.enqueue("mark", (str(effects), 1, 3600), timeout_s=0.3, max_attempts=1)
    farm.start()
    deaf = ledger.enqueue("ignore_deadline", (str(effects) + ".deaf",), timeout_s=0.3, max_attempts=2)
    others = ledger.enqueue_all([("mark", (str(effects), 100 + number, 0.02)) for number in range(40)])
    assert ledger.error(slow) == "TimedOut: timeout of 0.3 s reached"
    assert ledger.error(deaf).startswith("TimedOut: ")
    assert ledger.failures(deaf) == ["timed_out"] * 2
    assert all((ledger.result(job_id).status, ledger.result(job_id).attempt) == (1, 1) for job_id in others)
    assert len(farm.log_lines("WARNING|ERROR")) == len(farm.log_lines("while it ran job .* timeout of 0.3 s reached")) >= 2
    farm.stop()
    ledger.check_all_ended()


def test_retries(farm: RunningFarm, ledger: Ledger) -> None:
    """A failed job runs again at once, up to max_attempts, three by default."""
    default = ledger.enqueue("fail", ("no",))
    five = ledger.enqueue("fail", ("no",), max_attempts=5)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert (ledger.result(default).attempt, ledger.result(five).attempt) == (3, 5)
    assert ledger.failures(five) == ["failed"] * 5
    ledger.check_all_ended()


def test_order(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """One subworker runs jobs by priority, and first in, first out within a priority."""
    farm = make_farm(subworkers=1, claim_max=7)
    expected = []
    for priority in (4, 9, 0, 5):
        numbers = [priority * 1000 + index for index in range(30)]
        ledger.enqueue_all([("mark", (str(effects), number)) for number in numbers], priority=priority)
        expected += [(priority, number) for number in numbers]
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert [int(line.split()[0]) for line in effects.read_text().splitlines()] == [number for _, number in sorted(expected)]


def test_chain_of_queues(make_farm: MakeFarm, ledger: Ledger, effects: Path) -> None:
    """A lane takes from its first queue before its second, and leaves alone what it does not serve."""
    farm = make_farm(lanes={"one": {"queues": ["a", "b"], "subworkers": 1}})
    for number, queue in enumerate(("b", "a", "c", "b", "a")):
        ledger.enqueue("mark", (str(effects), number), queue=queue)
    farm.start("--burst")
    assert farm.wait() == 0, farm.log
    assert [int(line.split()[0]) for line in effects.read_text().splitlines()] == [1, 4, 0, 3]
    assert [place.place for place in ledger.places().values()].count("ready") == 1
    ledger.check()


def test_jobs_due_later(farm: RunningFarm, ledger: Ledger) -> None:
    """A job with a delay or a time starts when it is due, not before."""
    farm.start()
    due = ledger.query("SELECT now() + interval '0.6 s' AS at")[0].at
    delayed = ledger.enqueue("who", delay_s=0.4)
    timed = ledger.enqueue("who", run_at=due)
    past = ledger.enqueue("who", run_at=ledger.query("SELECT now() - interval '1 h' AS at")[0].at)
    jobs = {row.id: row for row in ledger.query("SELECT id, run_at, created_at FROM farm.job")}
    for job_id in (delayed, timed):
        result = ledger.result(job_id)
        assert (result.status, result.attempt) == (1, 1)
        assert result.started_at >= jobs[job_id].run_at
    assert ledger.result(past).status == 1
    farm.stop()
    ledger.check_all_ended()
