"""Jobs that print."""

from __future__ import annotations

import asyncio
import ctypes
import io
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

log = logging.getLogger("talking")


def everything() -> None:
    """Print in every way that Python has."""
    print("printed")
    print("to stderr", file=sys.stderr)
    log.info("logged %d", 1)
    log.debug("not logged")
    sys.stdout.buffer.write(b"bytes \x00\xff\n")
    thread = threading.Thread(target=print, args=("by a thread",))
    thread.start()
    thread.join()
    sys.stdout.write("without an end")


def silent() -> None:
    """Print nothing."""


def past_python() -> None:
    """Print past sys.stdout."""
    subprocess.run(["echo", "by a program"], check=True)
    if not os.fork():
        print("by a fork", flush=True)
        os._exit(0)
    os.wait()
    print("by the job")


def much(lines: int, result_bytes: int) -> str:
    """Print many lines, and return a long text."""
    for line in range(lines):
        print(f"line {line:06}")
    return "x" * result_bytes


def fail(text: str) -> None:
    """Print and fail."""
    print(text)
    raise ValueError(text)


def take_away() -> None:
    """Put something else in the place of the streams, and close them."""
    sys.stdout.close()
    sys.stderr.close()
    sys.stdout = io.StringIO()
    print("into nothing")
    del sys.stderr


def crash(text: str) -> None:
    """Print and crash in C."""
    print(text)
    ctypes.string_at(0)


def hang(text: str) -> None:
    """Print and go on for ever."""
    print(text)
    time.sleep(3600)


def hold(gone: str, text: str) -> None:
    """Print until a file is gone."""
    number = 0
    while Path(gone).exists():
        print(f"{text} {number}")
        number += 1
        time.sleep(0.01)
    print("the end")


def number(which: int) -> None:
    """Print a number, often."""
    for _ in range(20):
        print("number", which)


async def interleaved(which: int) -> None:
    """Print a number, beside others that do so."""
    for _ in range(20):
        print("number", which)
        await asyncio.sleep(0)
    await asyncio.gather(*[_say(which) for _ in range(3)])
    await asyncio.to_thread(print, "number", which)


async def _say(which: int) -> None:
    await asyncio.sleep(0.001)
    print("number", which)
