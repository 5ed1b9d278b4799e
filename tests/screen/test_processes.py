"""What /proc tells of subworkers: exactly, with descriptors that are kept and given back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from farm.screen import processes
from farm.screen.processes import IDLE_LOOKS, LOOK_S, NO_USAGE, OTHER_LOOKS, Processes, Usage
from farm.supervisor.processes.footprint import held_bytes
from tests.process.crew import wait_for

EAT = "import sys; data = bytearray(int(sys.argv[1])); print(flush=True); sys.stdin.read()"
WITH_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2], sys.argv[1]], stdin=sys.stdin)"


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a Python that ends with its standard input; gives it once it, or its child, has said that it is there."""
    process = subprocess.Popen([sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture
def measured() -> Iterator[Processes]:
    opened = len(os.listdir("/proc/self/fd"))
    measured = Processes()
    yield measured
    measured.close()
    assert len(os.listdir("/proc/self/fd")) == opened


def looks(measured: Processes) -> Callable[..., None]:
    now = iter(range(1, 1_000))
    return lambda pids, *args: measured.look(pids, next(now) * LOOK_S, *args)


def test_memory_is_what_the_kernel_says_with_that_of_children(measured: Processes) -> None:
    look = looks(measured)
    with started(EAT, str(50_000_000)) as alone, started(WITH_CHILD, str(80_000_000), EAT) as parent:
        pids = {"w0.1": alone.pid, "w1.2": parent.pid}
        look(pids)
        assert measured.usages["w0.1"].held_bytes == held_bytes(alone.pid) >= 50_000_000
        assert measured.usages["w1.2"].held_bytes >= 80_000_000 > held_bytes(parent.pid)
        assert [usage.cpu for usage in measured.usages.values()] == [None, None]
        look(pids)
        known = measured.usages["w0.1"]
        assert known.cpu == 0.0
        look(pids)
        assert measured.usages["w0.1"] is known, "nothing has changed: it is the same object"


def test_one_that_is_gone_takes_nothing_and_no_descriptor(measured: Processes) -> None:
    look, opened = looks(measured), len(os.listdir("/proc/self/fd"))
    with started(EAT, "1") as process:
        pids = {"w0.1": process.pid}
        look(pids)
        assert measured.usages["w0.1"].held_bytes > 0
    look(pids)
    assert measured.usages["w0.1"].held_bytes == 0, "it is gone, and not yet known to be"
    assert len(os.listdir("/proc/self/fd")) == opened
    look({})
    assert measured.usages == {}


def test_a_later_process_with_the_same_number_is_another_one(measured: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are opened anew, and it began at another time."""
    look = looks(measured)
    with started(EAT, "1") as process:
        pids = {"w0.1": process.pid}
        look(pids)
    with started(EAT, "1") as later:
        monkeypatch.setattr(processes, "_descriptor", lambda path: os.open(path.replace(str(process.pid), str(later.pid)), os.O_RDONLY))
        # Processes that begin within a hundredth of a second are not told apart.
        wait_for(lambda: start_of(later.pid) != measured._processes["w0.1"]._start, "another time")
        look(pids)
        assert measured.usages["w0.1"].held_bytes == 0
        look({"w0.2": process.pid})
        assert measured.usages["w0.2"].held_bytes > 0, "a successor may have it"


def test_where_descriptors_are_few_none_is_kept(measured: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_kept_max", 1)
    look, opened = looks(measured), len(os.listdir("/proc/self/fd"))
    pids = {"w0.1": os.getpid(), "w1.2": os.getppid()}
    look(pids)
    look(pids)
    assert all(measured.usages[name].held_bytes > 0 for name in pids)
    assert len(os.listdir("/proc/self/fd")) == opened + processes.FILES


def test_those_that_are_seen_come_each_time_and_the_others_in_turn(measured: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: dict[int, list[float]] = defaultdict(list)

    def measure(process: Any, now: float, *, with_cpu: bool) -> Usage:
        turns[process._pid].append(now)
        assert with_cpu == (process._pid in (0, 1))
        return NO_USAGE

    monkeypatch.setattr(processes._Process, "measure", measure)
    look, pids = looks(measured), {f"w{number}": number for number in range(40)}
    for _ in range(2 * IDLE_LOOKS + 1):
        look(pids, {"w0", "w1"}, {f"w{number}" for number in range(1, 20)})
    apart = {pid: {later - one for one, later in pairwise(looked)} for pid, looked in turns.items()}
    assert all(apart[pid] == {LOOK_S} for pid in range(2))
    assert all(apart[pid] == {IDLE_LOOKS * LOOK_S} for pid in range(2, 20))
    assert all(apart[pid] == {OTHER_LOOKS * LOOK_S} for pid in range(20, 40))


def start_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[19]
