"""Tasks that run many at once in one subworker: ones that need each other, and ones that are bad neighbours."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from chores import leave_line  # type: ignore[import-not-found]

_seat: contextvars.ContextVar[int] = contextvars.ContextVar("seat", default=0)
_barriers: dict[int, threading.Barrier] = {}
_arrived: set[int] = set()


async def mark(path: str, number: int, seconds: float = 0.0) -> int:
    """Leave a line that this job was started, sleep, and return the number."""
    leave_line(path, f"{number} {os.getpid()}")
    await asyncio.sleep(seconds)
    return number


async def mark_until(path: str, number: int, gone: str) -> int:
    """Leave a line, then run until a file is gone."""
    leave_line(path, f"{number} {os.getpid()}")
    while os.path.exists(gone):
        await asyncio.sleep(0.005)
    return number


def meet(number: int) -> str:
    """Block until so many jobs are here at once, each in a thread; returns the thread's name."""
    _barriers.setdefault(number, threading.Barrier(number)).wait()
    return threading.current_thread().name


async def keep_all(path: str, gone: str) -> None:
    """Leave a line, then give way to nobody until a file is gone."""
    leave_line(path, "here")
    while os.path.exists(gone):
        time.sleep(0.005)


async def meet_async(number: int, me: int) -> int:
    """Wait until so many jobs are here at once, on one loop."""
    _arrived.add(me)
    while len(_arrived) < number:
        await asyncio.sleep(0.001)
    return os.getpid()


def sit(seat: int) -> int:
    """Return what an earlier job in this thread has left in its context: nothing."""
    found = _seat.get()
    _seat.set(seat)
    return found


async def sit_async(seat: int) -> int:
    """Return what an earlier job on this loop has left in its context: nothing."""
    found = _seat.get()
    _seat.set(seat)
    await asyncio.sleep(0)
    return found


async def give_text(length: int) -> str:
    """Return a text of that length."""
    return "r" * length


async def raise_named(name: str) -> None:
    """Raise an exception of that name after a moment on the loop."""
    await asyncio.sleep(0.001)
    raise {"CancelledError": asyncio.CancelledError, "SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[name]("so it goes")


def raise_in_thread(name: str) -> None:
    """Raise an exception of that name in a thread."""
    raise {"CancelledError": asyncio.CancelledError, "SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}[name]("so it goes")


async def cancel_itself() -> None:
    """Cancel the task in which this job runs."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def shrug() -> int:
    """Be cancelled, and go on."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(0.001)
    return 1


async def cancel_all() -> int:
    """Cancel every other task of the loop, begun or not; returns how many."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    return len(others)


async def leave_task() -> int:
    """Leave a task behind that never ends, and one that ends in SystemExit."""

    async def leave() -> None:
        sys.exit(5)

    await asyncio.sleep(0)
    _left.append(asyncio.ensure_future(asyncio.sleep(3600)))
    _left.append(asyncio.ensure_future(leave()))
    return 1


_left: list[Any] = []


async def stop_loop() -> int:
    """Stop the loop that all run on."""
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    return 1


async def fork_on_loop() -> int:
    """Come back twice, from two processes."""
    os.fork()
    await asyncio.sleep(0.001)
    return 1


def fork_in_thread() -> int:
    """Come back twice, from two processes."""
    os.fork()
    return 1


def later(value: int) -> Any:
    """Look like a plain function, and return a coroutine."""
    return asyncio.sleep(0.001, value)


async def run_program() -> str:
    """Run a program beside the loop."""
    program = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    out, _ = await program.communicate()
    return out.decode().strip()


async def hang(path: str, number: int) -> None:
    """Leave a line, then never end."""
    leave_line(path, f"{number} {os.getpid()}")
    await asyncio.Event().wait()


async def allocate(megabytes: int) -> int:
    """Use that much memory."""
    return len(bytearray(megabytes * 1_000_000))


def recurse() -> int:
    """Call itself for ever, through C."""
    return sorted([1, 2], key=lambda _: recurse())[0]


def block(gone: str) -> None:
    """Block a thread until a file is gone."""
    while Path(gone).exists():
        time.sleep(0.005)


async def tidy() -> str:
    """Be cancelled, and come to a result all the same."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.01)
    return "tidied"


async def shrug_off() -> None:
    """Do not listen."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


async def block_all() -> None:
    """Hold up the loop that all run on."""
    time.sleep(3600)


def sleep_in_thread() -> None:
    """Block a thread for ever."""
    time.sleep(3600)
