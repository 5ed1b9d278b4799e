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
    """Return the statement of farm/sql/<name>.sql without its comment and indentation, which are for readers.

    It matters: psycopg remembers how to fill in a message of up to 4096 bytes and takes longer ones apart every time.
    """
    lines = (SQL_DIRECTORY / f"{name}.sql").read_bytes().splitlines()
    return b"\n".join(line.strip() for line in lines if not line.lstrip().startswith(b"--"))


@cache
def compose(*names: str) -> bytes:
    """Return several statements as the one message that a simple query can carry."""
    return b";\n".join(load(name) for name in names)


@cache
def migrations() -> tuple[Migration, ...]:
    """Return every migration that this farm knows, in order."""
    found = []
    for path in sorted((SQL_DIRECTORY / "migrations").glob("*.sql")):
        version, _, name = path.stem.partition("_")
        found.append(Migration(int(version), name, path.read_bytes()))
    assert [m.version for m in found] == list(range(1, len(found) + 1)), "migrations are numbered without gaps"
    return tuple(found)
