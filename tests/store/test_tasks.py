"""Functions made tasks by @farm.task: what they file, through which client, and what is no task."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, assert_type

import psycopg
import pytest

import farm
from farm import tasks
from tests.store.bench import Bench


@farm.task
def plain(path: str, width: int = 100, *, fast: bool = False) -> str:
    """Resize."""
    return f"{path} {width} {fast}"


@farm.task(queue="images", max_attempts=7, timeout="1.5s", memory="512MB", priority=2, runner="python", retry="1s to 10m", expires="1h")
async def declared(path: str) -> int:
    return len(path)


@farm.task
def by_position(first: int, /, *rest: int, **named: int) -> None: ...


STORED = """
    SELECT j.task, j.args, c.queue, c.runner, c.memory_mb, j.priority, j.max_attempts, j.timeout_ms,
        (extract(epoch FROM j.run_at - j.created_at))::bigint, j.retry_base_ms, j.retry_cap_ms,
        CASE WHEN j.expires_at = '2100-01-01T00:00Z' THEN -1 ELSE extract(epoch FROM j.expires_at - j.created_at)::bigint END
    FROM farm.job AS j JOIN farm.class AS c ON c.id = j.class_id ORDER BY j.id"""
HERE = __name__


@pytest.fixture
def own_client(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's client is that of this test's database, and gone afterwards."""
    monkeypatch.setenv("FARM_DSN", dsn)
    monkeypatch.setattr(tasks, "_client", None)
    yield
    tasks._close_client()


def test_a_task_is_still_its_function() -> None:
    assert assert_type(plain("a", width=3), str) == "a 3 False"
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("plain", "Resize.", HERE)
    assert list(inspect.signature(plain).parameters) == ["path", "width", "fast"]
    assert asyncio.run(assert_type(declared("abc"), Coroutine[Any, Any, int])) == 3
    assert repr(plain) == f"<farm task {HERE}:plain>"
    assert plain.using(priority=0)("a") == "a 100 False"


@pytest.mark.usefixtures("own_client")
def test_arguments_and_options_are_filed(bench: Bench) -> None:
    """Options of a call win over the decorator's; arguments by position and by name are filed by name."""
    ids = [
        plain.enqueue("a", 3),
        plain.enqueue("a", fast=True),
        plain.enqueue(path="a"),
        declared.enqueue("b"),
        declared.using(queue="urgent", priority=0, delay="5m", timeout=3, memory=10**9, max_attempts=1, retry=2).enqueue("c"),
        declared.using(expires=datetime(2100, 1, 1, tzinfo=UTC))
        .using(run_at=datetime(2099, 1, 1, tzinfo=UTC))
        .using(delay=60)
        .enqueue("d"),
    ]
    assert bench.rows(STORED) == [
        (f"{HERE}:plain", ["a", 3], "default", "python", 0, 4, None, None, None, None, None, None),
        (f"{HERE}:plain", {"path": "a", "fast": True}, "default", "python", 0, 4, None, None, None, None, None, None),
        (f"{HERE}:plain", {"path": "a"}, "default", "python", 0, 4, None, None, None, None, None, None),
        (f"{HERE}:declared", ["b"], "images", "python", 512, 2, 7, 1500, None, 1000, 600_000, 3600),
        (f"{HERE}:declared", ["c"], "urgent", "python", 1000, 0, 1, 3000, 300, 2000, None, 3600),
        (f"{HERE}:declared", ["d"], "images", "python", 512, 2, 7, 1500, 60, 1000, 600_000, -1),
    ]
    assert tasks.default_client().enqueue_many(plain.job(str(n)) for n in range(3)) == [ids[-1] + 1, ids[-1] + 2, ids[-1] + 3]


def test_a_call_may_name_its_client_and_its_transaction(bench: Bench) -> None:
    with farm.connect(bench.dsn) as client, psycopg.connect(bench.dsn) as own:
        plain.using(client=client, connection=own).enqueue("a")
        assert bench.value("SELECT count(*) FROM farm.job") == 0
        own.commit()
        assert bench.value("SELECT count(*) FROM farm.job") == 1


