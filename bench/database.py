"""The server of a measurement: an embedded PostgreSQL of its own, as it is shipped, with fsync on; and fresh databases in it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from farm.client import Client
from farm.embedded import open_server
from farm.embedded.cluster import Cluster
from farm.home import StateDir
from farm.store import schema
from farm.store.session import Session

STOP_S_MAX = 30.0
"""The keeper stops the server two seconds after its last user has gone."""
SHARED_MEMORY = Path("/dev/shm")
SQL_DIRECTORY = Path(__file__).resolve().parent / "sql"
NOOP = "farm.demo:noop"
ARGS = {"customer": 123456, "message": "hello", "tags": ["a", "b"], "n": 1}
"""60 bytes as JSON: what every job of a throughput run has."""


class Run(NamedTuple):
    """What a run over a filled database came to."""

    jobs: int
    elapsed_s: float
    """From the first start to the last commit."""
    leases: int

    @property
    def rate(self) -> float:
        return self.jobs / self.elapsed_s


class Server:
    """A running embedded server in a FARM_HOME of its own. Made by `own_server`."""

    def __init__(self, home: Path, dsn: str, version: str) -> None:
        self.home = home
        self.dsn = dsn
        """Of the database that a farm with `database: embedded` uses."""
        self.version = version
        self._names = count(1)
        self._templates: set[str] = set()

    @contextmanager
    def database(self, *, jobs: int, owner: str = "farm", fill: Callable[[str, int], None] | None = None) -> Iterator[str]:
        """Make a fresh database with so many ready no-op jobs; gives its DSN, and drops it at the end.

        owner, fill: whose jobs they are when not farm's, and what puts so many into an empty database.
        """
        template, name = self._template(jobs, owner, fill or _fill), f"bench_{next(self._names)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            dsn = make_conninfo(self.dsn, dbname=name)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")
            yield dsn
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _template(self, jobs: int, owner: str, fill: Callable[[str, int], None]) -> str:
        """Fill a database once for each number of jobs."""
        name = f"{owner}_{jobs}"
        if name not in self._templates:
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            fill(make_conninfo(self.dsn, dbname=name), jobs)
            self._templates.add(name)
        return name

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def own_home() -> Iterator[Path]:
    """Give the path of a FARM_HOME that is not there yet; remove it at the end, once its server has stopped."""
    path = Path(tempfile.mkdtemp(prefix="farm-measure-", dir="/tmp"))
    # The account that PostgreSQL is dropped to must get in.
    path.chmod(0o755)
    try:
        yield path / "home"
    finally:
        wait_until_stopped(path / "home")
        for state in StateDir.all(path / "home"):
            # Only a farm that was killed has left its rings.
            shutil.rmtree(SHARED_MEMORY / f"farm-{state.id}", ignore_errors=True)
        shutil.rmtree(path)


@contextmanager
def own_server() -> Iterator[Server]:
    """Bring up an embedded server of its own, and stop it at the end.

    Its settings are the shipped ones, but that the time of each commit is kept: by that the last one is known.
    """
    with own_home() as home:
        with open_server(home) as first, psycopg.connect(first.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        wait_until_stopped(home)
        with open_server(home) as server:
            migrate(server.dsn)
            yield Server(home, server.dsn, server.version)


def wait_until_stopped(home: Path) -> None:
    """Wait until the keeper has stopped the server of a home that nobody uses any more, and has gone itself."""
    deadline = time.monotonic() + STOP_S_MAX
    while any(home.glob("pg*/data/postmaster.pid")) or keeper_pids(home):
        if time.monotonic() > deadline:
            raise TimeoutError(f"PostgreSQL in {home} does not stop")
        time.sleep(0.02)


def keeper_pids(home: Path) -> list[int]:
    """Find the keepers of the embedded server of a home by their command lines: they are nobody's children."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path("/proc", entry, "cmdline").read_bytes().split(b"\0") if entry.isdigit() else []
        except OSError:
            continue
        if any(word.endswith(b"farm/embedded/keep.py") for word in words) and any(os.fsencode(home) in word for word in words):
            found.append(int(entry))
    return found


def postmaster_pid(home: Path) -> int:
    """Return the pid of the running embedded server of a home."""
    return int((Cluster.existing(home)[0].data / "postmaster.pid").read_text().split("\n", 1)[0])


def _fill(dsn: str, jobs: int) -> None:
    """Put no-op jobs into an empty database, through the client as anybody would."""
    migrate(dsn)
    with Client(dsn) as client:
        client.enqueue_many({"task": NOOP, "args": ARGS} for _ in range(jobs))


def migrate(dsn: str) -> None:
    """Give a database farm's schema."""
    session = Session(dsn, application_name="bench", deadline_s=60.0)
    try:
        schema.migrate(session)
    finally:
        session.close()


def measure_run(dsn: str) -> Run:
    """Say how many jobs succeeded in a database, and how long that took."""
    return Run(*query(dsn, "measure_run")[0])


def execute(dsn: str, name: str) -> None:
    """Run a file of bench/sql that returns nothing, on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((SQL_DIRECTORY / f"{name}.sql").read_bytes())


def query(dsn: str, name: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run a statement of bench/sql on a connection of its own and return its rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute((SQL_DIRECTORY / f"{name}.sql").read_bytes(), params).fetchall()
