"""A job under Python's own debugger: it stops where the task's function begins, and once more where an exception came from."""

from __future__ import annotations

import pdb  # noqa: T100 - it is what this module is for
from bdb import BdbQuit
from collections.abc import Callable
from types import CodeType
from typing import Any

from farm.ports import Job

DEBUGGER_FRAMES = 2
"""Frames on top of a traceback beside those that are there without it: of run_one, and of the debugger."""


def run_debugged(run: Callable[[Job], Any], runner: Any, task: str) -> Callable[[Job], Any]:
    """Return a function that does what `run` does, under the debugger; the terminal belongs to it."""

    def run_one(job: Job) -> Any:
        debugger = pdb.Pdb(nosigint=True)
        try:
            if (code := _code_of(runner, task)) is not None:
                # Not the first line of the runner, which is the farm's own and of no interest: on to the function.
                debugger.rcLines += [f"tbreak {code.co_filename}:{_first_line(code)}", "continue"]
            return debugger.runcall(run, job)
        except BdbQuit:
            raise KeyboardInterrupt("the debugger was left") from None
        except BaseException as error:
            print(f"{type(error).__name__}: {error}")
            pdb.post_mortem(error.__traceback__)
            raise

    return run_one


def _code_of(runner: Any, task: str) -> CodeType | None:
    """Return the code of a task's function, None where nobody knows it, as of functions written in C."""
    find = getattr(runner, "find", None)
    code = getattr(find(task) if find is not None else None, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _first_line(code: CodeType) -> int:
    """Return the first line that does something."""
    lines = [line for _start, _end, line in code.co_lines() if line is not None and line > code.co_firstlineno]
    return min(lines, default=code.co_firstlineno)
