"""Using the embedded server from a process of its own, and looking at its keeper and postmaster from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from farm.embedded.account import server_account
from farm.embedded.binaries import Binaries, find_binaries, reachable_binaries
from farm.embedded.cluster import Cluster
from farm.embedded.postmaster import read_pid_file
from farm.filelock import FileLock
from tests.leaks import hurry_keepers

WAIT_S_MAX = 40.0
ROOT = Path(__file__).parents[2]
USER = """
import sys
from pathlib import Path
from farm.embedded import open_server
from farm.errors import FarmError
try:
    server = open_server(Path(sys.argv[1]), log=lambda line: print(line, flush=True))
except FarmError as error:
    sys.exit(str(error))
print(server.dsn, flush=True)
sys.stdin.read()
server.close()
"""


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


def start_user(home: Path, **options: object) -> subprocess.Popen[str]:
    """Start a process that opens the server, prints its DSN, and holds it until its standard input ends."""
    user: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-c", USER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,  # type: ignore[call-overload]
    )
    return user


def only_cluster(home: Path) -> Cluster:
    (cluster,) = Cluster.existing(home)
    return cluster


def usable_binaries(cluster: Cluster) -> Binaries:
    return reachable_binaries(find_binaries()[0], server_account(cluster.data), cluster.binaries_path)


def postmaster_pid(home: Path) -> int:
    noted = read_pid_file(only_cluster(home).data)
    assert noted is not None
    return noted.pid


def keeper_pid(home: Path) -> int:
    with FileLock(only_cluster(home).keeper_lock_path) as lock:
        assert not lock.try_shared()
        pid = lock.noted_pid()
    assert pid is not None
    return pid


def kill_keeper(home: Path) -> None:
    """Kill the keeper and wait until that is done: a signal returns before."""
    os.kill(keeper_pid(home), signal.SIGKILL)
    with FileLock(only_cluster(home).keeper_lock_path) as lock:
        assert lock.exclusive(time.monotonic() + WAIT_S_MAX)


def wait_for_stop(home: Path) -> None:
    """Wait until the server has stopped; the keeper is told not to linger for another user."""
    hurry_keepers(home)
    wait_for(lambda: is_stopped(home), "the stop after the last user")


def runs_anew(home: Path, dsn: str, pid: int) -> bool:
    """True when another server than the one of that pid answers."""
    noted = read_pid_file(only_cluster(home).data)
    return noted is not None and noted.pid != pid and answers(dsn)


def is_stopped(home: Path) -> bool:
    """True when neither a keeper nor a server is there any more, and the server stopped in order."""
    cluster = only_cluster(home)
    with FileLock(cluster.keeper_lock_path) as lock:
        return lock.try_exclusive() and not (cluster.data / "postmaster.pid").exists()


def answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True
