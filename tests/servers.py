"""PostgreSQL servers for the tests: one per major and run, in a directory of their own, without fsync."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from farm.embedded.account import server_account
from farm.embedded.binaries import WHEELS, Binaries, find_binaries, probe, reachable_binaries
from farm.embedded.creation import clean_environment

WAIT_S_MAX = 30.0
SETTINGS = {
    # Not in /dev/shm, where a server that is killed and never started again would leave it for ever.
    "dynamic_shared_memory_type": "mmap",
    "listen_addresses": "",
    # The machine does not go down in a test, PostgreSQL does: so no fsync, but every commit stands in the log before it is acknowledged.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "jit": "off",
}
GUARD = """
cat >/dev/null
if [ -f "$1/data/postmaster.pid" ]; then kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"; sleep 1; fi
rm -rf "$1"
"""
"""Outlives a run that is killed, and leaves neither a server nor its directory behind."""


def majors_wanted() -> tuple[list[int], bool]:
    """Read FARM_TEST_PG (such as `15,18`): the majors to test on, the first for everything, and whether a missing one is an error."""
    named = os.environ.get("FARM_TEST_PG", "")
    if named:
        try:
            return sorted((int(word) for word in named.split(",")), reverse=True), True
        except ValueError as error:
            raise LookupError(f"FARM_TEST_PG={named}: expected majors, such as 15,18") from error
    return [18, 15], False


def available() -> dict[int, Binaries]:
    """Find a PostgreSQL for every major that is on this machine."""
    # The wheel of 18 brings 16 along, which the farm itself never chooses.
    older = [probe(found.directory.parents[1] / "pginstall" / "bin") for found in find_binaries({}) if WHEELS[0][0] in str(found.directory)]
    best: dict[int, Binaries] = {}
    for found in [*find_binaries({}), *(binaries for binaries in older if binaries)]:
        best.setdefault(found.major, found)
    return best


def majors_under_test() -> list[int]:
    """Give the majors to run on, the one for everything first. Raises LookupError if one that was asked for is missing."""
    wanted, must = majors_wanted()
    here = available()
    missing = [major for major in wanted if major not in here]
    if missing and must:
        raise LookupError(f"FARM_TEST_PG asks for PostgreSQL {missing}, but only {sorted(here)} found")
    return [major for major in wanted if major in here] or [max(here)]


class Server:
    """One PostgreSQL server that a test may stop and start; it runs again at the end of the test."""

    def __init__(self, binaries: Binaries) -> None:
        self.major = binaries.major
        self.path = Path(tempfile.mkdtemp(prefix=f"farm-pg{binaries.major}-", dir="/tmp"))
        # The account that PostgreSQL is dropped to must get in, which a directory of mkdtemp does not allow.
        self.path.chmod(0o755)
        self.data = self.path / "data"
        self._account = server_account(self.data)
        self._binaries = reachable_binaries(binaries, self._account, self.path / "binaries")
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count(1)
        self._address = ""
        self._templates: set[str] = set()
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "sh", str(self.path)], stdin=subprocess.PIPE, start_new_session=True, stderr=subprocess.DEVNULL
        )
        self._make()
        self.start()

    @property
    def pids(self) -> set[int]:
        """The processes that a leak check must not take for leaks."""
        return {self._guard.pid} | ({self._process.pid} if self._process else set())

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def dsn(self, database: str) -> str:
        return make_conninfo(host=str(self.path), user="farm", dbname=database, port=5432)

    def start(self) -> None:
        """Start it if it does not run, and wait until it takes connections."""
        if self.running:
            return
        command = [str(self._binaries.directory / "postgres"), "-D", str(self.data), "-k", str(self.path)]
        for name, value in {**SETTINGS, "listen_addresses": self._address}.items():
            command += ["-c", f"{name}={value}"]
        with (self.path / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=clean_environment(),
                start_new_session=True,
                **self._account.spawn_options(),
            )
        self._wait_until_ready()

    def stop(self, mode: str = "fast") -> None:
        """Stop it and wait for the end. Modes: `fast`, `immediate` (the next start recovers), `kill` (SIGKILL to the postmaster)."""
        if self._process is None:
            return
        self._process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}[mode])
        self._process.wait(WAIT_S_MAX)
        self._process = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    @contextmanager
    def listening(self, address: str) -> Iterator[None]:
        """Have it take connections at this address as well, from anybody, for a while; it is restarted for that."""
        rules = self.data / "pg_hba.conf"
        before = rules.read_text()
        rules.write_text(f"{before}\nhost all all 0.0.0.0/0 trust\n")
        self._address = address
        try:
            self.restart()
            yield
        finally:
            rules.write_text(before)
            self._address = ""
            self.restart()

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """Make a fresh database, with farm's schema or empty; gives its DSN and drops it at the end, whoever is connected."""
        name = f"test_{next(self._names)}"
        template = self._template() if migrated else "template0"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield self.dsn(name)
        finally:
            self.start()
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Stop it for good and remove its directory."""
        self.stop("immediate")
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(WAIT_S_MAX)
        assert not self.path.exists()

    def log(self) -> str:
        return (self.path / "log").read_text("utf-8", "replace")

    def _make(self) -> None:
        if self._account.dropped:
            shutil.chown(self.path, self._account.uid, self._account.gid)
        command = [str(self._binaries.directory / "initdb"), "-D", str(self.data), "-U", "farm"]
        command += ["--auth=trust", "-E", "UTF8", "--no-locale", "--no-instructions", "--no-sync"]
        made = subprocess.run(
            command, capture_output=True, text=True, cwd="/", env=clean_environment(), check=False, **self._account.spawn_options()
        )
        assert made.returncode == 0, made.stderr

    def _template(self) -> str:
        """Make the template once per server, by the migrations themselves."""
        from farm.store import schema
        from farm.store.session import Session

        if "migrated" not in self._templates:
            self._execute(sql.SQL("CREATE DATABASE farm_template TEMPLATE template0"))
            session = Session(self.dsn("farm_template"), application_name="tests", deadline_s=WAIT_S_MAX)
            schema.migrate(session)
            session.close()
            self._templates.add("migrated")
        return "farm_template"

    def _execute(self, statement: sql.Composed | sql.SQL) -> None:
        # CREATE DATABASE refuses while a backend that is just ending still counts as connected to the template.
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                with psycopg.connect(self.dsn("postgres"), autocommit=True, connect_timeout=5) as connection:
                    connection.execute(statement)
                return
            except psycopg.errors.ObjectInUse:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None:
                    # The children of a killed postmaster may need a moment more.
                    assert "pre-existing shared memory" in self.log(), self.log()[-2000:]
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                    return self.start()
                assert time.monotonic() < deadline, self.log()[-2000:]
                time.sleep(0.02)


class Servers:
    """The servers of this run, each started when the first test wants it."""

    def __init__(self) -> None:
        self._binaries = available()
        self._running: dict[int, Server] = {}

    def get(self, major: int) -> Server:
        if major not in self._running:
            self._running[major] = Server(self._binaries[major])
        return self._running[major]

    @property
    def pids(self) -> set[int]:
        return set().union(*(server.pids for server in self._running.values()))

    def close(self) -> None:
        for server in self._running.values():
            server.close()
