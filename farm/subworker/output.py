"""Where what jobs print goes: into the log of the job that prints, and of nobody's prints into the farm's own log, as text of the process.

sys.stdout and sys.stderr are one log, in the order of the prints. What is written to descriptors 1 and 2 past them (programs that a job
starts, code in C) goes to the farm's log: whose it is cannot be told without a system call for every job.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TextIO

Take = Callable[[bytes], bool]
"""Takes what somebody prints into the log of a job; False if it is none's."""


class JobOutput(io.TextIOBase):
    """What stands in the place of sys.stdout or sys.stderr: like a file that is never closed."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None
    line_buffering = True

    def __init__(self, plain: TextIO, take: Take) -> None:
        """plain: where it goes if no job takes it."""
        super().__init__()
        self._plain = plain
        self._take = take
        self.name = plain.name
        self.mode = "w"
        self.buffer = JobBuffer(self)

    def write(self, text: str) -> int:
        """Print."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self._take(text.encode("utf-8", "backslashreplace")):
            self._plain.write(text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """Print what is no text, perhaps."""
        if not self._take(data):
            self._plain.flush()
            self._plain.buffer.write(data)
            self._plain.buffer.flush()

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        """Print several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing in a job: nothing is held back."""
        self._plain.flush()

    def close(self) -> None:
        """Do nothing: the next job prints, too."""

    def fileno(self) -> int:
        return self._plain.fileno()

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def reconfigure(self, **_options: Any) -> None:
        """Do nothing: it is UTF-8, and nothing is held back."""

    def pass_on(self) -> None:
        """Print to where it would go without a job, for good."""
        self._take = _take_nothing
        # What was put in the place of the methods.
        vars(self).pop("write", None)
        vars(self).pop("flush", None)


class JobBuffer(io.BufferedIOBase):
    """The bytes below such a stream."""

    def __init__(self, output: JobOutput) -> None:
        super().__init__()
        self._output = output
        self.name = output.name
        self.mode = "wb"

    @property
    def raw(self) -> JobBuffer:
        return self

    def write(self, data: Any) -> int:
        """Print bytes."""
        raw = bytes(memoryview(data))
        self._output.write_bytes(raw)
        return len(raw)

    def flush(self) -> None:
        self._output.flush()

    def close(self) -> None:
        """Do nothing, as the stream."""

    def fileno(self) -> int:
        return self._output.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


class LogHandler(logging.Handler):
    """Where records go of a process that has not set up logging: to its sys.stderr, whatever that is, with the time and the level."""

    FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Formatter(self.FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, in one piece."""
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """Says the date once a second, not for each record: that takes longer than all the rest."""

    _second, _said = -1, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self._second:
            self._said, self._second = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)), second
        return f"{self._said}.{int(record.msecs):03}"


def use_logging() -> None:
    """Have what jobs log printed from INFO on, unless the job's code sets up logging itself: what that says counts."""
    logging.lastResort = LogHandler()
    logging.getLogger().setLevel(logging.INFO)


def _take_nothing(_data: bytes) -> bool:
    return False
