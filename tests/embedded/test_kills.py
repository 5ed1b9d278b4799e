"""Users, keepers and servers killed at random: whoever comes next gets a server, and no committed row is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from farm.embedded import open_server
from farm.embedded.cluster import Cluster
from farm.embedded.postmaster import read_pid_file
from farm.filelock import FileLock
from tests.embedded.using import ROOT, only_cluster, wait_for, wait_for_stop

ROUNDS = 24
WRITER = """
import sys, time
from pathlib import Path
import psycopg
from farm.embedded import open_server
server = open_server(Path(sys.argv[1]))
print("opened", flush=True)
left = int(sys.argv[2])
while left:
    try:
        with psycopg.connect(server.dsn, autocommit=True, connect_timeout=3) as connection:
            while left:
                connection.execute("INSERT INTO kept VALUES (1)")
                print("committed", flush=True)
                left -= 1
    except psycopg.Error:
        time.sleep(0.01)
        server.revive()
server.close()
"""


class Crowd:
    """Processes that open the server, commit rows and leave, or are killed while they do."""

    def __init__(self, home: Path, notes: Path) -> None:
        self._home = home
        self._notes = notes
        self._count = 0
        self._seen = 0
        self.running: list[subprocess.Popen[bytes]] = []
        self.failed: list[str] = []

    def fill(self, size: int, rows: int) -> None:
        self.collect()
        while len(self.running) < size:
            with (self._notes / str(self._count)).open("wb") as notes:
                command = [sys.executable, "-c", WRITER, str(self._home), str(rows)]
                self.running.append(subprocess.Popen(command, stdout=notes, stderr=notes, cwd=ROOT))
            self._count += 1

    def collect(self) -> None:
        for process in [each for each in self.running if each.poll() is not None]:
            self.running.remove(process)
            if process.returncode not in (0, -signal.SIGKILL):
                self.failed.append(f"exit code {process.returncode}")

    def goes_on(self) -> bool:
        """True when a row was committed since the last True, or nobody is left to do so."""
        committed = self.count("committed")
        if committed == self._seen and not self.has_left():
            return False
        self._seen = committed
        return True

    def has_left(self) -> bool:
        self.collect()
        return not self.running

    def count(self, word: str) -> int:
        return sum(notes.read_text().splitlines().count(word) for notes in self._notes.iterdir())


def kill_keeper_now(cluster: Cluster) -> None:
    with FileLock(cluster.keeper_lock_path) as lock:
        pid = None if lock.try_shared() else lock.noted_pid()
    if pid is not None and b"keep.py" in read(f"/proc/{pid}/cmdline"):
        kill(pid)


def kill_server(cluster: Cluster) -> None:
    noted = read_pid_file(cluster.data)
    if noted is not None and os.fsencode(cluster.data) in read(f"/proc/{noted.pid}/cmdline"):
        kill(noted.pid)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def kill_user(crowd: Crowd, chance: random.Random) -> None:
    if crowd.running:
        chance.choice(crowd.running).kill()


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_whoever_comes_gets_a_server_and_no_committed_row_is_lost(made_home: Path, tmp_path: Path) -> None:
    chance = random.Random(1)
    with open_server(made_home) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    cluster = only_cluster(made_home)
    crowd = Crowd(made_home, tmp_path)
    for _ in range(ROUNDS):
        crowd.fill(chance.randint(1, 4), rows=chance.choice([1, 10, 100]))
        wait_for(crowd.goes_on, "a row since the last kill")
        match chance.choice(["keeper", "server", "user"]):
            case "keeper":
                kill_keeper_now(cluster)
            case "server":
                kill_server(cluster)
            case _:
                kill_user(crowd, chance)
    wait_for(crowd.has_left, "the end of the crowd")
    assert not crowd.failed, [notes.read_text()[-500:] for notes in tmp_path.iterdir() if "Error" in notes.read_text()]
    with open_server(made_home) as server, psycopg.connect(server.dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        # One that was committed just before a kill may not have been told so.
        assert row[0] >= crowd.count("committed") > 0
    wait_for_stop(made_home)
