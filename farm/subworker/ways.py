"""The three ways in which a runner may run jobs, seen as one: a function of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from farm.ports import Job


def way_to_run(runner: Any) -> Callable[[Job], Any]:
    """Return how this runner runs one job in a lane with one job at a time: its `run`, else `arun`, else `run_many` of one.

    `arun` runs on a loop that is kept from job to job, because making one costs more than most jobs.
    """
    if hasattr(runner, "run"):
        run: Callable[[Job], Any] = runner.run
        return run
    if hasattr(runner, "arun"):
        import asyncio

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return lambda job: loop.run_until_complete(runner.arun(job))
    return lambda job: _only(runner.run_many([job]))


def _only(results: Any) -> Any:
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result
