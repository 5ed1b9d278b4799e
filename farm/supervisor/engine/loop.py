"""The main thread's eyes and ears: descriptors, signals and a wake-up that other threads and processes can write."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Loop:
    """Waits; then says what happened by calling what was registered. A signal handler only records: the loop is woken by it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """eventfd: acks, requests for more jobs, room on the desk, arrivals from threads. Whoever writes it, all are looked at."""
        self._signals_in, self._signals_out = socket.socketpair()
        self._signals_in.setblocking(False)
        self._signals_out.setblocking(False)
        self._old_handlers: dict[int, object] = {}
        self._old_wakeup_fd = -1
        self._signals: list[int] = []
        self._selector.register(self.wake_fd, selectors.EVENT_READ, self._drain_wakeups)
        self._selector.register(self._signals_in, selectors.EVENT_READ, self._read_signals)

    def catch_signals(self) -> None:
        """Have signals recorded from now on. Main thread only."""
        self._old_wakeup_fd = signal.set_wakeup_fd(self._signals_out.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            self._old_handlers[number] = signal.signal(number, _record)

    def wake(self) -> None:
        """Wake the loop, from any thread."""
        with suppress(BlockingIOError):
            os.eventfd_write(self.wake_fd, 1)

    def watch(self, fd: int, call: Callable[[], object]) -> None:
        """Call this whenever the descriptor is readable."""
        self._selector.register(fd, selectors.EVENT_READ, call)

    def unwatch(self, fd: int) -> None:
        """Watch the descriptor no more; before it is closed."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def wait(self, wait_s: float) -> list[int]:
        """Wait up to wait_s seconds, call what is due, return the signals that came, in order."""
        for key, _events in self._selector.select(max(0.0, wait_s)):
            key.data()
        signals, self._signals = self._signals, []
        return signals

    def close(self) -> None:
        """Give the signals back to whom they belonged."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._old_handlers:
            signal.set_wakeup_fd(self._old_wakeup_fd)
        self._selector.close()
        self._signals_in.close()
        self._signals_out.close()
        os.close(self.wake_fd)

    def _read_signals(self) -> None:
        with suppress(BlockingIOError):
            self._signals.extend(self._signals_in.recv(4096))

    def _drain_wakeups(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self.wake_fd)


def _record(_number: int, _frame: FrameType | None) -> None:
    """Do nothing here: the number was written to the wake-up descriptor, and the loop will read it."""
