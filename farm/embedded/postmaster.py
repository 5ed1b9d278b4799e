"""The PostgreSQL server process of a cluster: found, started, stopped. Signals go to a pidfd only, never to a number."""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from typing import NamedTuple

from farm.embedded.account import Account
from farm.embedded.cluster import PORT, Cluster

FAST_STOP_S_MAX = 10.0
IMMEDIATE_STOP_S_MAX = 10.0
PID_FILE_BYTES_MAX = 4096
STATUS_LINE = 7
PROGRAM_NAMES = (b"postgres\n", b"postmaster\n")
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "farm",
    "shared_buffers": "128MB",
    "max_connections": "100",
    # pglz, the only way that the wheels know, took an eighth of all CPU time of a drain after a checkpoint, to save a tenth of the log.
    "wal_compression": "off",
    # Queues are many short statements: compiling them costs more than it saves.
    "jit": "off",
    # Parallel plans take their memory from /dev/shm, where the rings are and of which a container may have very little.
    "max_parallel_workers_per_gather": "0",
    # In the data directory instead, where what a killed server leaves is found by the next one, or goes with its data.
    "dynamic_shared_memory_type": "mmap",
    # Tables of a queue turn over by the second.
    "autovacuum_naptime": "15s",
    # Every line of the log should be worth reading: it is bounded.
    "log_checkpoints": "off",
}


class PidFile(NamedTuple):
    pid: int
    status: str
    """`starting`, `ready`, `stopping`, `standby`, or empty while it is being written."""


def read_pid_file(data: Path) -> PidFile | None:
    """Read postmaster.pid; None if there is none or it makes no sense. What it says may be long out of date."""
    return _read_pid_file(data / "postmaster.pid")


class Postmaster:
    """A running server, by pidfd. Adopted ones are not our children; those started here are reaped here."""

    def __init__(self, pid: int, pidfd: int, *, child: bool) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._child = child
        self._reaped = False

    @classmethod
    def find(cls, cluster: Cluster, account: Account) -> Postmaster | None:
        """Find the server that runs on this cluster; None if there is none, whatever postmaster.pid says."""
        found = cls._noted(cluster.data / "postmaster.pid")
        if found is not None and not _serves(found.pid, cluster.data, account):
            found.close()
            return None
        return found

    @classmethod
    def _noted(cls, lock_file: Path) -> Postmaster | None:
        """Find the living PostgreSQL process that a lock file names; None if there is none."""
        noted = _read_pid_file(lock_file)
        if noted is None:
            return None
        try:
            found = cls(noted.pid, os.pidfd_open(noted.pid), child=False)
        except OSError:
            return None
        # The number cannot come to mean another process while we have the pidfd; only now is it worth looking whose it is.
        if not found.ended() and _read(f"/proc/{noted.pid}/comm") in PROGRAM_NAMES:
            return found
        found.close()
        return None

    @classmethod
    def clear_stale(cls, cluster: Cluster) -> None:
        """Remove the lock files of a server that is dead. For whoever holds the keeper's lock.

        PostgreSQL does so itself unless the number in them is a dead process that nobody has reaped, or, after the machine
        went down, has become another's: it takes both for a running server and refuses to start. The children of a killed
        one it still sees without these files, by their shared memory.
        """
        for lock_file in (cluster.data / "postmaster.pid", cluster.socket_dir / f".s.PGSQL.{PORT}.lock"):
            living = cls._noted(lock_file)
            if living is None:
                lock_file.unlink(missing_ok=True)
            else:
                living.close()

    @classmethod
    def start(cls, cluster: Cluster, account: Account, binaries: Path) -> Postmaster:
        """Start a server as our child. For a process without threads, since it forks. Raises OSError."""
        cls.clear_stale(cluster)
        command = [str(binaries / "postgres"), "-D", str(cluster.data), "-k", str(cluster.socket_dir), "-p", str(PORT)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        log = os.open(cluster.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        pid = os.fork()
        if pid == 0:
            _become(command, account, log)
        os.close(log)
        return cls(pid, os.pidfd_open(pid), child=True)

    def ended(self, wait_s: float = 0.0) -> bool:
        """Say whether it has ended, after waiting at most so long for that. One that has is reaped if it was our child."""
        if self._reaped:
            return True
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        if not poller.poll(wait_s * 1000):
            return False
        if self._child:
            os.waitpid(self.pid, 0)
            self._reaped = True
        return True

    def stop(self) -> bool:
        """Stop it: fast, and when that takes over 10 s immediately, which costs a recovery at the next start. False if it still runs."""
        self._signal(signal.SIGINT)
        if self.ended(FAST_STOP_S_MAX):
            return True
        self._signal(signal.SIGQUIT)
        return self.ended(IMMEDIATE_STOP_S_MAX)

    def close(self) -> None:
        """Forget it without stopping it. May be called again."""
        fd, self._pidfd = self._pidfd, -1
        if fd >= 0:
            os.close(fd)

    def _signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass


def wait_until_ready(cluster: Cluster, server: Postmaster, deadline: float) -> bool:
    """Wait until the server takes connections, recovery included; False if it ended, is stopping, or the deadline passed."""
    while time.monotonic() < deadline:
        noted = read_pid_file(cluster.data)
        if noted is not None and noted.pid == server.pid and noted.status in ("ready", "standby"):
            return True
        if server.ended(0.01):
            return False
    return False


def _read_pid_file(path: Path) -> PidFile | None:
    try:
        # It lies where the server's account can write: it may be anything.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lines = os.read(fd, PID_FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    finally:
        os.close(fd)
    if not lines or not (lines[0].isascii() and lines[0].isdecimal()):
        return None
    return PidFile(int(lines[0]), lines[STATUS_LINE].strip() if len(lines) > STATUS_LINE else "")


def _serves(pid: int, data: Path, account: Account) -> bool:
    # The command line and not the working directory: root in a container may not look at the latter.
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return False
    return owner == account.uid and os.fsencode(data) in _read(f"/proc/{pid}/cmdline").split(b"\0")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(65536)
    except OSError:
        return b""


def _become(command: list[str], account: Account, log: int) -> None:
    """Turn this forked child into the server. Never returns."""
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        if account.dropped:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
        os.umask(0o077)
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"keeper: cannot run {command[0]}: {error.strerror}\n".encode())
    os._exit(127)
