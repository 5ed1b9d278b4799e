"""Hostile jobs beside good ones in one farm: each comes to the outcome that it deserves, and nobody else comes to harm."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.process import crew
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger
from tests.process.running import TASKS

TIMEOUT_S = 0.6
MODULES = {
    "hangs": "import time\ntime.sleep(3600)\n",
    # The second thread waits for the module to be imported, and the import waits for that thread.
    "deadlock": "import threading\nt = threading.Thread(target=lambda: __import__('deadlock').f())\nt.start()\nt.join()\ndef f(): pass\n",
    "changes": "import os, signal\nos.umask(0o27)\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nfrom hostile import look\n",
}

FAILING: list[tuple[str, tuple[object, ...], str]] = [
    *[("hostile:throw", (name,), f"{name}: on purpose") for name in ("KeyboardInterrupt", "StopIteration", "StopAsyncIteration")],
    *[("hostile:throw", (name,), f"{name}: on purpose") for name in ("GeneratorExit", "BaseException")],
    ("chores:leave", (3,), "SystemExit: 3"),
    ("chores:vanish", (0,), "SubworkerExited: .*exited with code 0 without a result"),
    ("hostile:abort", (), "SubworkerExited: .*killed by SIGABRT"),
    ("hostile:read_nowhere", (), "SubworkerExited: .*killed by SIGSEGV"),
    ("hostile:end_group", (), "SubworkerExited: .*killed by SIGKILL"),
    ("hostile:recurse", (0,), "RecursionError: maximum recursion depth exceeded"),
    ("hostile:complain", ("odd",), "hostile.SaysOdd: odd"),
    ("hostile:complain", ("ends",), "hostile.EndsWhenAsked: unprintable EndsWhenAsked"),
    ("hostile:complain", ("locked",), "hostile.Locked: locked"),
    ("hostile:complain", ("masked",), "hostile.Masked: "),
    ("hostile:complain", ("nameless",), ".*no name"),
    ("hostile:complain", ("long",), r"ValueError: x{8000} \[... 9,992,000 characters cut"),
    ("chores:fail_unprintable", (), ".*Odd: unprintable"),
    ("chores:give", ("set",), "ResultError: the result is not JSON"),
    ("hostile:give_odd", ("object",), "(ResultError|SystemExit): "),
    ("hostile:give_odd", ("within",), "(ResultError|SystemExit): "),
    ("hostile:give_odd", ("class",), "ResultError: the result is not JSON"),
    ("hostile:give_odd", ("nan within",), "(ResultError|SystemExit): "),
    ("chores:allocate", (500,), "MemoryError: memory limit of 150 MB reached"),
    ("hostile:recurse", (10**7,), "(MemoryError|TimedOut|SubworkerExited): "),
    ("hostile:match_for_ever", (), "TimedOut: timeout of 0.6 s reached"),
    ("hostile:count_for_ever", (), "TimedOut: timeout of 0.6 s reached"),
    ("hostile:deaf", (), "TimedOut: timeout of 0.6 s reached"),
    ("hostile:stop_itself", (), "TimedOut: timeout of 0.6 s reached"),
    ("hangs:f", (), "TimedOut: timeout of 0.6 s reached"),
    ("deadlock:f", (), "TimedOut: timeout of 0.6 s reached"),
]
"""(task, args, error): with one attempt, and little time where they would take for ever."""

SUCCEEDING: list[tuple[str, tuple[object, ...], object]] = [
    ("chores:fork_twice", (), 1),
    ("chores:leave_thread", (), None),
    ("chores:close_all", (0,), None),
    ("hostile:print_binary", (8,), 8 * 245 * 4280),
    ("hostile:give_odd", ("dict",), {"a": 1}),
    ("hostile:give_odd", ("text",), "plain"),
    ("hostile:give_odd", ("number",), 7),
]


@pytest.mark.timeout(120)
def test_each_comes_to_what_it_deserves_and_nobody_else_comes_to_harm(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    modules, gone = tmp_path / "modules", tmp_path / "gone"
    modules.mkdir()
    gone.mkdir()
    for name, text in MODULES.items():
        (modules / f"{name}.py").write_text(text)
    allowed = [f"{name}:*" for name in ("chores", "hostile", *MODULES)]
    farm = make_farm(
        lanes={
            "default": {"queues": ["default"], "subworkers": 2, "memory": "150MB"},
            "tidy": {"queues": ["tidy"], "subworkers": 1, "memory": "150MB"},
        },
        runners={"python": {"allow": allowed, "path": [str(TASKS), str(modules)]}},
    )
    failing = {ledger.enqueue(task, args, max_attempts=1, timeout_s=time_of(said)): (task, args, said) for task, args, said in FAILING}
    succeeding = {ledger.enqueue(task, args, max_attempts=1): (task, args, value) for task, args, value in SUCCEEDING}
    in_group, in_session = (ledger.enqueue(task) for task in ("hostile:leave_with_pipe", "hostile:leave_session"))
    good = ledger.enqueue_all([("chores:who", ())] * 200)
    changes = [("hostile:look", ()), ("hostile:change_everything", (str(gone),)), ("hostile:look", ()), ("changes:look", ())]
    before, changed, after, imported, last = ledger.enqueue_all([*changes, ("hostile:look", ())], queue="tidy", max_attempts=1)
    farm.start()
    for job_id, (task, args, said) in failing.items():
        assert re.match(said, ledger.error(job_id)), (task, args, ledger.error(job_id))
    for job_id, (task, args, value) in succeeding.items():
        row = ledger.result(job_id)
        assert (row.status, row.attempt, row.value) == (1, 1, value), (task, args, row)
    assert [(row.status, row.attempt) for row in map(ledger.result, good)] == [(1, 1)] * len(good)
    # A job sets back what the one before it has changed, as far as that is cheap; what an import has changed is left.
    looks = {job_id: ledger.result(job_id).value for job_id in (before, after, imported, last)}
    assert looks[after] == looks[before], "in the same process, as it was"
    assert (
        looks[last]
        == looks[imported]
        == {**looks[before], "umask": "0027", "ignored": looks[last]["ignored"], "caught": looks[last]["caught"]}
    )
    assert int(looks[last]["ignored"], 16) == int(looks[before]["ignored"], 16) | 1 << (signal.SIGHUP - 1)
    assert ledger.result(changed).value == looks[before]["pid"]
    # Where it was when it crashed. What a subworker printed is logged apart from its outcomes, and may come later.
    farm.wait_log("Fatal Python error: Segmentation fault")
    farm.wait_log(r"hostile.py\", line \d+ in read_nowhere")
    assert ledger.result(ledger.enqueue("chores:who")).status == 1
    child, stray = ledger.result(in_group).value, ledger.result(in_session).value
    try:
        farm.stop()
        wait_for(lambda: not crew.is_alive(child), "the end of what was left in the group of its subworker")
        assert crew.is_alive(stray)
        assert farm.log_lines(rf"WARNING processes that jobs have left behind still run: {stray} \(sleep\)$"), farm.log
    finally:
        crew.kill(stray)
    wait_for(farm.crew_gone, "the end of the crew")
    ledger.check_all_ended()


def time_of(said: str) -> float | None:
    return TIMEOUT_S if "TimedOut" in said else None
