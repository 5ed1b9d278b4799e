"""Has a job run again and watches over it, as a supervisor would: its time, its memory, its end."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

import orjson

from farm import linux
from farm.errors import FarmError
from farm.model import OutcomeKind
from farm.replay.order import ENDED, NOT_SET_UP, READY, ReplayOrder
from farm.subworker.limits import HARD_FACTOR
from farm.subworker.results import error_type
from farm.supervisor.processes.footprint import exact_bytes, tree_of
from farm.supervisor.processes.spawn import SINGLE_THREADED, child_environment
from farm.units import format_duration

LOOK_S = 0.05
LAST_WORDS_S = 1.0
"""How long what it has printed is read after its end."""
OUTPUT_BYTES_MAX = 64 << 10
"""So much of what a job prints is kept, to be shown beside what it printed before; all of it is passed on."""

NAMES = {
    OutcomeKind.SUCCEEDED: "succeeded",
    OutcomeKind.FAILED: "failed",
    OutcomeKind.TIMED_OUT: "timed_out",
    OutcomeKind.CRASHED: "crashed",
    OutcomeKind.MEMORY: "memory",
    OutcomeKind.CANCELLED: "cancelled",
    OutcomeKind.SNOOZED: "snoozed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a job came to when it was run again."""

    kind: str
    """As the kinds of attempts are called: succeeded, failed, timed_out, crashed, memory, cancelled; or snoozed."""
    result: Any
    """None unless it succeeded."""
    error: dict[str, Any] | None
    """{"type", "message", "traceback"}; None if it succeeded."""
    took_s: float
    cpu_s: float | None
    """None where it had no time to say it."""
    peak_bytes: int | None
    log: str
    """The first of what it printed."""


