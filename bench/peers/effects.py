"""The file in which jobs note what they did, in lines of one length: `s` and its number when a job began, `e` when it had its effect.

It is written with O_APPEND by processes that are killed, and a line is one write: it is there or it is not. Who kills reads it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

LINE_BYTES = len("s0000000\n")


class Effects:
    """Such a file. It is emptied at the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"")

    def runs(self) -> float:
        """Return about how many jobs ran, without reading the file: begun and ended ones count a half each."""
        return self.path.stat().st_size / LINE_BYTES / 2

    def read(self) -> tuple[Counter[int], Counter[int]]:
        """Return how often each job began, and how often it had its effect. Raises ValueError on a torn line."""
        began, ended = Counter[int](), Counter[int]()
        for line in self.path.read_text("ascii").splitlines():
            if len(line) != LINE_BYTES - 1 or line[0] not in "se":
                raise ValueError(f"a torn line: {line!r}")
            (began if line[0] == "s" else ended)[int(line[1:])] += 1
        return began, ended
