"""The runner of Python functions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.errors import RunnerError
from farm.ports import Job, SubworkerContext
from farm.subworker.ways import ways_at_once
from farm.supervisor.claims import refusals
from farm.supervisor.claims.refusals import Refusals
from runners.python import PythonRunner, TaskNotFound


@pytest.fixture
def user_modules(tmp_path: Path) -> Iterator[Path]:
    """A directory for modules of a user; what was imported from it is forgotten."""
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def ready(path: Path) -> PythonRunner:
    runner = PythonRunner()
    runner.setup({}, SubworkerContext(lane="default", concurrency=1, path=(str(path),)))
    return runner


def job(task: str, *args: object, **named: object) -> Job:
    return Job(1, task, named or list(args), 1)


def test_calls(user_modules: Path) -> None:
    """Lists are positional arguments, objects named ones; coroutines are awaited."""
    (user_modules / "calls_of_a_user.py").write_text(
        "import asyncio\ndef both(*args, **named): return [args, named]\nasync def later(x):\n    await asyncio.sleep(0)\n    return x\n"
    )
    runner = ready(user_modules)
    assert runner.run(job("calls_of_a_user:both", 1, [2])) == [(1, [2]), {}]
    assert runner.run(job("calls_of_a_user:both", a=1)) == [(), {"a": 1}]
    assert runner.run(job("calls_of_a_user:later", 7)) == 7
    assert runner.run(job("operator:mul", 6, 7)) == 42
    runner._loop.close()  # type: ignore[union-attr]


def test_which_calls_block(user_modules: Path) -> None:
    """Where many run at once, coroutine functions are awaited; others block, and what they return is left to the caller, coroutines too."""
    (user_modules / "blocks_of_a_user.py").write_text("async def later(x):\n    return x\ndef now(x):\n    return later(x)\n")
    runner = PythonRunner()
    runner.setup({}, SubworkerContext(lane="default", concurrency=2, path=(str(user_modules),)))
    later, now = job("blocks_of_a_user:later", 7), job("blocks_of_a_user:now", 8)
    assert (runner.blocks(later), runner.blocks(now), runner.blocks(job("operator:mul"))) == (False, True, True)
    assert [asyncio.run(coroutine) for coroutine in (runner.arun(later), runner.run(now))] == [7, 8]
    with pytest.raises(TaskNotFound):
        runner.blocks(job("blocks_of_a_user:missing"))
    begun = [ways_at_once(runner).begin(one) for one in (later, now)]
    assert begun[1] is None
    assert begun[0] is not None
    begun[0].close()


@pytest.mark.parametrize("task", ["missing_module:f", "operator:missing", "operator", "operator:__name__", "os.path.join:x"])
def test_what_is_missing(task: str) -> None:
    """A task that names no function says what is missing."""
    with pytest.raises(TaskNotFound):
        PythonRunner().run(job(task))


def test_a_module_that_misses_another(user_modules: Path) -> None:
    """An import that fails inside a user's module is told as it is, not as a missing task."""
    (user_modules / "needs_something.py").write_text("import surely_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        ready(user_modules).run(job("needs_something:f"))


def test_installed_modules_come_first(user_modules: Path) -> None:
    """A user's directory stands behind everything that is installed: it cannot take the place of a module."""
    (user_modules / "json.py").write_text("def dumps(value): return 'shadow'\n")
    ready(user_modules)
    assert sys.path[-1] == str(user_modules)


@pytest.mark.parametrize(
    ("allow", "task", "may"),
    [
        (["mail:*"], "mail:send", True),
        (["mail:*"], "mail.sub:send", False),
        (["mail.*:*"], "mail.sub:send", True),
        (["mail:send"], "mail:send_all", False),
        (["mail:send_*"], "mail:send_all", True),
        (["*:*"], "os:system", True),
        (["mail:*"], "xmail:send", False),
        (["mail:*"], "mail:send\n", False),
        (["*:*"], "mail:a.b", False),
        (["*:*"], "mail", False),
        ([], "mail:send", False),
    ],
)
def test_allow_list(allow: list[str], task: str, may: bool) -> None:
    """Only whole names that match a pattern may run, and only plain functions of modules."""
    assert (PythonRunner.allows(PythonRunner.configure({"allow": allow}), task) is None) is may


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"allow": "mail:*"}, "allow"),
        ({"allow": None}, "allow"),
        ({"allow": ["a:b", 1]}, "allow[1]"),
        ({"allow": ["mail"]}, "allow[0]"),
        ({"allow": ["a:b:c"]}, "allow[0]"),
        ({"allow": [":b"]}, "allow[0]"),
        ({"path": [".", "/surely/not/there"]}, "path[1]"),
    ],
)
def test_wrong_options(options: dict[str, object], option: str) -> None:
    """A wrong option is refused by its name."""
    with pytest.raises(RunnerError) as refused:
        PythonRunner.configure(options)
    assert refused.value.option == option


@pytest.mark.parametrize("name", ["farm", "runners.py"])
def test_names_of_farms_own(tmp_path: Path, name: str) -> None:
    """A directory with a module that is named like one of farm's own packages is refused."""
    (tmp_path / name).mkdir() if name == "farm" else (tmp_path / name).touch()
    with pytest.raises(RunnerError, match="rename it"):
        PythonRunner.configure({"path": [str(tmp_path)]})


def test_refusals_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner is asked once for each task, and what is remembered is bounded."""
    asked: list[str] = []

    def allows(options: object, task: str) -> str | None:
        asked.append(task)
        return None if task == "a:b" else "no"

    monkeypatch.setattr(PythonRunner, "allows", allows)
    monkeypatch.setattr(refusals, "TASKS_MAX", 3)
    known = Refusals({"python": {"allow": []}})
    for _ in range(3):
        assert known.reason("python", b"a:b") is None
        assert known.reason("python", b"c:d") == "no"
    assert asked == ["a:b", "c:d"]
    for name in (b"e:f", b"g:h", b"i:j"):
        known.reason("python", name)
    assert len(known._known) <= 3
    assert known.reason("python", b"\xff") == "its name is not text"
