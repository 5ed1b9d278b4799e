"""Who computes keeps the processor for as long as is usual; who waits asks for short turns."""

from __future__ import annotations

import os
import time

import pytest

from farm import linux
from farm.subworker.slices import WINDOW_NS, Slices


def test_asked_for_only_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    used_ns = 0
    monkeypatch.setattr(linux, "ask_for_slices", asked.append)
    monkeypatch.setattr(time, "process_time_ns", lambda: used_ns)
    slices, now_ns = Slices(), time.monotonic_ns()
    for share, expected in ((0.1, []), (0.9, [0]), (0.8, [0]), (0.2, [0, linux.SLICE_NS]), (0.0, [0, linux.SLICE_NS])):
        now_ns += 2 * WINDOW_NS
        used_ns += int(share * 2 * WINDOW_NS)
        slices.note(now_ns)
        assert asked == expected, share
        slices.note(now_ns + 1)
        assert asked == expected, "two looks close to each other are one"


def test_the_kernel_takes_it_or_leaves_it() -> None:
    """Nothing is raised, whatever kernel this is; and the niceness stays."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    linux.ask_for_slices(linux.SLICE_NS)
    linux.ask_for_slices(0)
    assert os.getpriority(os.PRIO_PROCESS, 0) == nice
