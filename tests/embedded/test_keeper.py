"""The keeper's rule, step by step on a clock of the test's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.embedded.account import server_account
from farm.embedded.cluster import LOG_BYTES_MAX, Cluster
from farm.embedded.keeper import LINGER_S, Keeper
from farm.filelock import FileLock
from tests.embedded.using import only_cluster, usable_binaries, wait_for


@pytest.fixture
def cluster(made_home: Path) -> Cluster:
    found = only_cluster(made_home)
    found.make_socket_dir(server_account(found.data))
    return found


@pytest.fixture
def keeper(cluster: Cluster) -> Iterator[Keeper]:
    with FileLock(cluster.users_lock_path) as users:
        keeper = Keeper(cluster=cluster, account=server_account(cluster.data), binaries=usable_binaries(cluster).directory, users=users)
        assert keeper.bring_up(time.monotonic() + 30) is None
        yield keeper
        # Far in the future nobody has used it for long, so whatever still runs is stopped.
        keeper.step(1e9)
        keeper.step(2e9)


def test_the_server_is_kept_as_long_as_somebody_uses_it(cluster: Cluster, keeper: Keeper) -> None:
    with FileLock(cluster.users_lock_path) as user:
        assert user.try_shared()
        assert keeper.step(10.0) >= 0
        assert keeper.step(1000.0) >= 0
    assert keeper.step(1001.0) >= 0
    assert keeper.step(1001.0 + LINGER_S) < 0
    assert not (cluster.data / "postmaster.pid").exists()


def test_a_user_in_between_starts_the_wait_anew(cluster: Cluster, keeper: Keeper) -> None:
    assert keeper.step(10.0) >= 0
    with FileLock(cluster.users_lock_path) as user:
        assert user.try_shared()
        assert keeper.step(11.0) >= 0
    assert keeper.step(10.0 + LINGER_S) >= 0
    assert (cluster.data / "postmaster.pid").exists()


def test_a_user_who_comes_while_it_stops_waits_for_the_end(cluster: Cluster, keeper: Keeper) -> None:
    assert keeper.step(10.0) >= 0
    assert keeper.step(10.0 + LINGER_S) < 0
    with FileLock(cluster.users_lock_path) as user:
        # The keeper is through, but has not ended yet.
        assert not user.try_shared()


def test_told_to_hurry_it_goes_with_the_last_user(cluster: Cluster, keeper: Keeper) -> None:
    keeper.hurry()
    with FileLock(cluster.users_lock_path) as user:
        assert user.try_shared()
        assert keeper.step(10.0) >= 0
    assert keeper.step(10.0) < 0


def test_a_server_that_cannot_start_again_is_tried_less_and_less_often(cluster: Cluster, keeper: Keeper) -> None:
    version = cluster.data / "PG_VERSION"
    with FileLock(cluster.users_lock_path) as user:
        assert user.try_shared()
        version.rename(version.with_suffix(".away"))
        keeper._server.stop()  # type: ignore[union-attr]
        pauses: list[float] = []
        now = time.monotonic()
        while len(pauses) < 3:
            assert keeper.step(now) >= 0
            if not pauses or keeper._pause_s > pauses[-1]:
                pauses.append(keeper._pause_s)
            now += 1.0
        assert keeper.down
        version.with_suffix(".away").rename(version)
        wait_for(lambda: keeper.step(time.monotonic() + 100) >= 0 and not keeper.down, "the server's return")


def test_the_log_is_bounded_with_one_older_part_kept(cluster: Cluster, keeper: Keeper) -> None:
    with cluster.log_path.open("wb") as log:
        log.truncate(LOG_BYTES_MAX + 1)
    with FileLock(cluster.users_lock_path) as user:
        assert user.try_shared()
        assert keeper.step(1e6) >= 0
    assert cluster.log_bytes() == 0
    assert cluster.log_path.with_suffix(".log.1").stat().st_size == LOG_BYTES_MAX + 1
