"""One host of the torture: a farm behind a proxy of its own, its processes by kind, and what its files tell."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import yaml

from farm.errors import RingBroken
from farm.shm.counters import Counts, load_counts
from farm.shm.generation import RingFile
from tests.process import crew
from tests.process.running import RunningFarm
from tests.proxy import COMMIT, Fault, Proxy
from tests.torture.settings import SETTINGS, Settings
from tests.torture.workload import now

SUBWORKER, WRITER, ZYGOTE = r"farm w\d", "farm writer", "farm zygote"
COUNT_EVERY_S = 0.05


class Start(NamedTuple):
    """One start of its supervisor."""

    pid: int
    at: float
    failpoint: str


class Host:
    """May be killed, stopped and cut off; who does that starts it again."""

    def __init__(self, *, name: str, home: Path, directory: Path, dsn: str, seed: int) -> None:
        self.name = name
        self.proxy = Proxy(dsn, seed=seed)
        self.farm = RunningFarm(home=home, directory=directory, dsn=self.proxy.dsn, name=name, **SETTINGS)
        self.settings: Settings = yaml.safe_load(self.farm.config.read_text())
        """What it was first started with, everything filled in."""
        self.cut_after = self.proxy.rule(Fault.CUT_AFTER, COMMIT, application="farm writer", left=0)
        self.cut_before = self.proxy.rule(Fault.CUT_BEFORE, COMMIT, application="farm writer", left=0)
        self.cut_claim = self.proxy.rule(Fault.CUT_AFTER, b"farm.claim_jobs(", application="farm claims", left=0)
        self.delay = self.proxy.rule(Fault.DELAY, COMMIT, left=0)
        self.starts: list[Start] = []
        self.down_until = 0.0
        self._counts: dict[str, Counts] = {}
        self._counted_at = 0.0
        self._directory = directory

    def start(self, failpoint: str = "") -> None:
        """Start its supervisor, and wait for nothing."""
        log = self._directory / f"{self.name}.fired.{len(self.starts)}"
        environ = {"FARM_FAILPOINT": failpoint, "FARM_FAILPOINT_LOG": str(log)} if failpoint else {}
        self.farm.start(ready=False, **environ)
        self.starts.append(Start(self.farm.pid, now(), failpoint))

    def write(self, text: str) -> None:
        """Put another configuration in the place of the one that it was started with. A reader sees either whole."""
        new = self.farm.config.with_suffix(".new")
        new.write_text(text)
        new.replace(self.farm.config)

    def children(self, name: str) -> list[int]:
        """Return the pids of the supervisor's children whose names match: SUBWORKER, WRITER or ZYGOTE."""
        found: list[int] = []
        if not self.starts:
            return found
        with suppress(OSError):
            pids = Path(f"/proc/{self.farm.pid}/task/{self.farm.pid}/children").read_text().split()
            for pid in pids:
                with suppress(OSError):
                    if re.match(name, Path(f"/proc/{pid}/comm").read_text()):
                        found.append(int(pid))
        return found

    def everybody(self) -> list[int]:
        """Return all who hold the crew's lock, orphans too."""
        state = self.farm.state
        return [] if state is None else crew.holders(state.crew_lock_path)

    def lose(self) -> None:
        """Kill everything at once, as if the machine was gone."""
        self.farm.signal(signal.SIGKILL)
        for pid in self.everybody():
            if pid != os.getpid():
                crew.kill(pid)

    def writer_counts(self) -> tuple[str, Counts] | None:
        """Return the newest writer's ack file and counters; None while there is none."""
        if self.farm.state is None or not self.farm.rings.exists():
            return None
        with suppress(OSError, RingBroken, ValueError):
            paths = sorted(self.farm.rings.glob("*/ack.*"), key=lambda path: (path.parent.name, int(path.suffix[1:])))
            if paths:
                file = RingFile.open(paths[-1])
                try:
                    return f"{paths[-1]}", load_counts(file)
                finally:
                    file.close()
        return None

    def note_counts(self) -> None:
        """Remember what its writer has counted so far: the file goes with the writer."""
        if time.monotonic() < self._counted_at + COUNT_EVERY_S:
            return
        self._counted_at = time.monotonic()
        found = self.writer_counts()
        if found is not None:
            self._counts[found[0]] = found[1]

    def count(self, name: str) -> int:
        """Return what all its writers have counted; the last moments before a kill are missing."""
        return sum(getattr(counts, name) for counts in self._counts.values())

    @property
    def host_id(self) -> int:
        """The row that it beats for, as its log says; 0 if it says nothing yet."""
        found = re.findall(r"host (\d+): |it begins again as host (\d+)", self.farm.log)
        return int("".join(found[-1])) if found else 0

    def fired(self) -> list[str]:
        """Return the failpoints that have acted, over all starts."""
        lines = []
        for path in self._directory.glob(f"{self.name}.fired.*"):
            lines += [line.split()[0] for line in path.read_text().splitlines()]
        return lines

    def close(self) -> None:
        self.farm.end()
        self.proxy.close()
