"""Looks at the PostgreSQL that farm brings up itself, before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farm.doctor.finding import Finding, ok, wrong
from farm.embedded.binaries import INSTALL_HINT, find_binaries
from farm.embedded.cluster import Cluster
from farm.errors import EmbeddedError


def is_made(home: Path) -> bool:
    """Tell whether there are data of one, so that looking at it makes nothing new."""
    return bool(Cluster.existing(home))


def examine_embedded(home: Path) -> Iterator[Finding]:
    """Look whether there are programs to run it with."""
    try:
        best = find_binaries()[0]
    except EmbeddedError as error:
        yield wrong("embedded PostgreSQL", str(error), INSTALL_HINT)
        return
    data = f"its data are in {home}" if is_made(home) else f"none was made in {home} yet: the first command that needs it does that"
    yield ok("embedded PostgreSQL", f"{best.version} in {best.directory}; {data}")
