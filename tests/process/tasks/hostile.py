"""Jobs that do what no job should."""

from __future__ import annotations

import ctypes
import itertools
import locale
import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).parent
RAISED: dict[str, type[BaseException]] = {
    "KeyboardInterrupt": KeyboardInterrupt,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "BaseException": BaseException,
}


def throw(name: str) -> None:
    """Raise what is no Exception, or means something to whoever calls."""
    raise RAISED[name]("on purpose")


def recurse(limit: int) -> Any:
    """Call itself for ever, with the limit that Python has or with none."""
    if limit:
        sys.setrecursionlimit(limit)

    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    return deeper(0)


def abort() -> None:
    """Give up as a C library does."""
    os.abort()


def read_nowhere() -> None:
    """Read at address 0."""
    ctypes.string_at(0)


def end_group() -> None:
    """Kill the process group that the subworker leads."""
    os.killpg(0, signal.SIGKILL)


def stop_itself() -> None:
    """Stop as if somebody had pressed Ctrl-Z."""
    os.kill(os.getpid(), signal.SIGSTOP)


def match_for_ever() -> Any:
    """Match a pattern that takes a lifetime: the regular expression engine does not look up."""
    return re.match(r"(a|aa)+$", "a" * 200 + "b")


def count_for_ever() -> Any:
    """Be busy in C without end."""
    return sum(itertools.repeat(0))


def deaf() -> None:
    """Ignore what can be ignored, and run for ever."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        sum(range(1000))


def print_binary(megabytes: int) -> int:
    """Print bytes that are no text, without an end of line."""
    block = bytes(range(11, 256)) * 4280
    return sum(os.write(1, block) for _ in range(megabytes))


def leave_with_pipe() -> int:
    """Leave a child behind that holds what this process prints to; returns its pid."""
    return subprocess.Popen(["sleep", "3600"]).pid


def leave_session() -> int:
    """Leave a child behind in a session of its own, where no signal to a group reaches it; returns its pid."""
    return subprocess.Popen(["sleep", "3601"], start_new_session=True).pid


class OddType(type):
    """Its classes do not say what they are."""

    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(1)


class OddText(str):
    """A text that does not let itself be read."""

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise SystemExit(2)

    def __len__(self) -> int:
        raise SystemExit(3)

    def __getitem__(self, _: Any) -> str:
        raise SystemExit(4)

    def __format__(self, _: str) -> str:
        raise SystemExit(5)


class SaysOdd(Exception):
    def __str__(self) -> str:
        return OddText("odd")


class EndsWhenAsked(Exception):
    def __str__(self) -> str:
        sys.exit(6)


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


class Masked(Exception):
    """Pretends to be of a class that breaks."""

    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(7)


def complain(kind: str) -> NoReturn:
    """Raise an exception that is hard to tell of."""
    if kind == "nameless":
        raise OddType("Nameless", (Exception,), {})("no name")
    if kind == "long":
        raise ValueError("x" * 10_000_000)
    raise {"odd": SaysOdd, "ends": EndsWhenAsked, "locked": Locked, "masked": Masked}[kind]


class OddDict(dict[str, Any]):
    def items(self) -> Any:
        raise SystemExit(9)

    def __iter__(self) -> Any:
        raise SystemExit(10)


class OddObject:
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(11)

    def __repr__(self) -> str:
        return "y" * 10_000_000

    def default(self) -> NoReturn:
        raise SystemExit(12)


def give_odd(kind: str) -> Any:
    """Return what lies about itself, or does something when it is looked at."""
    values: dict[str, Any] = {
        "dict": OddDict(a=1),
        "text": OddText("plain"),
        "object": OddObject(),
        "within": OddDict(a=[OddObject()]),
        "nan within": OddDict(a=float("nan")),
        "class": OddObject,
        "number": type("Number", (int,), {"__str__": abort, "__int__": abort})(7),
    }
    return values[kind]


def look() -> dict[str, Any]:
    """Say how this process stands, changing nothing."""
    status = Path("/proc/self/status").read_text()
    return {
        "pid": os.getpid(),
        "directory": os.getcwd(),
        "umask": next(line.split()[1] for line in status.splitlines() if line.startswith("Umask")),
        "ignored": next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")),
        "caught": next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
    }


def change_everything(directory: str) -> int:
    """Change all that a job can change in its process; the directory is removed, and the alarm would end the process
    if it were not put off: not so soon that a busy machine could not come to that in time."""
    os.chdir(directory)
    os.rmdir(directory)
    os.umask(0o777)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 60)
    locale.setlocale(locale.LC_ALL, "C")
    os.environ["FARM_HOME"] = os.environ["PYTHONPATH"] = "/nowhere"
    sys.excepthook = lambda *_: os.abort()
    threading.excepthook = lambda _: os.abort()
    sys.unraisablehook = lambda _: os.abort()
    random.seed(0)
    for name in ("json", "traceback", "orjson", "farm", "farm.model"):
        sys.modules.pop(name, None)
    return os.getpid()