def replay(order: ReplayOrder, *, timeout_s: float, pass_on: Callable[[bytes], None]) -> Replayed:
    """Run the job now, in a process of its own, and wait for its end. Under the debugger nothing limits its time.

    timeout_s: 0 for no limit. pass_on: gets what it prints, as it comes. Raises FarmError if it could not be set up. Ctrl-C ends the job;
    so does whatever else ends us. From now on this process tells others nothing of its memory and environment. Main thread only.
    """
    # There the DSN may stand, and the job's code has never been told of it.
    linux.hide_memory()
    with _leaving_in_order(), _Process(order) as process:
        if not order.debugger:
            return process.watch(timeout_s, pass_on)
        # Ctrl-C is meant for the job, or its debugger. Ignored only now: what is ignored when it starts, it would ignore too.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.watch(0.0, pass_on)
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _leaving_in_order() -> Iterator[None]:
    """Have the signals that would end us at once be heard as Ctrl-C is: what the job has started would go on without us."""

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Process:
    def __init__(self, order: ReplayOrder) -> None:
        self._order = order
        self._lines = b""
        self._log = bytearray()
        self._baseline_bytes: int | None = None
        self._begun_s = time.monotonic()
        self._ended: dict[str, Any] | None = None
        self._struck: tuple[OutcomeKind, str, int] | None = None
        """Why we have killed it, and what it had in memory."""

    def __enter__(self) -> _Process:
        order_out, order_in = os.pipe()
        self._answers, answer_in = os.pipe()
        self._prints = -1
        standard: dict[str, Any] = {}
        if not self._order.debugger:
            self._prints, print_in = os.pipe()
            standard = {"stdin": subprocess.DEVNULL, "stdout": print_in, "stderr": print_in, "start_new_session": True}
        command = [sys.executable, "-P", "-m", "farm.replay.child", str(order_out), str(answer_in), str(os.getpid())]
        self._process = subprocess.Popen(
            command, env={**child_environment(), **SINGLE_THREADED}, pass_fds=(order_out, answer_in), **standard
        )
        os.close(order_out)
        os.close(answer_in)
        if self._prints >= 0:
            os.close(print_in)
        with suppress(BrokenPipeError), open(order_in, "wb") as orders:
            orders.write(self._order.encoded())
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._process.wait()
        os.close(self._answers)
        if self._prints >= 0:
            os.close(self._prints)

    def watch(self, timeout_s: float, pass_on: Callable[[bytes], None]) -> Replayed:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ, self._hear)
            if self._prints >= 0:
                selector.register(self._prints, selectors.EVENT_READ, lambda: self._print(pass_on))
            pidfd = os.pidfd_open(self._process.pid)
            selector.register(pidfd, selectors.EVENT_READ, None)
            try:
                self._watch(selector, timeout_s)
            finally:
                os.close(pidfd)
        return self._outcome()

    def _watch(self, selector: selectors.BaseSelector, timeout_s: float) -> None:
        alive, until = True, float("inf")
        # Who has left its group, and prints on, is none of ours any more.
        while time.monotonic() < until and (alive or selector.get_map()):
            for key, _events in selector.select(LOOK_S if alive else 0.2):
                if key.data is None:
                    alive, until = False, time.monotonic() + LAST_WORDS_S
                    selector.unregister(key.fd)
                    # What it has left running holds its pipes: that has no more to say.
                    self._kill()
                elif not key.data():
                    selector.unregister(key.fd)
            if alive:
                self._look(timeout_s)
            elif not selector.select(0):
                return

    def _look(self, timeout_s: float) -> None:
        """End it if it has had its time, or takes too much memory with all that it has started."""
        if self._baseline_bytes is None or self._struck is not None:
            return
        took_s = time.monotonic() - self._begun_s
        if timeout_s and took_s > timeout_s:
            self._strike(OutcomeKind.TIMED_OUT, f"timeout of {timeout_s:g} s reached", 0)
            return
        limit_bytes = self._order.fork.memory_bytes
        taken = sum(map(exact_bytes, tree_of(self._process.pid)))
        if taken > self._baseline_bytes + limit_bytes * HARD_FACTOR:
            self._strike(OutcomeKind.MEMORY, f"memory limit of {limit_bytes / 1e6:.0f} MB reached; peak {taken / 1e6:.0f} MB", taken)

    def _strike(self, kind: OutcomeKind, message: str, peak_bytes: int) -> None:
        self._struck = kind, message, peak_bytes
        self._kill()

    def _kill(self) -> None:
        if self._order.debugger:
            self._process.kill()
            return
        # Once it is reaped, its number may be another's.
        with suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _hear(self) -> bool:
        piece = os.read(self._answers, 1 << 16)
        self._lines += piece
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            told = orjson.loads(line)
            if told["kind"] == READY:
                self._baseline_bytes = exact_bytes(self._process.pid)
                self._begun_s = time.monotonic()
            elif told["kind"] == ENDED:
                self._ended = told
        return bool(piece)

    def _print(self, pass_on: Callable[[bytes], None]) -> bool:
        piece = os.read(self._prints, 1 << 16)
        self._log += piece[: OUTPUT_BYTES_MAX - len(self._log)]
        if piece:
            pass_on(piece)
        return bool(piece)

    def _outcome(self) -> Replayed:
        took_s = time.monotonic() - self._begun_s
        status = self._process.wait()
        log = self._log.decode("utf-8", "replace")
        if self._baseline_bytes is None:
            why = log.strip().splitlines()[-1] if status == NOT_SET_UP and log.strip() else f"its process {_told(status)}"
            raise FarmError(f"the job could not be run again: {why.removeprefix('farm: ')}")
        if self._ended is not None and self._struck is None:
            kind, value = OutcomeKind(self._ended["outcome"]), orjson.loads(self._ended["text"] or b"null")
            succeeded = kind is OutcomeKind.SUCCEEDED
            return Replayed(
                kind=NAMES[kind],
                result=value if succeeded else None,
                error=None if succeeded else _error_of(kind, value),
                took_s=self._ended["took_s"],
                cpu_s=self._ended["cpu_s"],
                peak_bytes=self._ended["peak_bytes"] or None,
                log=log,
            )
        kind, message, peak_bytes = self._struck or (OutcomeKind.CRASHED, f"its process {_told(status)}", 0)
        error = {"type": error_type(kind), "message": message, "traceback": ""}
        return Replayed(kind=NAMES[kind], result=None, error=error, took_s=took_s, cpu_s=None, peak_bytes=peak_bytes or None, log=log)


def _error_of(kind: OutcomeKind, value: dict[str, Any]) -> dict[str, Any]:
    if kind is OutcomeKind.SNOOZED:
        return {"type": "Snooze", "message": f"asks to be run again in {format_duration(value['after_s'])}", "traceback": ""}
    return value


def _told(status: int) -> str:
    if status >= 0:
        return f"ended with exit code {status}"
    # Those for real time have no names.
    named = {number.value: number.name for number in signal.Signals}
    return f"was killed by {named.get(-status, f'signal {-status}')}"
