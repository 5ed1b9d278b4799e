"""What children print, a pipe each: one prefixed log line for every line, without passwords, cut and capped: no job can flood the log."""

from __future__ import annotations

import logging
import os

from farm.dsn import without_passwords

READ_BYTES = 65_536
LINE_CHARS_MAX = 2_000
PASSWORD_BYTES_MAX = 500
"""One that is longer, and cut in two where a line is, is not known for one."""
LINES_A_SECOND_MAX = 200
LAST_READS_MAX = 16
"""What a pipe holds is read at its end, but no more: a program that a job has left behind may write faster than we read."""

log = logging.getLogger("farm.output")


class Output:
    """The reading end of one pipe. `step` takes what there is; lines beyond the cap are counted, not shown."""

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self._rest = b""
        self._second = 0
        self._lines = 0
        self._dropped = 0
        os.set_blocking(fd, False)

    def step(self, now: float) -> bool:
        """Log what the pipe holds now; False at its end."""
        data = self._read()
        if data:
            self._take(data, int(now))
        return data != b""

    def add(self, data: bytes) -> None:
        """Log what was not said through the pipe."""
        self._take(data, self._second)

    def close(self) -> None:
        """Log what is left, a last line that was not ended too, and close the pipe."""
        for _ in range(LAST_READS_MAX):
            if not (data := self._read()):
                break
            self._take(data, self._second)
        if self._rest:
            self._log(self._rest, self._second)
        self._tell_dropped()
        os.close(self.fd)

    def _read(self) -> bytes | None:
        """Return what is there, b"" at the end, None if there is nothing yet."""
        try:
            return os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return None

    def _take(self, data: bytes, second: int) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log(line, second)
        if len(self._rest) > LINE_CHARS_MAX:
            self._log(self._rest, second)
            self._rest = b""

    def _log(self, line: bytes, second: int) -> None:
        if second != self._second:
            self._tell_dropped()
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > LINES_A_SECOND_MAX:
            self._dropped += 1
            return
        text = line[: LINE_CHARS_MAX + PASSWORD_BYTES_MAX].decode("utf-8", "backslashreplace").rstrip("\r")
        # Before it is cut: half of a password looks like none.
        text = without_passwords(text)[:LINE_CHARS_MAX]
        cut = f" [... {len(line) - LINE_CHARS_MAX} bytes cut]" if len(line) > LINE_CHARS_MAX else ""
        text = "".join(character if character.isprintable() or character == "\t" else repr(character)[1:-1] for character in text)
        log.info("%s | %s%s", self.name, text, cut)

    def _tell_dropped(self) -> None:
        if self._dropped:
            log.warning("%s | [%d lines dropped: more than %d in a second]", self.name, self._dropped, LINES_A_SECOND_MAX)
            self._dropped = 0
