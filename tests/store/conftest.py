"""A database seen through every store at once, as the tests of the store need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.bench import Bench


@pytest.fixture
def bench(dsn: str) -> Iterator[Bench]:
    """All stores on a fresh database, and a connection of the test's own."""
    made = Bench(dsn)
    yield made
    made.close()
