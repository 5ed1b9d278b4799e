"""Disks that are full: PostgreSQL's, under the tables of a farm at work; and the one that takes the farm's log."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.mounts import needs_mounts
from tests.process.conftest import MakeFarm
from tests.process.crew import wait_for
from tests.process.ledger import Ledger, effects_left
from tests.servers import Server

DISK_MB = 48


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A small file system, seen by everybody, that belongs to the server."""
    path = server.path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)], check=True)
    (path / "tables").mkdir()
    owner = server.data.stat()
    for directory in (path, path / "tables"):
        os.chown(directory, owner.st_uid, owner.st_gid)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)
    path.rmdir()


@pytest.fixture
def small_dsn(server: Server, small_disk: Path) -> Iterator[str]:
    """A database whose tables stand on the small disk; the server's log of transactions stands elsewhere."""
    with server.database() as pattern, psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        name = pattern.partition("dbname=")[2].split()[0]
        connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(small_disk / "tables")))
        connection.execute(sql.SQL("CREATE DATABASE small TEMPLATE {} TABLESPACE small").format(sql.Identifier(name)))
        yield server.dsn("small")
        connection.execute("DROP DATABASE small WITH (FORCE)")
        connection.execute("DROP TABLESPACE small")


def fill(disk: Path) -> Path:
    """Write until there is no room left."""
    path = disk / "filling"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return path
    raise AssertionError


@needs_mounts
@pytest.mark.timeout(120)
def test_a_full_disk_under_the_database(make_farm: MakeFarm, small_disk: Path, small_dsn: str, tmp_path: Path) -> None:
    """Commits stop, are told of once, and go on when there is room: nothing is committed in part, nothing runs again."""
    ledger = Ledger(small_dsn)
    chance = random.Random(3)
    hold = tmp_path / "hold"
    hold.touch()
    jobs = ledger.enqueue_all([("mark_until", (str(tmp_path / "effects"), number, str(hold))) for number in range(2)], priority=0)
    jobs += ledger.enqueue_all([("give_back", (chance.randbytes(4_000).hex(),)) for _ in range(400)])
    farm = make_farm(dsn=small_dsn)
    farm.start()
    wait_for(lambda: effects_left(tmp_path / "effects") == 2, "both subworkers at work")
    filling = fill(small_disk)
    hold.unlink()
    farm.wait_log("results cannot be committed, and are kept: could not extend file .*: No space left on device|the database is away")
    kept = ledger.settled()
    assert kept < len(jobs)
    filling.unlink()
    begun = time.monotonic()
    wait_for(lambda: ledger.settled() > kept, "the next commit")
    print(f"a full disk: the next commit came {time.monotonic() - begun:.2f} s after there was room")
    wait_for(lambda: ledger.settled() == len(jobs), f"all results\n{farm.log}")
    farm.stop()
    assert {(row.status, row.attempt) for row in ledger.results().values()} == {(1, 1)}
    assert len(farm.log_lines("results cannot be committed")) == len(farm.log_lines("results are committed again"))
    assert len(farm.log.splitlines()) < 16, farm.log
    ledger.check_all_ended()


def test_a_log_that_cannot_be_written(make_farm: MakeFarm, ledger: Ledger) -> None:
    """Jobs that print, and a farm that has something to say, end all the same when the disk with the log is full."""
    farm = make_farm(wrapper=["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh"])
    farm.start(ready=False)
    printing = ledger.enqueue("say", (2_000, "words " * 20))
    failing = ledger.enqueue("vanish", (3,), max_attempts=1)
    assert ledger.result(printing).status == 1
    assert ledger.error(failing).startswith("SubworkerExited")
    farm.stop()
    assert farm.log == ""
    ledger.check_all_ended()
