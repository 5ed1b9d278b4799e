"""Tasks of the tests: good ones, bad ones, and ones that leave a line in a file when they start."""

from __future__ import annotations

import asyncio
import itertools
import mmap
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


def mark(path: str, number: int, seconds: float = 0.0) -> int:
    """Leave a line that this job was started, sleep, and return the number."""
    leave_line(path, f"{number} {os.getpid()}")
    if seconds:
        time.sleep(seconds)
    return number


def mark_until(path: str, number: int, gone: str) -> int:
    """Leave a line, then run until a file is gone."""
    leave_line(path, f"{number} {os.getpid()}")
    while os.path.exists(gone):
        time.sleep(0.005)
    return number


def mark_both_ends(path: str, number: int, gone: str) -> int:
    """Leave a line at the start and one at the end, running until a file is gone; returns the pid of the subworker."""
    leave_line(path, f"{number} {os.getpid()}")
    while os.path.exists(gone):
        time.sleep(0.005)
    leave_line(path + ".ended", f"{number} {os.getpid()}")
    return os.getpid()


def leave_line(path: str, line: str) -> None:
    """Append one line in one write, so that lines of many processes never mix."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


def give_back(*args: Any, **named: Any) -> Any:
    """Return the arguments."""
    return {"args": list(args), **named} if named else list(args)


def give(kind: str) -> Any:
    """Return something that cannot be kept."""
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    values: dict[str, Any] = {
        "nul": {"a": ["b\0c"]},
        "surrogate": "\ud800",
        "nan": [1.0, float("nan")],
        "infinity": float("-inf"),
        "integer": 2**64,
        "deep": deep,
        "string": "x" * (17 << 20),
        "list": ["y" * 1_000_000] * 17,
        "set": {1, 2},
        "bytes": b"raw",
        "key": {1: 2},
        "object": object(),
    }
    return values[kind]


def give_text(length: int) -> str:
    """Return a text of that length."""
    return "r" * length


def length_of(text: str) -> int:
    """Return the length of an argument."""
    return len(text)


def fail(message: str) -> None:
    """Raise."""
    raise ValueError(message)


def fail_unprintable() -> None:
    """Raise something that cannot even be printed."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    raise Odd


def leave(code: int) -> None:
    """Raise SystemExit."""
    sys.exit(code)


def vanish(code: int, padding: str = "") -> None:
    """End the process without a word."""
    os._exit(code)


def kill_itself(number: int, padding: str = "") -> None:
    """Die of a signal."""
    os.kill(os.getpid(), number)
    signal.pause()


def fork_twice() -> int:
    """Come back three times, from three processes."""
    os.fork()
    os.fork()
    return 1


async def wait_async(value: int) -> int:
    """Be a coroutine."""
    await asyncio.sleep(0.001)
    return value


def allocate(megabytes: int) -> int:
    """Use that much memory."""
    return len(bytearray(megabytes * 1_000_000))


def limit() -> int:
    """Say which limit of memory holds here, above what was used before the first job."""
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def say(lines: int, text: str) -> None:
    """Print that many lines."""
    for _ in range(lines):
        print(text)


def say_on_both() -> None:
    """Print to both streams, by Python and by a program, one line without an end."""
    print("by python")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "by a program"], check=True)
    os.write(1, b"without an end")


def leave_stray() -> int:
    """Leave a process behind, in a session of its own; returns its pid."""
    return subprocess.Popen(["sleep", "3600"], start_new_session=True).pid


def leave_child() -> int:
    """Leave a child behind; returns its pid."""
    return subprocess.Popen(["sleep", "3600"]).pid


def leave_thread() -> None:
    """Leave a thread behind that never ends."""
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()


def who() -> int:
    """Return the pid of the subworker."""
    return os.getpid()


def ignore_deadline(path: str) -> None:
    """Run for ever, deaf to what can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    Path(path).touch()
    while True:
        time.sleep(1)


def scribble() -> None:
    """Write over the results that this subworker shares with others, as a wild pointer would, then run on."""
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "_results"):
        assert frame.f_back is not None
        frame = frame.f_back
    ring = frame.f_locals["self"]._results
    ring._data[:] = b"\xa5" * len(ring._data)
    ring._words[16] = 1 << 40
    time.sleep(3600)


def close_all(first: int, seconds: float = 0.0) -> None:
    """Close all descriptors from this one on, those of its subworker too, then sleep."""
    os.closerange(first, 1000)
    time.sleep(seconds)


def break_ring(header: int) -> None:
    """Write over the header of its subworker's file (0), or over that of its result ring (1)."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/dev/shm/farm-" in line}
    (path,) = (name for name in mapped if not name.endswith(".log"))
    with open(path, "r+b") as file:
        file.seek(header and 4096 + 128 + 1024 + (256 << 10))
        file.write(bytes(8))


def spin() -> None:
    """Compute for ever."""
    while True:
        pass


def count_for_ever() -> None:
    """Be stuck in C, where no handler of a signal is ever called."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    sum(itertools.count())


def stop_itself() -> None:
    """Stop this process, as Ctrl-Z does."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(3600)


def wait_for_program(path: str) -> None:
    """Start a program that is deaf to what can be ignored, say which, and wait for its end."""
    program = subprocess.Popen(["sh", "-c", "trap '' TERM; echo $$ > $0.new; mv $0.new $0; while :; do sleep 1; done", path])
    program.wait()


async def wait_for_ever(path: str) -> None:
    """Say where this runs, and be a coroutine without an end."""
    Path(path).write_text(str(os.getpid()))
    await asyncio.Event().wait()


def share_out(megabytes: int, programs: int) -> None:
    """Have programs take that much memory each, none of them too much for itself, and wait for them."""
    text = f"import time; held = b'x' * {megabytes * 1_000_000}; time.sleep(3600)"
    for program in [subprocess.Popen([sys.executable, "-S", "-c", text]) for _ in range(programs)]:
        program.wait()


def map_shared(megabytes: int, gone: str) -> int:
    """Take memory that no limit on one process counts, until a file is gone; returns the pid."""
    with mmap.mmap(-1, megabytes * 1_000_000) as held:
        for at in range(0, len(held), 4096):
            held[at] = 1
        while os.path.exists(gone):
            time.sleep(0.005)
    return os.getpid()
