"""Data that initdb made once, for the tests that are not about making it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.embedded.account import server_account
from farm.embedded.binaries import find_binaries
from farm.embedded.cluster import Cluster
from farm.embedded.creation import create_data
from tests.embedded.using import usable_binaries


@pytest.fixture(scope="session")
def made() -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix="farm-made-", dir="/tmp"))
    home.chmod(0o755)
    cluster = Cluster(home, find_binaries()[0].major)
    cluster.make()
    create_data(cluster, usable_binaries(cluster), server_account(cluster.data))
    yield cluster
    shutil.rmtree(home)


@pytest.fixture
def made_home(farm_home: Path, made: Cluster) -> Path:
    """A FARM_HOME with data as initdb left it; nothing has ever run there."""
    cluster = Cluster(farm_home, made.major)
    cluster.make()
    subprocess.run(["cp", "-a", str(made.data), str(cluster.data)], check=True)
    return farm_home
