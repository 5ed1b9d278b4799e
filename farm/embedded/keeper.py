"""The keeper: a process apart that runs the embedded server for as long as anybody uses it, and two seconds more."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from farm import linux
from farm.embedded.account import Account, server_account
from farm.embedded.cluster import LOG_BYTES_MAX, Cluster
from farm.embedded.postmaster import Postmaster, wait_until_ready
from farm.errors import EmbeddedError
from farm.filelock import FileLock

LINGER_S = 2.0
"""How long it waits for the next user: a shell script that calls one command after the other meets a warm server."""
LOOK_S = 0.25
RETRY_S = 0.1
START_S_MAX = 55.0
"""Under the time that a user waits for the keeper's report, so that the user gets to read why."""
DYING_S_MAX = 5.0
RESTART_PAUSE_S_MIN = 0.2
RESTART_PAUSE_S_MAX = 10.0
LOG_LOOK_S = 60.0
REPORT_FD = 3
READY = b"ready\n"
BUSY = b"busy\n"
UNSEEN = "PostgreSQL answers, but its process is not to be seen here (does it run in another container?)"
IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGINT)
"""A closed terminal is none of our business. SIGTERM, which a stopping service or machine sends to everybody, only makes us
hurry: users may still need the server to drain."""


class Keeper:
    """Runs the server of one cluster. Modes:

    up: the server runs; enter when it takes connections, leave when it ends or when nobody has used it for LINGER_S.
    down: it ended while somebody uses it; enter when it ends by itself, leave when it could be started again, or when the users left.
    """

    def __init__(self, *, cluster: Cluster, account: Account, binaries: Path, users: FileLock, may_start: bool = True) -> None:
        self._cluster = cluster
        self._account = account
        self._binaries = binaries
        self._users = users
        self._may_start = may_start
        self._server: Postmaster | None = None
        self._unused_since: float | None = None
        self._linger_s = LINGER_S
        self._up_at = 0.0
        self._start_at = 0.0
        self._pause_s = RESTART_PAUSE_S_MIN
        self._log_look_at = 0.0

    def hurry(self, *_: object) -> None:
        """Go as soon as nobody uses the server, without waiting for another user. A signal handler."""
        self._linger_s = 0.0

    @property
    def down(self) -> bool:
        return self._server is None

    def bring_up(self, deadline: float) -> str | None:
        """Adopt the running server or start one, and wait until it takes connections. Returns what went wrong, or None."""
        before = self._cluster.log_bytes()
        began = time.monotonic()
        while time.monotonic() < deadline:
            found = Postmaster.find(self._cluster, self._account)
            if found is None and not self._may_start:
                return UNSEEN
            # One that can be seen is ours, and when it has gone there is none.
            self._may_start = self._may_start or found is not None
            server = found or Postmaster.start(self._cluster, self._account, self._binaries)
            if wait_until_ready(self._cluster, server, deadline):
                self._server = server
                self._up_at = time.monotonic()
                return None
            if server.ended():
                server.close()
                complaint = self._cluster.last_complaint(before)
                if found is None and not _may_pass(complaint, time.monotonic() - began):
                    return complaint or "PostgreSQL ended without a word"
                time.sleep(RETRY_S)
            else:
                self._server = server
        return "PostgreSQL is not ready yet, it may be recovering"

    def step(self, now: float) -> float:
        """Look once after the server and its users; now is CLOCK_MONOTONIC. Returns seconds to the next look, below 0 when all is over."""
        if now >= self._log_look_at:
            self._log_look_at = now + LOG_LOOK_S
            _bound_log(self._cluster)
        if self._stop_if_unused(now):
            return -1.0
        if self._server is None:
            self._try_again(now)
        elif self._server.ended(LOOK_S):
            self._server.close()
            self._server = None
            _say("the server ended while it was in use: starting it again")
            self._put_off(now, whole=now - self._up_at > RESTART_PAUSE_S_MAX)
        else:
            return 0.0
        return LOOK_S

    def _stop_if_unused(self, now: float) -> bool:
        """Stop the server when nobody has used it for a while. True when it is stopped; the users' lock is then ours till the end."""
        if not self._users.try_exclusive():
            self._unused_since = None
            return False
        if self._unused_since is None:
            self._unused_since = now
        if now - self._unused_since < self._linger_s:
            self._users.unlock()
            return False
        # Whoever comes now waits for the lock, that is until we have ended.
        if self._server is not None and not self._server.stop():
            _say("the server does not stop: left running")
        else:
            self._cluster.remove_outer_socket_dir()
        return True

    def _try_again(self, now: float) -> None:
        if now < self._start_at:
            return
        trouble = self.bring_up(now + START_S_MAX)
        if trouble is not None:
            self._put_off(time.monotonic(), whole=False)
            _say(f"the server does not start, next try in {self._pause_s:.1f} s: {trouble}")

    def _put_off(self, now: float, *, whole: bool) -> None:
        """Set when to start next: at once after a whole run, later and later when one attempt follows the other."""
        self._pause_s = RESTART_PAUSE_S_MIN if whole else min(2 * self._pause_s, RESTART_PAUSE_S_MAX)
        self._start_at = now + self._pause_s


