"""Runs Python functions: a task is `module:function`, its args are the function's arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from importlib import import_module
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar

from farm.errors import RunnerError
from farm.ports import Job, SubworkerContext

if TYPE_CHECKING:
    import asyncio

TASK = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")
"""`package.module:function`. The function is one plain name: no attribute of an attribute can be reached."""

OWN_PACKAGES = ("farm", "runners")
OPTIONS = ("allow", "path")


class TaskNotFound(LookupError):
    """There is no such function to run."""


class PythonRunner:
    """Options: `allow`, patterns of tasks that may run here (`module:function`, `*` matches anything; none by default);
    `path`, directories of the user's modules, relative to where farm was started, searched after everything installed."""

    name: ClassVar[str] = "python"

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def configure(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Validate `allow` and `path`; directories come back absolute. Raises RunnerError."""
        for option in options:
            if option not in OPTIONS:
                raise RunnerError(option, f"unknown option; the python runner has {' and '.join(OPTIONS)}")
        allow = _strings(options, "allow")
        for pattern in allow:
            if pattern.count(":") != 1 or pattern.startswith(":") or pattern.endswith(":"):
                raise RunnerError("allow", f"expected patterns like 'module:function' or 'module:*', got {pattern!r}")
        return {"allow": allow, "path": [_directory(entry) for entry in _strings(options, "path")]}

    @classmethod
    def allows(cls, options: Mapping[str, Any], task: str) -> str | None:
        """Say why the task may not run: its name is no `module:function`, or no pattern of `allow` matches."""
        if TASK.fullmatch(task) is None:
            return "not a python task: expected 'module:function'"
        for pattern in options["allow"]:
            if _compiled(pattern).match(task):
                return None
        return "not allowed here: no pattern of runners.python.allow matches"

    def setup(self, options: Mapping[str, Any], context: SubworkerContext) -> None:
        """Make the user's modules importable, behind everything that is installed."""
        sys.path.extend(entry for entry in context.path if entry not in sys.path)

    def run(self, job: Job) -> Any:
        """Call the task's function. Raises whatever it raises, or TaskNotFound."""
        function = self._functions.get(job.task) or self._find(job.task)
        args = job.args
        value = function(**args) if type(args) is dict else function(*args)
        return self._await(value) if type(value) is CoroutineType else value

    def _find(self, task: str) -> Callable[..., Any]:
        match = TASK.fullmatch(task)
        if match is None:
            raise TaskNotFound(f"{task!r} is not 'module:function'")
        module_name = match["module"]
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
                raise TaskNotFound(f"there is no module {error.name!r}; is its directory in runners.python.path?") from None
            raise
        function: Callable[..., Any] | None = getattr(module, match["function"], None)
        # What @farm.task has made of a function stands in its place.
        function = getattr(function, "__farm_function__", function)
        if function is None or not callable(function):
            raise TaskNotFound(f"module {module_name!r} has no function {match['function']!r}")
        self._functions[task] = function
        return function

    def _await(self, coroutine: Any) -> Any:
        """Run a coroutine on a loop that is kept for the next one: making a loop costs more than most jobs."""
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(coroutine)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def _strings(options: Mapping[str, Any], option: str) -> list[str]:
    value = options.get(option) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
        raise RunnerError(option, f"expected a list of strings, got {value!r}")
    return list(value)


def _directory(entry: str) -> str:
    """Resolve one entry of `path`. A module named like one of farm's own packages would shadow it or be shadowed: refused."""
    directory = os.path.abspath(os.path.expanduser(entry))
    if not os.path.isdir(directory):
        raise RunnerError("path", f"there is no directory {entry!r} (looked for {directory})")
    for package in OWN_PACKAGES:
        for candidate in (os.path.join(directory, package), os.path.join(directory, package + ".py")):
            if os.path.exists(candidate) and not _is_own(package, candidate):
                raise RunnerError("path", f"{candidate} has the name of a package of farm's own: rename it")
    return directory


def _is_own(package: str, candidate: str) -> bool:
    own = import_module(package).__file__
    return own is not None and os.path.isdir(candidate) and os.path.samefile(os.path.dirname(own), candidate)