@pytest.mark.usefixtures("own_client")
def test_there_is_one_client_a_process(bench: Bench) -> None:
    plain.enqueue("parent")
    mine = tasks.default_client()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            plain.enqueue("child")
            status = 2 if tasks.default_client() is mine else 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    plain.enqueue("parent again")
    assert tasks.default_client() is mine
    assert bench.value("SELECT count(*) FROM farm.job") == 3


def _wrongly_typed() -> None:
    """Never called: mypy must find each of these, since an ignore that ignores nothing is an error too."""
    plain.enqueue(3)  # type: ignore[arg-type]
    plain.enqueue()  # type: ignore[call-arg]
    plain.using(priority=1).enqueue("a", widht=3)  # type: ignore[call-arg]
    plain.job("a", fast="yes")  # type: ignore[arg-type]
    farm.task(queues="a")  # type: ignore[call-overload]


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    for call, complaint in (
        (lambda: plain.job(), "plain: missing a required argument: 'path'"),  # type: ignore[call-arg]
        (lambda: plain.job("a", widht=3), "plain: got an unexpected keyword argument 'widht'"),  # type: ignore[call-arg]
        (lambda: by_position.job(1, 2, name=3), "by_position: expected arguments by position or by name, got both"),
        (lambda: farm.connect("host=/nonexistent").enqueue(**plain.job("\0")), "args[0]: expected text without NUL"),
    ):
        with pytest.raises(farm.InvalidJob) as refused:
            call()
        assert complaint in str(refused.value)
        assert "\n" not in str(refused.value)
    assert by_position.job(1, 2)["args"] == [1, 2]


def test_options_are_checked_where_they_are_written() -> None:
    for options, complaint in (
        ({"priority": 11}, "f: priority: expected 0 to 9, got 11"),
        ({"queue": "Mail"}, "f: queue: expected a name like"),
        ({"timeout": "soon"}, "timeout: expected a duration such as 250ms"),
        ({"timeout": 0}, "f: timeout_s: expected 0.001 to 2000000 seconds, got 0.0"),
        ({"retry": "often"}, "f: retry: expected a delay such as 10s, or one that grows"),
        ({"expires": "soon"}, "expires: expected a duration such as 5m or a time such as"),
        ({"expires": datetime(2100, 1, 1)}, "f: expires_at: expected a datetime with a time zone"),
        ({"memory": "much"}, "f: memory: expected a size such as 512MB"),
        ({"max_attempts": True}, "f: max_attempts: expected 1 to 10000, got True"),
    ):
        with pytest.raises(farm.InvalidJob) as refused:
            farm.task(**options)(plain_function())
        assert str(refused.value).startswith(complaint)
    with pytest.raises(farm.InvalidJob, match="plain: delay_s: expected 0 to 3155760000 seconds"):
        plain.using(delay="36600d")
    with pytest.raises(farm.InvalidJob, match="declared: expires_s: expected a time after the one when the job is due, got 3600"):
        declared.using(delay="2h")


def plain_function() -> Any:
    def f() -> None: ...

    f.__qualname__ = "f"
    return f


class Holder:
    def method(self) -> None: ...


def test_what_subworkers_could_not_find_is_no_task() -> None:
    def nested() -> None: ...

    for function, got in (
        (nested, "test_what_subworkers_could_not_find_is_no_task.<locals>.nested"),
        (lambda: None, "a lambda"),
        (Holder.method, "Holder.method"),
        (Holder(), "Holder"),
        (3, "int"),
    ):
        with pytest.raises(farm.InvalidJob) as refused:
            farm.task(function)  # type: ignore[arg-type]
        expected = "farm.task: expected a function at the top level of a module, where subworkers can import it, got "
        assert str(refused.value) == expected + got


SCRIPT = """
import sys
import farm

@farm.task(queue="a", timeout="3s")
def f(): return 3

assert f() == 3
print([name for name in ("psycopg", "asyncio", "farm.client", "difflib", "rich") if name in sys.modules])
try:
    f.enqueue()
except farm.InvalidJob as error:
    print(error)
"""


def test_a_function_of_the_program_itself_can_be_called_and_not_enqueued(tmp_path: Path) -> None:
    """And a module of tasks loads nothing that only an enqueue needs."""
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-I", str(tmp_path / "script.py")], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    loaded, refused = done.stdout.splitlines()
    assert loaded == "[]"
    assert refused.startswith("f: expected a function of a module that subworkers can import, got one of the program itself (__main__)")
