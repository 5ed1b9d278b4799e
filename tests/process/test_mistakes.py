"""What is wrong with a task, a runner or a disk: a failed job, or a farm that says so and leaves. Everything else goes on."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.mounts import needs_mounts, with_mounts
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger

MODULES = {
    "bad_syntax": "def f(:\n",
    "bad_bytes": "\0",
    "bad_import": "raise RuntimeError('no config at import')\n",
    "bad_need": "import no_such_library\n",
    "bad_exit": "import sys\nsys.exit(3)\n",
    "bad_death": "import os\nos._exit(3)\n",
    "bad_names": "number = 3\nnothing = None\ndef give():\n    yield 1\ndef take(one):\n    return one\n",
}
TASKS = [
    ("bad_syntax:f", "SyntaxError: invalid syntax (bad_syntax.py, line 1)"),
    ("bad_bytes:f", "SyntaxError: source code string cannot contain null bytes"),
    ("bad_import:f", "RuntimeError: no config at import"),
    ("bad_need:f", "ModuleNotFoundError: No module named 'no_such_library'"),
    ("bad_exit:f", "SystemExit: 3"),
    ("bad_death:f", "SubworkerExited: its subworker exited with code 3 without a result"),
    ("bad_gone:f", "runners.python.TaskNotFound: there is no module 'bad_gone'; is its directory in runners.python.path?"),
    ("bad_names:f", "runners.python.TaskNotFound: module 'bad_names' has no function 'f'"),
    ("bad_names:number", "runners.python.TaskNotFound: 'number' in module 'bad_names' is no function but int"),
    ("bad_names:nothing", "runners.python.TaskNotFound: 'nothing' in module 'bad_names' is no function but NoneType"),
    ("bad_names:give", "ResultError: the result is not JSON: Type is not JSON serializable: generator"),
    ("bad_names:take", "runners.python.WrongArguments: take() missing 1 required positional argument: 'one'"),
    ("os:getpid", "NotAllowed: os:getpid: not allowed here: no pattern of runners.python.allow matches"),
    ("bad_names:take.__code__", "NotAllowed: bad_names:take.__code__: not a python task: expected 'module:function'"),
]


def test_a_task_that_cannot_be_run_fails_and_says_why(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    for name, text in MODULES.items():
        (modules / f"{name}.py").write_text(text)
    farm = make_farm(runners={"python": {"allow": ["bad_*:*", "operator:*"], "path": [str(modules)]}})
    ids = [ledger.enqueue(task, runner="python", max_attempts=1) for task, _ in TASKS]
    last = ledger.enqueue("operator:add", (1, 2))
    farm.start("--burst", ready=False)
    assert farm.wait() == 0, farm.log
    for job_id, (task, said) in zip(ids, TASKS, strict=True):
        error = ledger.error(job_id)
        assert error == said or (error.startswith("SyntaxError") and said.startswith("SyntaxError")), task
    assert ledger.result(last).value == 3
    assert farm.log_lines(r"left: \d+ outcomes committed, 2 jobs refused"), farm.log
    ledger.check_all_ended()


HOOK = """\
import runpy, sys
import runners.python

def setup(self, options, context):
    raise OSError("libmagic.so is not there")

runners.python.PythonRunner.setup = setup
module = sys.argv[3]
sys.argv = [module, *sys.argv[4:]]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""In the place of the interpreter that the supervisor starts its children with: one where the runner cannot be set up."""


def test_a_runner_that_cannot_be_set_up_ends_the_farm(make_farm: MakeFarm, ledger: Ledger, tmp_path: Path) -> None:
    hook, python, wrapper = tmp_path / "hook.py", tmp_path / "python", tmp_path / "wrapper.py"
    hook.write_text(HOOK)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P {shlex.quote(str(hook))} "$@"\n')
    python.chmod(0o755)
    wrapper.write_text(f"import sys\nsys.executable = {str(python)!r}\nfrom farm.cli.main import main\nsys.exit(main(sys.argv[4:]))\n")
    job_id = ledger.enqueue("operator:add", (1, 2), max_attempts=1)
    farm = make_farm(wrapper=[sys.executable, str(wrapper)])
    farm.start("--burst", ready=False)
    assert farm.wait() == 2, farm.log
    assert farm.log_lines(
        r"ERROR lane default has 0 of 2 subworkers: runner python: OSError: libmagic.so is not there \(hook.py, line 5\);"
    )
    assert farm.log_lines(r"ERROR no subworker could be set up, in 4 tries of each: the farm gives up$")
    assert ledger.places()[job_id].place in ("ready", "returned")
    ledger.check()


@needs_mounts
@pytest.mark.timeout(90)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_full_disk_fails_the_result_that_does_not_fit_and_holds_back_arguments(
    make_farm: MakeFarm, ledger: Ledger, tmp_path: Path, concurrency: int
) -> None:
    """Jobs with small results go on; what was held back is given back unharmed at the end."""
    home = tmp_path / "small"
    home.mkdir()
    lanes = {"default": {"queues": ["*"], "subworkers": 1, "concurrency": concurrency}}
    farm = make_farm(home=home, wrapper=with_mounts([], (home, "size=256k")), lanes=lanes)
    large = ledger.enqueue("give_text", (2_000_000,), max_attempts=1)
    small = ledger.enqueue("give_text", (20,))
    farm.start()
    error = ledger.error(large)
    assert error.startswith("ResultNotKept: the result is 2,000,002 bytes long and cannot be kept in ")
    assert error.endswith(": No space left on device")
    assert ledger.result(small).status == 1
    waiting = ledger.enqueue("length_of", ("a" * 900_000,), max_attempts=1)
    farm.wait_log("WARNING jobs with large arguments wait: they cannot be spilled to the state directory")
    farm.stop()
    wait_for(lambda: ledger.places()[waiting].place in ("ready", "returned"), "the job that was held back")
    assert ledger.places()[waiting].attempt == 0
    ledger.check()
