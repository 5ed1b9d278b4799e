"""Holds up commits: whoever wants to settle a lease waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def leases_locked(dsn: str) -> Iterator[None]:
    """Let leases be made and nothing be settled. The writer's connection waits on a lock, as in a slow database."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE farm.result IN SHARE MODE")
        yield
        connection.rollback()
