"""Where the embedded server cannot be had, one line says why and what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.embedded import open_server
from farm.embedded.binaries import find_binaries
from farm.embedded.cluster import Cluster
from farm.errors import EmbeddedError
from tests.embedded.using import answers, only_cluster

pytestmark = pytest.mark.timeout(120)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is dropped to another account")


def refusal(home: Path) -> str:
    with pytest.raises(EmbeddedError) as caught:
        open_server(home)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture
def small_disk(farm_home: Path) -> Iterator[Path]:
    """A file system of 8 MB, too small for a database."""
    place = farm_home / "small"
    place.mkdir(mode=0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(place)], capture_output=True).returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_home_that_is_a_file(farm_home: Path) -> None:
    (farm_home / "file").write_text("")
    text = refusal(farm_home / "file")
    assert str(farm_home / "file") in text
    assert "FARM_HOME" in text


def test_a_full_disk(small_disk: Path) -> None:
    assert "No space left on device" in refusal(small_disk)
    # Nothing half made stays behind, so that the next start begins cleanly.
    assert not list(small_disk.glob("pg*/data*"))


def test_a_home_that_cannot_be_written(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "Read-only file system" in refusal(small_disk)


def test_a_named_directory_without_programs(farm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PG_BIN", str(farm_home))
    assert f"FARM_PG_BIN={farm_home}" in refusal(farm_home)


def test_a_named_postgresql_that_is_too_old(farm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb"):
        (farm_home / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (farm_home / name).chmod(0o755)
    monkeypatch.setenv("FARM_PG_BIN", str(farm_home))
    assert "PostgreSQL 15 or newer" in refusal(farm_home)


def test_data_of_a_major_that_is_not_here_is_not_passed_over_for_an_empty_one(farm_home: Path) -> None:
    (farm_home / "pg99" / "data").mkdir(parents=True)
    text = refusal(farm_home)
    assert "PostgreSQL 99" in text
    assert find_binaries()[0].version in text
    assert "native-farm[embedded]" in text


def test_a_damaged_database_is_reported_with_the_servers_own_words(farm_home: Path) -> None:
    with open_server(farm_home):
        cluster = only_cluster(farm_home)
    (cluster.path / "moved").mkdir()
    broken = Cluster(farm_home / "other", cluster.major)
    broken.path.mkdir(parents=True)
    broken.path.parent.chmod(0o755)
    shutil.copytree(cluster.data / "global", broken.data / "global")
    shutil.copy(cluster.data / "PG_VERSION", broken.data / "PG_VERSION")
    if os.geteuid() == 0:
        owner = cluster.data.stat()
        for path in (broken.data, *broken.data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
    broken.data.chmod(0o700)
    text = refusal(farm_home / "other")
    assert "does not start" in text
    assert "server.log" in text


@needs_root
def test_a_home_that_the_servers_account_cannot_reach(farm_home: Path) -> None:
    closed = farm_home / "closed"
    closed.mkdir(mode=0o700)
    text = refusal(closed / "home")
    assert "cannot reach" in text
    assert "FARM_HOME" in text


@needs_root
def test_programs_that_the_servers_account_cannot_reach_are_copied(farm_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a clone under root's own home, which is closed to everybody else.
    prefix = find_binaries()[0].directory.parent
    package = prefix.parent
    libraries = package.with_name(package.name + ".libs") if package.name else package
    if not libraries.name.endswith(".libs") or not libraries.is_dir():
        pytest.skip(f"the programs of {prefix} are not from a wheel, and cannot be moved")
    closed = farm_home / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(prefix, closed / package.name / prefix.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    shutil.copytree(libraries, closed / libraries.name)
    inside = closed / package.name / prefix.name / "bin"
    monkeypatch.setenv("FARM_PG_BIN", str(inside))
    with open_server(farm_home / "home") as server:
        assert answers(server.dsn)
        assert len(list((server.path / "binaries").iterdir())) == 1
    with open_server(farm_home / "home"):
        assert len(list((server.path / "binaries").iterdir())) == 1


@needs_root
def test_a_trap_in_place_of_the_socket_directory_is_refused(farm_home: Path) -> None:
    home = farm_home / ("long" * 30)
    directory = Cluster(home, find_binaries()[0].major).socket_dir
    assert directory.parent == Path("/tmp")
    directory.mkdir()
    try:
        os.chown(directory, 12345, 12345)
        assert "is not ours" in refusal(home)
    finally:
        directory.rmdir()
