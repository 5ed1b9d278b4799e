"""Opening the embedded PostgreSQL: find it running, or make its data, have a keeper start it, and hold a share of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from farm.embedded.account import server_account
from farm.embedded.binaries import INSTALL_HINT, Binaries, find_binaries, reachable_binaries, require_reach
from farm.embedded.cluster import PORT, Cluster
from farm.embedded.creation import create_data, remove_drafts
from farm.embedded.keeper import BUSY, READY, UNSEEN
from farm.embedded.summons import summon_keeper
from farm.errors import EmbeddedError, FarmError
from farm.filelock import FileLock
from farm.home import cannot_use, make_home

OPEN_S_MAX = 60.0
"""How long open_server waits for a start, a recovery or a stop under way before it says so."""
RETRY_S = 0.05
CONNECT_S = 3
CHANCES = 3
OTHERS_S = 2.0
"""So long whoever leaves for good waits for others that use it: a `farm status` is gone by then, another farm is not."""
STOP_S_MAX = 15.0
"""A checkpoint, as a rule far less than a second; the keeper waits 10 s for one before it hurries the server."""
DATABASE = "farm"


class EmbeddedServer:
    """A share of the running embedded server, held until close(): as long as anybody holds one, the server runs."""

    def __init__(self, *, dsn: str, version: str, cluster: Cluster, users: FileLock) -> None:
        self.dsn = dsn
        self.version = version
        """For instance `18.4`."""
        self.path = cluster.path
        """FARM_HOME/pg<major>, where its data and its log are."""
        self._cluster = cluster
        self._users = users

    def revive(self) -> None:
        """Have it started again if it is down and its keeper too, as after a kill of both. Blocks and raises like open_server.

        As long as the keeper lives it does that by itself: this is for whoever has waited for that in vain.
        """
        open_server(self.path.parent).close()

    def close(self) -> None:
        """Let go of it; the last one out has it stopped two seconds later. Does not wait, may be called again."""
        self._users.close()

    def close_for_good(self) -> None:
        """Let go of it and wait until it is stopped: for whoever leaves a place where all that is left is killed. May be called again.

        While others use it for longer than OTHERS_S, it goes on, and nobody waits.
        """
        self.close()
        # Its directory may be gone, and its keeper just going.
        with suppress(OSError):
            self._wait_for_end(time.monotonic() + STOP_S_MAX)

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _wait_for_end(self, deadline: float) -> None:
        with FileLock(self._cluster.users_lock_path) as users, FileLock(self._cluster.keeper_lock_path) as keeper:
            others_until = time.monotonic() + OTHERS_S
            while not keeper.try_exclusive() and (now := time.monotonic()) < deadline:
                # Whoever has it alone is the keeper, which takes it only to stop the server.
                if users.try_shared():
                    is_alone = users.try_exclusive()
                    users.unlock()
                    if is_alone:
                        with suppress(ProcessLookupError):
                            _hurry(keeper)
                    elif now >= others_until:
                        return
                time.sleep(RETRY_S)


def open_server(home: Path, *, log: Callable[[str], None] | None = None) -> EmbeddedServer:
    """Return a share of the embedded server of this FARM_HOME, started (and the first time made) if it does not run.

    Blocks for up to 60 s; log gets a line for what takes longer than a moment. Raises EmbeddedError, one line.
    """
    if sys.platform != "linux":
        raise EmbeddedError("the embedded PostgreSQL runs on Linux only: name a database with --dsn or FARM_DSN")
    try:
        make_home(home)
        return _Opening(home.resolve(), log or _silent).open()
    except OSError as error:
        raise EmbeddedError(str(cannot_use(Path(error.filename or home), error))) from error
    except EmbeddedError:
        raise
    except FarmError as error:
        raise EmbeddedError(str(error)) from error


class _Opening:
    """One call of open_server."""

    def __init__(self, home: Path, log: Callable[[str], None]) -> None:
        self._log = log
        self._deadline = time.monotonic() + OPEN_S_MAX
        self._binaries: Binaries | None = None
        self._chances = CHANCES
        self._cluster = self._choose(home)
        self._log_offset = self._cluster.log_bytes()

    def open(self) -> EmbeddedServer:
        cluster = self._cluster
        cluster.make()
        users = FileLock(cluster.users_lock_path)
        try:
            # From here on the keeper does not stop it. If it is just doing that, we wait for the end.
            if not users.shared(self._deadline):
                raise EmbeddedError(f"PostgreSQL in {cluster.path} has been stopping for too long: see {cluster.log_path}")
            with FileLock(cluster.start_lock_path) as start:
                if not start.exclusive(self._deadline):
                    raise EmbeddedError(f"another command has been starting PostgreSQL in {cluster.path} for too long")
                version = self._bring_up()
        except BaseException:
            users.close()
            raise
        return EmbeddedServer(dsn=self._dsn(DATABASE), version=version, cluster=cluster, users=users)

    def _choose(self, home: Path) -> Cluster:
        """Choose the data that is there; only where there is none, or FARM_PG_BIN says so, the best binaries decide."""
        existing = Cluster.existing(home)
        if os.environ.get("FARM_PG_BIN") or len(existing) != 1:
            self._binaries = self._matching(existing)
            return Cluster(home, self._binaries.major)
        return existing[0]

    def _matching(self, existing: list[Cluster]) -> Binaries:
        found = find_binaries()
        majors = {cluster.major for cluster in existing}
        if not majors or os.environ.get("FARM_PG_BIN"):
            return found[0]
        for binaries in found:
            if binaries.major in majors:
                return binaries
        # Going on with an empty database of another major would look as if all jobs were gone.
        here = ", ".join(sorted({binaries.version for binaries in found}))
        raise EmbeddedError(f"{existing[0].path} needs PostgreSQL {existing[0].major}, but only {here} is here: {INSTALL_HINT}")

    def _bring_up(self) -> str:
        """Get the server to answer, with a living keeper; returns its version. Holds the start lock."""
        while time.monotonic() < self._deadline:
            kept = self._is_kept()
            version = self._answer()
            if version is not None and kept:
                return version
            if not kept:
                self._summon(adopt_only=version is not None)
            else:
                time.sleep(RETRY_S)
        complaint = self._cluster.last_complaint(self._log_offset) or "it may be recovering"
        raise EmbeddedError(f"PostgreSQL in {self._cluster.path} does not answer: {complaint}; see {self._cluster.log_path}")

    def _is_kept(self) -> bool:
        with FileLock(self._cluster.keeper_lock_path) as alone:
            return not alone.try_shared()

    def _summon(self, *, adopt_only: bool) -> None:
        """Have a new keeper adopt or start the server, on data made here if there is none yet."""
        cluster = self._cluster
        binaries = self._binaries or self._matching([cluster])
        account = server_account(cluster.data)
        require_reach(cluster.path, account)
        binaries = reachable_binaries(binaries, account, cluster.binaries_path)
        remove_drafts(cluster)
        if not (cluster.data / "PG_VERSION").exists():
            self._log(f"making an embedded PostgreSQL {binaries.version} in {cluster.path}")
            create_data(cluster, binaries, account)
        cluster.make_socket_dir(account)
        report = summon_keeper(cluster, binaries, self._deadline, adopt_only=adopt_only)
        if report in (READY, BUSY):
            return
        # Killed before it said a word, or its server was killed between our look and its own: once or twice that is chance.
        self._chances -= report in (b"", UNSEEN.encode())
        if report not in (b"", UNSEEN.encode()) or self._chances == 0:
            reason = report.decode("utf-8", "replace").strip() or "its keeper ended without a word"
            raise EmbeddedError(f"PostgreSQL in {cluster.path} does not start: {reason}; see {cluster.log_path}")

    def _answer(self) -> str | None:
        """Ask the server for its version, on the farm's database, made when missing; None if it does not answer."""
        # Not at the top: the keeper imports this package too, and has no site-packages.
        import psycopg

        try:
            with psycopg.connect(self._dsn(DATABASE), connect_timeout=CONNECT_S) as connection:
                return _version(connection.info.server_version)
        except psycopg.OperationalError as error:
            # Its messages are in English: the cluster was made without a locale.
            if f'database "{DATABASE}" does not exist' not in str(error):
                return None
        statement = files("farm").joinpath("sql", "create_database.sql").read_bytes()
        try:
            with psycopg.connect(self._dsn("postgres"), connect_timeout=CONNECT_S, autocommit=True) as connection:
                connection.execute(statement)
                return _version(connection.info.server_version)
        except psycopg.errors.DiskFull as error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._cluster.path)) from error
        except psycopg.OperationalError:
            return None

    def _dsn(self, database: str) -> str:
        from psycopg.conninfo import make_conninfo

        return make_conninfo(host=str(self._cluster.socket_dir), port=PORT, user="farm", dbname=database)


def _hurry(keeper: FileLock) -> None:
    """Have the keeper go without its usual pause. Raises OSError."""
    pid = keeper.noted_pid()
    if pid is not None:
        fd = os.pidfd_open(pid)
        try:
            # Looked at after the process was opened: as long as it has its lock, the number is its own.
            if not keeper.try_shared():
                signal.pidfd_send_signal(fd, signal.SIGTERM)
        finally:
            os.close(fd)


def _version(number: int) -> str:
    return f"{number // 10000}.{number % 10000}"


def _silent(line: str) -> None:
    return None
