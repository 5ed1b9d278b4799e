"""A peer under measurement: what is installed, how it is set, how a database is filled for it and drained by it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.conninfo import conninfo_to_dict

from bench.database import ARGS, query
from bench.peers.crew import Crew
from bench.peers.packages import Packages, PeerFailed

FILL_S_MAX = 120.0
DONE_S_MAX = 20.0
LOOK_EVERY_S = 0.005


class Run(NamedTuple):
    """What a run over a filled database came to."""

    jobs: int
    elapsed_s: float
    """From the first start, as the worker saw it, to the last commit, as PostgreSQL noted it."""

    @property
    def rate(self) -> float:
        return self.jobs / self.elapsed_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way to run a peer."""

    words: str
    """Said in the table."""
    processes: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """For its worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer. Several settings are tried, and the faster one is measured."""

    name: str
    """On the command line, and of its statement `done_<name>.sql`."""
    title: str
    packages: Packages
    settings: tuple[Setting, ...]
    jobs: int
    pairs: int
    must: float
    aim: float
    """How many times faster farm must be, and is meant to be."""
    keeps: str
    """What is left of a job that succeeded."""

    def install(self) -> str:
        """Install it where it is not yet. Returns how, in one line; raises PeerFailed."""
        return self.packages.install()

    def prepare(self, dsn: str, jobs: int) -> None:
        """Give a database the peer's schema and so many jobs, by its own means. Raises PeerFailed."""
        fill(self.packages, order("fill", dsn, jobs, {}))

    def run(self, dsn: str, setting: Setting) -> Run:
        """Drain a database that `prepare` filled. Raises PeerFailed."""
        command = self.packages.command(order("drain", dsn, self.jobs, setting.options))
        with (
            tempfile.TemporaryDirectory(prefix="farm-measure-") as logs,
            Crew([command] * setting.processes, directory=self.packages.directory, logs=Path(logs)) as crew,
        ):
            crew.begin()
            # Nobody asks the database before all of them ran: that would cost the peer time.
            started_s = crew.wait_ran(self.jobs)
            return Run(self.jobs, self._wait_done(dsn) - started_s)

    def _wait_done(self, dsn: str) -> float:
        """Wait until the store says that all are done. Returns the time of the last commit, in seconds since 1970."""
        deadline = time.monotonic() + DONE_S_MAX
        while True:
            done, committed_s = query(dsn, f"done_{self.name}", {"jobs": self.jobs})[0]
            if done == self.jobs:
                return float(committed_s)
            if time.monotonic() > deadline:
                raise PeerFailed(f"all {self.jobs:,} jobs ran, but {done:,} are done {DONE_S_MAX:.0f} s later")
            time.sleep(LOOK_EVERY_S)


def fill(packages: Packages, order: str) -> None:
    """Let a worker fill a database. Raises PeerFailed."""
    try:
        done = subprocess.run(packages.command(order), cwd=packages.directory, capture_output=True, text=True, timeout=FILL_S_MAX)
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"filling did not end within {FILL_S_MAX:.0f} s") from None
    if done.returncode != 0:
        raise PeerFailed(f"filling ended with exit code {done.returncode}: {'; '.join(done.stderr.strip().splitlines()[-3:])}")


def order(command: str, dsn: str, jobs: int, options: Mapping[str, Any], *, numbered: bool = False) -> str:
    """Return what a worker is told. numbered: whether the argument `n` of a job is its number, from 0."""
    place = conninfo_to_dict(dsn)
    database = {"host": place["host"], "port": place["port"], "user": place["user"], "database": place["dbname"]}
    told = {"command": command, "database": database, "jobs": jobs, "args": ARGS, "options": options, "numbered": numbered}
    return json.dumps(told)
