"""Runs Python functions: a task is `module:function`, its args are the function's arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from importlib import import_module
from inspect import iscoroutinefunction, signature
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar

from farm.errors import RunnerError
from farm.ports import Job, SubworkerContext

if TYPE_CHECKING:
    import asyncio

TASK = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")
"""`package.module:function`. The function is one plain name: no attribute of an attribute can be reached."""

OWN_PACKAGES = ("farm", "runners")
PATTERN = re.compile(r"[^:]+:[^:]+")
"""What `allow` lists: `module:function` with `*`, `?` and `[ab]` in it."""


class TaskNotFound(LookupError):
    """There is no such function to run."""


class WrongArguments(TypeError):
    """A job's arguments do not fit the parameters of its function."""


class PythonRunner:
    """Options: `allow`, patterns of tasks that may run here (`module:function`, `*` matches anything; none by default);
    `path`, directories of the user's modules, relative to where farm was started, searched after everything installed."""

    name: ClassVar[str] = "python"
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "allow": {
            "description": "Patterns of tasks that may run here, as `module:function`; `*` matches any text. None by default.",
            "type": "array",
            "items": {"type": "string", "pattern": f"^{PATTERN.pattern}$"},
            "default": [],
        },
        "path": {
            "description": "Directories of your own modules, relative to where farm is started, searched after all that is installed.",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": [],
        },
    }

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}
        self._bound: dict[str, Callable[[Any], Any]] = {}
        self._blocks: dict[str, bool] = {}
        self._awaits = True
        self._imported: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awaits_now: Callable[[asyncio.AbstractEventLoop, Any], None] | None = None

    @classmethod
    def configure(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Validate `allow` and `path`; directories come back absolute. Raises RunnerError, for the first of what is wrong."""
        allow = _strings(options, "allow")
        for index, pattern in enumerate(allow):
            if PATTERN.fullmatch(pattern) is None:
                raise RunnerError(f"allow[{index}]", f"expected a pattern like 'module:function' or 'module:*', got {pattern!r}")
        return {"allow": allow, "path": [_directory(f"path[{index}]", entry) for index, entry in enumerate(_strings(options, "path"))]}

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
        self._awaits = context.concurrency == 1
        self._awaits_now = context.awaits
        self._imported = context.imported

    def run(self, job: Job) -> Any:
        """Call the task's function. Raises whatever it raises, or TaskNotFound. Coroutines are awaited, or left to the subworker's loop."""
        function = self._functions.get(job.task) or self._bind(job.task)
        args = job.args
        # What a bound call does, written out: its frame would stand in the tracebacks of jobs.
        try:
            value = function(**args) if type(args) is dict else function(*args)
        except TypeError as error:
            if not _may_have_begun(error, function, args):
                raise WrongArguments(str(error)) from None
            raise
        return self._await(value) if type(value) is CoroutineType and self._awaits else value

    def bind(self, task: str) -> Callable[[Any], Any] | None:
        """Return a function of the args that calls the task's function, once that is imported."""
        return self._bound.get(task)

    def arun(self, job: Job) -> CoroutineType[Any, Any, Any]:
        """Call the task's function, which is a coroutine function; see blocks()."""
        function, args = self._functions[job.task], job.args
        try:
            coroutine: CoroutineType[Any, Any, Any] = function(**args) if type(args) is dict else function(*args)
        except TypeError as error:
            if not _may_have_begun(error, function, args):
                raise WrongArguments(str(error)) from None
            raise
        return coroutine

    def blocks(self, job: Job) -> bool:
        """Tell whether the task is no coroutine function. Raises TaskNotFound, or whatever the import of its module raises."""
        blocks = self._blocks.get(job.task)
        if blocks is None:
            # Imported in the loop's thread, which is the main one: modules may count on that.
            blocks = self._blocks[job.task] = not iscoroutinefunction(self.find(job.task))
        return blocks

    def _bind(self, task: str) -> Callable[..., Any]:
        function, awaits = self.find(task), self._awaits

        def call(args: Any) -> Any:
            try:
                value = function(**args) if type(args) is dict else function(*args)
            except TypeError as error:
                if not _may_have_begun(error, function, args):
                    raise WrongArguments(str(error)) from None
                raise
            return self._await(value) if type(value) is CoroutineType and awaits else value

        self._bound[task] = call
        return function

    def find(self, task: str) -> Callable[..., Any]:
        """Return the function that a task names. Raises TaskNotFound, or whatever the import of its module raises."""
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
        self._imported()
        name = match["function"]
        function: Callable[..., Any] | None = getattr(module, name, None)
        if not hasattr(module, name):
            raise TaskNotFound(f"module {module_name!r} has no function {name!r}")
        # What @farm.task has made of a function stands in its place.
        function = getattr(function, "__farm_function__", function)
        if function is None or not callable(function):
            raise TaskNotFound(f"{name!r} in module {module_name!r} is no function but {type(function).__name__}")
        self._functions[task] = function
        return function

    def _await(self, coroutine: Any) -> Any:
        """Run a coroutine on a loop that is kept for the next one: making a loop costs more than most jobs."""
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        if self._awaits_now is not None:
            self._awaits_now(self._loop, coroutine)
        return self._loop.run_until_complete(coroutine)


def _may_have_begun(error: TypeError, function: Callable[..., Any], args: Any) -> bool:
    """Tell whether the error of a call may come from within the function: whether there is more in its traceback, or the arguments fit."""
    trace = error.__traceback__
    return trace is None or trace.tb_next is not None or _fits(function, args)


def _fits(function: Callable[..., Any], args: Any) -> bool:
    """Tell whether a function has parameters for these arguments; yes where nobody knows its parameters, as of some written in C."""
    try:
        parameters = signature(function)
    except (TypeError, ValueError):
        return True
    try:
        parameters.bind(**args) if type(args) is dict else parameters.bind(*args)
    except TypeError:
        return False
    return True


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def _strings(options: Mapping[str, Any], option: str) -> list[str]:
    value = options.get(option, [])
    if not isinstance(value, list):
        raise RunnerError(option, f"expected a list of strings, got {_shown(value)}")
    for index, entry in enumerate(value):
        if not isinstance(entry, str) or not entry:
            raise RunnerError(f"{option}[{index}]", f"expected a string, got {_shown(entry)}")
    return list(value)


def _shown(value: Any) -> str:
    """Show a value as it is written in YAML, if it is a short one."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _directory(option: str, entry: str) -> str:
    """Resolve one entry of `path`. A module named like one of farm's own packages would shadow it or be shadowed: refused."""
    directory = os.path.abspath(os.path.expanduser(entry))
    if not os.path.isdir(directory):
        raise RunnerError(option, f"there is no directory {entry!r} (looked for {directory})")
    for package in OWN_PACKAGES:
        for candidate in (os.path.join(directory, package), os.path.join(directory, package + ".py")):
            if os.path.exists(candidate) and not _is_own(package, candidate):
                raise RunnerError(option, f"{candidate} has the name of a package of farm's own: rename it")
    return directory


def _is_own(package: str, candidate: str) -> bool:
    own = import_module(package).__file__
    return own is not None and os.path.isdir(candidate) and os.path.samefile(os.path.dirname(own), candidate)
