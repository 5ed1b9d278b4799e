"""A bar for what takes a while: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

QUIET_S = 0.5
"""What is done sooner needs no bar."""

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, total: int | None = None, *, noun: str = "jobs") -> Iterator[Advance]:
    """Give a function to be told of each piece that is done, how large it was. total: of all pieces; None: nobody knows."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    with ExitStack() as stack:
        yield _later(stack, what, total, noun)


def _later(stack: ExitStack, what: str, total: int | None, noun: str) -> Advance:
    """Return what shows a bar once there is something to wait for; the stack takes it away again."""
    began = time.monotonic()
    done = 0
    shown: Callable[[int], None] | None = None

    def advance(piece: int) -> None:
        nonlocal done, shown
        done += piece
        if shown is None and time.monotonic() - began > QUIET_S:
            shown = _bar(stack, what, total, noun)
        if shown is not None:
            shown(done)

    return advance


def _bar(stack: ExitStack, what: str, total: int | None, noun: str) -> Callable[[int], None]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    text = TextColumn(f"{{task.completed:,.0f}} {noun}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), text, TimeElapsedColumn())
    bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = bar.add_task(what, total=total)
    return lambda done: bar.update(task, completed=done)
