"""How the supervisor's log lines look, text for people or one JSON object a line, and where they go: standard error, a file, or both.

Nobody waits for whoever reads them: a terminal that is held, a pipe that nobody empties.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import orjson

from farm.dsn import without_passwords
from farm.supervisor.log.loglimit import Limited

WAIT_S = 0.2
"""How long a line waits for a reader that was quick before. From then on it is not waited for, until it reads again."""
REST_BYTES_MAX = 64 << 10
"""What may be left of lines that were taken in part."""
FILE_BYTES_MAX = 8 << 20
"""A log file that has become so long is put aside as `NAME.1`, in the place of the one before."""


class _Formatter(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        """Return a traceback without passwords: somebody else's error may have one in it."""
        return without_passwords(super().formatException(ei))


class TextFormatter(_Formatter):
    """`12:04:31.250 WARNING text`; the level only where it is not INFO. A record's `rows` stand below it, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        text = f"{clock}.{int(record.msecs):03d} {level}{record.getMessage()}"
        text += "".join(f"\n  {row}" for row in getattr(record, "rows", ()))
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(_Formatter):
    """One object a line: time (UTC), level, logger, event, message, a record's own `fields`, exception: where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **({"event": name} if (name := getattr(record, "event", "")) else {}),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


class StandardError(logging.Handler):
    """Writes to standard error. Modes: quick (a line that does not fit waits WAIT_S); stuck (lines are dropped, until one fits).

    A terminal or a pipe is opened once more for it: to set it not to block would hold for whoever shares it, such as the shell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fd = _open_again(2)
        self._rest = b""
        self._stuck = False
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, or drop it."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace") + b"\n"
        except Exception:
            self.handleError(record)
            return
        if len(self._rest) > REST_BYTES_MAX:
            self._dropped += 1
            line = b""
        elif self._dropped:
            line = b"[%d lines dropped: nobody read them]\n%b" % (self._dropped, line)
            self._dropped = 0
        self._rest += line
        if self._push() or self._stuck:
            return
        with suppress(OSError, ValueError):
            select.select([], [self._fd], [], WAIT_S)
        self._stuck = not self._push()

    def _push(self) -> bool:
        """Write what is left; True if all of it went out, or nobody is there any more."""
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            return False
        except OSError:
            self._rest = b""
        self._stuck = False
        return True

    def close(self) -> None:
        """Let go of the descriptor that was opened for this."""
        if self._fd != 2:
            os.close(self._fd)
            self._fd = 2
        super().close()


class LogFile(logging.Handler):
    """Writes to a file of bounded length, with one before it kept."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        super().__init__()
        self.path = path
        self.fd = _open_file(path)
        self._followers: tuple[int, ...] = ()

    def lead(self, *numbers: int) -> None:
        """Have these descriptors be this file, also when another one takes its place, instead of those that were until now."""
        with self.lock or nullcontext():
            # Whoever puts the file aside has the lock.
            self._followers = numbers
            for number in numbers:
                os.dup2(self.fd, number)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line. Where that fails, as on a full disk, it is lost."""
        try:
            os.write(self.fd, self.format(record).encode("utf-8", "backslashreplace") + b"\n")
            if os.fstat(self.fd).st_size > FILE_BYTES_MAX:
                self._put_aside()
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)
        super().close()

    def _put_aside(self) -> None:
        os.replace(self.path, self.path.with_name(f"{self.path.name}.1"))
        fresh = _open_file(self.path)
        try:
            # In its place, so that whoever writes there by its number goes on with the new one.
            os.dup2(fresh, self.fd, inheritable=False)
            for number in self._followers:
                os.dup2(fresh, number)
        finally:
            os.close(fresh)


class Logs(logging.Handler):
    """Where lines go now: to one place, or to two."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self._line_format = JsonFormatter() if log_format == "json" else TextFormatter()
        self._handlers: tuple[logging.Handler, ...] = ()
        """Replaced as a whole: other threads log, too."""
        self.file: LogFile | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on."""
        for handler in self._handlers:
            handler.handle(record)

    def to_standard_error(self) -> None:
        """Have lines go to standard error, and, once there is a file, to that as well."""
        self._set(StandardError(), *([self.file] if self.file is not None else []))

    def to_file(self, path: Path) -> None:
        """Have lines go to a file alone. Raises OSError, and then nothing has changed."""
        self.file = self.file or LogFile(path)
        self._set(self.file)

    def close(self) -> None:
        """Close what there is."""
        self._set()
        super().close()

    def _set(self, *handlers: logging.Handler) -> None:
        before = self._handlers
        for handler in handlers:
            handler.setFormatter(self._line_format)
        self._handlers = handlers
        for handler in before:
            if handler not in handlers:
                # Whoever is in the middle of a line has it by its lock.
                with handler.lock or nullcontext():
                    handler.close()


def set_up(log_format: str) -> Logs:
    """Send what `farm` logs to standard error in this format ("text" or "json"). A log that cannot be written stops nothing."""
    logging.raiseExceptions = False
    logs = Logs(log_format)
    logs.to_standard_error()
    logger = logging.getLogger("farm")
    logger.handlers = [Limited(logs)]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logs


def _open_again(fd: int) -> int:
    """Open a terminal or a pipe once more, not to block; anything else stays what it is."""
    sys.stderr.flush()
    with suppress(OSError):
        mode = os.fstat(fd).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return fd


def _open_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