def _may_pass(complaint: str | None, waited_s: float) -> bool:
    """Say whether a start failed for what will pass: somebody killed it, or a killed one is still dying, or its children are."""
    if complaint is None or "lock file" in complaint:
        return waited_s < DYING_S_MAX
    return "pre-existing shared memory" in complaint


def main(arguments: list[str]) -> None:
    """Become a process that nobody waits for, bring the server up, report on descriptor 3, and keep it."""
    if os.fork() != 0:
        os._exit(0)
    os.closerange(REPORT_FD + 1, 1 << 20)
    os.set_inheritable(REPORT_FD, False)
    os.chdir("/")
    # For the server, which inherits it: whoever commits passes through several of its processes.
    linux.ask_for_slices(linux.SLICE_NS)
    for number in (*IGNORED_SIGNALS, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    home, major, binaries, adopt_only = arguments
    cluster = Cluster(Path(home), int(major))
    try:
        _keep(cluster, Path(binaries), may_start=adopt_only == "no")
    except (OSError, EmbeddedError) as error:
        _say(str(error))
        _report(str(error).encode())
        sys.exit(1)


def _keep(cluster: Cluster, binaries: Path, *, may_start: bool) -> None:
    """Keep the server until nobody uses it any more. Raises EmbeddedError when it cannot be brought up, OSError."""
    alone = FileLock(cluster.keeper_lock_path)
    if not alone.try_exclusive():
        _report(BUSY)
        return
    alone.note_pid()
    users = FileLock(cluster.users_lock_path)
    account = server_account(cluster.data)
    keeper = Keeper(cluster=cluster, account=account, binaries=binaries, users=users, may_start=may_start)
    trouble = keeper.bring_up(time.monotonic() + START_S_MAX)
    if trouble is not None and keeper.down:
        raise EmbeddedError(trouble)
    # One that is still recovering is kept too: the user reads so, and the next one finds it ready.
    signal.signal(signal.SIGTERM, keeper.hurry)
    _report(trouble.encode() if trouble else READY)
    while (pause_s := keeper.step(time.monotonic())) >= 0:
        time.sleep(pause_s)


def _report(text: bytes) -> None:
    try:
        os.write(REPORT_FD, text)
        os.close(REPORT_FD)
    except OSError:
        # The user has gone, or has been told already.
        pass


def _say(text: str) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    os.write(2, f"{stamp} UTC keeper: {text}\n".encode())


def _bound_log(cluster: Cluster) -> None:
    """Keep one older part beside the log and begin it anew. The server appends, so it goes on at the new end."""
    if cluster.log_bytes() <= LOG_BYTES_MAX:
        return
    path = cluster.log_path
    with path.open("rb") as log, path.with_suffix(".log.1").open("wb") as older:
        while part := log.read(1 << 20):
            older.write(part)
    os.truncate(path, 0)
