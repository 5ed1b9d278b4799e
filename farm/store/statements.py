"""The SQL statements of farm, one per file of farm/sql."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

SQL_DIRECTORY = Path(__file__).resolve().parent.parent / "sql"


class Migration(NamedTuple):
    """One numbered change of the schema; its text may hold several statements."""

    version: int
    name: str
    text: bytes


@cache
def load(name: str) -> bytes:
    """Return the statement of farm/sql/<name>.sql without the comment on top, which is for readers."""
    lines = (SQL_DIRECTORY / f"{name}.sql").read_bytes().splitlines()
    first = next(i for i, line in enumerate(lines) if not line.startswith(b"--"))
    return b"\n".join(lines[first:])


@cache
def compose(*names: str) -> bytes:
    """Return several statements as the one message that a simple query can carry."""
    return b";\n".join(load(name) for name in names)


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration that this farm knows, in order; numbers are dense from 1."""
    found = []
    for path in sorted((SQL_DIRECTORY / "migrations").glob("*.sql")):
        version, _, name = path.stem.partition("_")
        found.append(Migration(int(version), name, path.read_bytes()))
    assert [m.version for m in found] == list(range(1, len(found) + 1)), "migrations are numbered without gaps"
    return tuple(found)
