"""A queue whose worker is killed while it works: how it is installed, filled and started, and which of its processes is killed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from bench.database import ARGS, execute, migrate
from bench.host import config
from bench.peers.packages import REPOSITORY, Packages
from bench.peers.peer import fill, order
from bench.peers.service import Launch
from bench.processes import descendants
from farm.client import Client

FARM_TASK = "bench.tasks:effect"
AT_ONCE = 10
"""Jobs of every queue that run at once."""


class Victim(Protocol):
    """One queue, in one row of the table."""

    @property
    def name(self) -> str:
        """On the command line."""

    @property
    def title(self) -> str: ...

    @property
    def store(self) -> str:
        """Of the statements `unfinished_<store>.sql` and `twice_<store>.sql`."""

    @property
    def recovery(self) -> str:
        """What brings a job back whose worker was killed."""

    def install(self) -> str:
        """Install it where it is not yet. Returns how, in one line; raises PeerFailed."""

    def fill(self, dsn: str, jobs: int, effects: Path) -> None:
        """Give an empty database the schema and so many numbered jobs. Raises PeerFailed."""

    def launch(self, dsn: str, home: Path, effects: Path) -> Launch:
        """Say how its worker is started. home: a FARM_HOME beside which files may be written."""

    def choose(self, pid: int, random: Random) -> int:
        """Return the pid that is killed next: that of the process that was launched, or of one below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerVictim:
    """A peer: one process, which is killed."""

    name: str
    title: str
    store: str
    packages: Packages
    recovery: str
    fill_options: Mapping[str, Any] = field(default_factory=dict)
    work_options: Mapping[str, Any]
    watched: bool = False
    """Whether it keeps no record of completions, so that a trigger, `watch_<store>.sql`, notes them."""

    def install(self) -> str:
        return self.packages.install()

    def fill(self, dsn: str, jobs: int, effects: Path) -> None:
        fill(self.packages, order("fill", dsn, jobs, self.fill_options, numbered=True))
        if self.watched:
            execute(dsn, f"watch_{self.store}")

    def launch(self, dsn: str, home: Path, effects: Path) -> Launch:
        options = {**self.work_options, "effects": str(effects)}
        return Launch(command=self.packages.command(order("work", dsn, 0, options)), directory=self.packages.directory)

    def choose(self, pid: int, random: Random) -> int:
        return pid


@dataclass(frozen=True, slots=True, kw_only=True)
class FarmVictim:
    """farm at its shipped defaults, but for the number of subworkers."""

    name: str
    title: str
    anything: bool
    """Whether any of its processes is killed: the kind is drawn first, then one of that kind. Else the supervisor."""
    recovery: str = "shipped defaults"

    @property
    def store(self) -> str:
        return "farm"

    def install(self) -> str:
        return "this clone"

    def fill(self, dsn: str, jobs: int, effects: Path) -> None:
        migrate(dsn)
        with Client(dsn) as client:
            client.enqueue_many({"task": FARM_TASK, "args": ARGS | {"n": number, "effects": str(effects)}} for number in range(jobs))

    def launch(self, dsn: str, home: Path, effects: Path) -> Launch:
        path = home.with_name("killed.yaml")
        path.write_text(config(dsn, allow=FARM_TASK, path=str(REPOSITORY), subworkers=str(AT_ONCE)), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("farm")), "start", str(path)]
        return Launch(command=command, directory=REPOSITORY, environ={"FARM_HOME": str(home)})

    def choose(self, pid: int, random: Random) -> int:
        if not self.anything:
            return pid
        kinds: dict[str, list[int]] = {"supervisor": [pid]}
        for one in descendants(pid)[1:]:
            if kind := _kind(one):
                kinds.setdefault(kind, []).append(one)
        return random.choice(kinds[random.choice(sorted(kinds))])


def _kind(pid: int) -> str | None:
    """Return `writer`, `zygote` or `subworker`; None for what has gone, or is none of farm's."""
    try:
        name = Path("/proc", str(pid), "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return None
    if not name.startswith("farm "):
        return None
    return name.removeprefix("farm ") if name in ("farm writer", "farm zygote") else "subworker"


FARMS = (
    FarmVictim(name="farm", title="farm, its supervisor", anything=False),
    FarmVictim(name="farm-any", title="farm, any of its processes", anything=True),
)
