"""What the tests of shared memory share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory in shared memory, as that of a farm."""
    path = Path(f"/dev/shm/farm-test-{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)
