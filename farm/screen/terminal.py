"""A terminal as a screen: taken over and given back whole, whatever ends us; written to without ever waiting for it.

A slow terminal gets fewer frames: while it has not taken the last one no other is begun, and none is kept for it. One that is gone
raises `TerminalGone`.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import termios
import time
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""Another screen beside that of the shell, no cursor, and rows that are too long are cut instead of going on in the next."""
LEAVE = "\x1b[0m\x1b[H\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l"
"""Emptied first: where the window has grown meanwhile, some terminals leave rows of it on the other screen."""
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know these show a frame at once, the others pass them over."""
GIVE_BACK_S = 0.5
"""How long a terminal may take to read what puts it right again."""
GONE = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF, errno.EPIPE)
SIZE_DEFAULT = (80, 24)
READ_BYTES = 1024


class TerminalGone(Exception):
    """Nobody is at the other end any more."""


class Screen:
    """Rows on a terminal; only those that changed are written. Not for two threads.

    `signals` are what has come in since it was last emptied: SIGWINCH, SIGCONT, and those that ask us to leave. They wake whoever waits
    for `wakeup`, a descriptor.
    """

    def __init__(self, tty_file: int) -> None:
        self._given = tty_file
        self._file = -1
        self._own = False
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._shown: list[str] = []
        self._pending = b""
        self.signals: list[int] = []
        self.wakeup, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        self._open()
        try:
            for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTSTP):
                self._handlers[number] = signal.signal(number, self._signalled)
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._own and self._file >= 0:
            os.close(self._file)
        elif self._file >= 0:
            os.set_blocking(self._file, True)
        os.close(self.wakeup)
        os.close(self._wake)

    @property
    def file(self) -> int:
        """The descriptor of the terminal, for whoever waits for keys."""
        return self._file

    @property
    def busy(self) -> bool:
        """Whether the terminal has not yet taken all of a frame: wait until it can be written to, then call `push`."""
        return bool(self._pending)

    def size(self) -> tuple[int, int]:
        """Return width and height in cells."""
        try:
            width, height = os.get_terminal_size(self._file)
        except OSError:
            return SIZE_DEFAULT
        return (width, height) if width > 0 and height > 0 else SIZE_DEFAULT

    def read(self) -> bytes:
        """Return what was typed; empty if nothing was. Raises TerminalGone."""
        try:
            typed = os.read(self._file, READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise _gone(error) from error
        if not typed:
            raise TerminalGone
        return typed

    def show(self, rows: Sequence[str]) -> bool:
        """Write the rows that changed. Returns False, and does nothing, while the last frame has not gone out. Raises TerminalGone."""
        if self._pending:
            self.push()
            if self._pending:
                return False
        changed = self._changed(rows)
        if changed:
            self._pending = f"{BEGIN}{changed}{END}".encode("utf-8", "replace")
            self._shown = list(rows)
            self.push()
        return True

    def clear(self) -> None:
        """Have the next frame be drawn anew, on an empty screen."""
        self._shown = []

    def push(self) -> None:
        """Write what the terminal takes of the rest of a frame. Raises TerminalGone."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._file, self._pending) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise _gone(error) from error

    def suspend(self) -> None:
        """Give the terminal back and stop, until somebody has us go on; then take it again. Raises TerminalGone."""
        self._give_back()
        # As the system would have done it: where nobody is there who could have us go on, it does nothing.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._signalled)
        self._take()

    def resume(self) -> None:
        """Take the terminal again, after somebody else may have used it. Raises TerminalGone."""
        self._take()

    def _changed(self, rows: Sequence[str]) -> str:
        if len(rows) != len(self._shown):
            return "\x1b[2J" + "".join(f"\x1b[{number};1H{row}" for number, row in enumerate(rows, 1))
        return "".join(f"\x1b[{number};1H{row}" for number, (row, old) in enumerate(zip(rows, self._shown, strict=True), 1) if row != old)

    def _open(self) -> None:
        """Open the terminal once more: a descriptor that does not block would not block for the shell either, which shares ours."""
        try:
            self._file = os.open(os.ttyname(self._given), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._own = True
        except OSError:
            # Another user's, as after `su`: it stays ours to set right at the end.
            self._file = self._given
            os.set_blocking(self._file, False)

    def _take(self) -> None:
        try:
            if self._before is None:
                self._before = termios.tcgetattr(self._file)
            tty.setcbreak(self._file, termios.TCSANOW)
        except termios.error as error:
            raise TerminalGone from error
        self.clear()
        self._pending = ENTER.encode()
        self.push()

    def _give_back(self) -> None:
        """Put the terminal right, as far as it lets us: never for longer than a moment, and with no complaint."""
        if self._before is None:
            return
        # The rest of a frame first: a sequence that is cut off would swallow the next one.
        self._pending += LEAVE.encode()
        until = time.monotonic() + GIVE_BACK_S
        try:
            self.push()
            while self._pending and (left_s := until - time.monotonic()) > 0:
                select.select([], [self._file], [], left_s)
                self.push()
        except (TerminalGone, OSError):
            pass
        self._pending = b""
        try:
            # At once, and not when all was written: that might be never.
            termios.tcsetattr(self._file, termios.TCSANOW, self._before)
        except termios.error:
            pass

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        try:
            os.write(self._wake, b"\0")
        except BlockingIOError:
            pass  # It is awake.


def _gone(error: OSError) -> Exception:
    return TerminalGone() if error.errno in GONE else error
