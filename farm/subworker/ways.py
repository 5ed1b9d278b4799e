"""The ways in which a runner may run jobs, seen as one: a function of a job."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from farm.ports import Job

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def way_to_run(runner: Any, awaits: Callable[[AbstractEventLoop, Any], None] | None = None) -> Callable[[Job], Any]:
    """Return how this runner runs one job in a lane with one job at a time: its `run`, else `arun`, else `run_many` of one.

    `arun` runs on a loop that is kept from job to job, because making one costs more than most jobs. awaits is called with that loop
    and the coroutine, right before it runs.
    """
    if hasattr(runner, "run"):
        run: Callable[[Job], Any] = runner.run
        return run
    if hasattr(runner, "arun"):
        import asyncio

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)

        def run_awaited(job: Job) -> Any:
            coroutine = runner.arun(job)
            if awaits is not None:
                awaits(loop, coroutine)
            return loop.run_until_complete(coroutine)

        return run_awaited
    return lambda job: _only(runner.run_many([job]))


def way_to_bind(runner: Any) -> Callable[[str], Callable[[Any], Any] | None]:
    """Return how this runner binds a task: its `bind` (RunsBound), else nothing is ever bound."""
    bind: Callable[[str], Callable[[Any], Any] | None] = getattr(runner, "bind", _bind_nothing)
    return bind


def _bind_nothing(task: str) -> None:
    return None


class WaysAtOnce(NamedTuple):
    """How a runner runs jobs in a lane with many at once."""

    begin: Callable[[Job], Coroutine[Any, Any, Any] | None]
    """Returns the coroutine to await, or None: this job is to be `run` in a thread."""
    run: Callable[[Job], Any]


def ways_at_once(runner: Any) -> WaysAtOnce:
    """Return how this runner runs jobs beside each other: `arun` on the loop, unless it says that a job blocks; the rest in threads."""
    if not hasattr(runner, "arun"):
        return WaysAtOnce(lambda job: None, way_to_run(runner))
    arun: Callable[[Job], Coroutine[Any, Any, Any]] = runner.arun
    if not hasattr(runner, "blocks"):
        return WaysAtOnce(arun, _never)
    blocks: Callable[[Job], bool] = runner.blocks
    return WaysAtOnce(lambda job: None if blocks(job) else arun(job), way_to_run(runner))


def _never(job: Job) -> Any:
    raise AssertionError(f"job {job.id} was to be awaited")


def _only(results: Any) -> Any:
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result
