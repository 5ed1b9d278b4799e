"""The screen in front of a farm that was started on a terminal: a child of its own, which may be left, stopped or killed; the farm goes on.

While it is there it has the terminal: it leads a process group of its own in the foreground, so that keys that send signals reach it
alone, and the farm writes its log to a file. When it has ended, however that was, the terminal is put right, and the log goes on there.
Main thread only.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import termios
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from farm.supervisor.log.logs import Logs
from farm.supervisor.processes.spawn import spawn

SECRET_FD = 3
ENVIRONMENT = ("FARM_HOME", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "USER", "LOGNAME", "TERM_PROGRAM", "SSH_CONNECTION")
"""What a screen may know besides what every child does."""
RESET = b"\x1b[0m\x1b[?2026l\x1b[?7h\x1b[?25h\x1b[?1049l\r"
"""Undoes what a screen that was killed has left: colours, a hidden cursor, the other screen."""
LOG_NAME = "farm.log"
HANGUP_S = 3.0
"""For so long every SIGHUP tells of the same end of a terminal."""

log = logging.getLogger("farm")


class Front:
    """Modes: not there (before start(), and after its end); in front."""

    def __init__(self, *, logs: Logs, log_path: Path, instance: str, database: Mapping[str, Any] | None) -> None:
        """database: dsn and pooled, for keys that act on jobs; it is told through a pipe. None: the embedded one, which a screen finds."""
        self._logs = logs
        self._log_path = log_path
        self._instance = instance
        self._database = database
        self._pid = 0
        self._before: list[Any] | None = None
        self._kept: tuple[int, int] | None = None
        """Standard output and error while they go to the log's file."""
        self._gone_since: float | None = None
        """When the terminal was found to be gone (CLOCK_MONOTONIC)."""

    def start(self) -> None:
        """Put the screen in front. Where it cannot be started the log says so, and goes on as it was."""
        try:
            self._before = termios.tcgetattr(0)
            self._logs.to_file(self._log_path)
            self._redirect()
            self._spawn()
        except (OSError, termios.error) as error:
            self._put_right(killed=False)
            log.warning("the screen cannot be started: %s", error)

    def note_child(self) -> None:
        """Look whether the screen was stopped, when a child has something to tell. It is ended then: what stops is the farm to nobody."""
        with suppress(ChildProcessError):
            # Raised of one that has ended, and is to be reaped.
            if self._pid and os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WNOHANG) is not None:
                os.kill(self._pid, signal.SIGTERM)
                os.kill(self._pid, signal.SIGCONT)

    def note_death(self, pid: int, status: int) -> bool:
        """Go on without the screen; False if it was not that one."""
        if pid != self._pid:
            return False
        self._pid = 0
        self._put_right(killed=os.WIFSIGNALED(status))
        how = "was left" if os.waitstatus_to_exitcode(status) == 0 else "has ended"
        log.info("the screen %s, the farm goes on: `farm top` shows it again, Ctrl-C drains it; its log is in %s, too", how, self._log_path)
        return True

    def note_hangup(self, now: float) -> bool:
        """Take a SIGHUP (now: CLOCK_MONOTONIC, in seconds); False if it does not tell that the terminal is gone, but wants a reload."""
        if self._gone_since is None and _hung_up():
            self._gone_since = now
            log.info("the terminal is gone; the farm goes on")
            return True
        # The shell sends another one behind the kernel's.
        return self._gone_since is not None and now - self._gone_since < HANGUP_S

    def close(self) -> None:
        """End the screen, since the farm ends; may be called again."""
        if self._pid:
            pid, self._pid = self._pid, 0
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
            status = _wait(pid)
            self._put_right(killed=status is None or os.WIFSIGNALED(status))
            log.info("what was logged behind the screen stands in %s", self._log_path)

    def _spawn(self) -> None:
        theirs, ours = os.pipe2(os.O_CLOEXEC)
        try:
            known = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
            arguments = ["top", "--instance", self._instance, "--secret-fd", str(SECRET_FD)]
            assert self._kept is not None
            terminal = self._kept[0]
            self._pid = spawn("farm.cli.main", arguments, {0: 0, 1: terminal, 2: terminal, SECRET_FD: theirs}, known)
            _give_terminal_to(self._pid)
            if self._database is not None:
                os.write(ours, json.dumps(self._database).encode())
        finally:
            # At the end of the pipe it goes on: by now the terminal is its own.
            os.close(theirs)
            os.close(ours)

    def _redirect(self) -> None:
        """Have nothing of ours go to the terminal, whoever prints it."""
        assert self._logs.file is not None
        self._kept = os.dup(1), os.dup(2)
        self._logs.file.lead(1, 2)

    def _put_right(self, *, killed: bool) -> None:
        """Take the terminal back, whatever state it is in, and have the log go there again."""
        if self._kept is not None:
            assert self._logs.file is not None
            self._logs.file.lead()
            for number, kept in enumerate(self._kept, 1):
                os.dup2(kept, number)
                os.close(kept)
            self._kept = None
        with suppress(OSError):
            _give_terminal_to(os.getpgrp())
        if killed and self._before is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._before)
                terminal = os.open("/proc/self/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
                try:
                    os.write(terminal, RESET)
                finally:
                    os.close(terminal)
        self._logs.to_standard_error()


def can_be_in_front() -> bool:
    """Tell whether this process has a terminal to itself: all three standard files, in the foreground, of a kind that can move a cursor."""
    try:
        return all(map(os.isatty, (0, 1, 2))) and os.tcgetpgrp(0) == os.getpgrp() and os.environ.get("TERM", "dumb") != "dumb"
    except OSError:
        return False


def _hung_up() -> bool:
    poll = select.poll()
    poll.register(0, 0)
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _fd, events in poll.poll(0))


def _give_terminal_to(group: int) -> None:
    """Put a process group in the foreground. Whoever is not in it itself is stopped for that, unless it blocks the signal; to ignore it
    would be inherited."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(0, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(pid: int) -> int | None:
    """Wait for the screen to end, for a second at the most; then it is killed. Returns its status, None if somebody else has reaped it."""
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], 1.0)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None
    finally:
        os.close(pidfd)
