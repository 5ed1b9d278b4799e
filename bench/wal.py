"""What WAL consists of, told by PostgreSQL's own pg_waldump."""

from __future__ import annotations

import re
import subprocess

from bench.database import Server
from farm.embedded.binaries import find_binaries
from farm.embedded.cluster import Cluster

TOTAL = re.compile(r"^Total +\d+ +(\d+) +\[[\d.]+%\] +(\d+) +\[", re.MULTILINE)
"""The last line of its statistics: bytes of records, and of the pages in them."""
READ_S_MAX = 30.0


def page_bytes(server: Server, wal_from: int, wal_to: int) -> int:
    """Return how much of a stretch of WAL is whole pages, written because they changed for the first time after a checkpoint.

    It must be young: a checkpoint lets go of what is older. Raises RuntimeError if pg_waldump is not there, or says something else than
    is known here.
    """
    cluster = Cluster.existing(server.home)[0]
    program = next(found.directory / "pg_waldump" for found in find_binaries() if found.major == cluster.major)
    command = [str(program), "-z", "-p", str(cluster.data / "pg_wal"), "-s", _address(wal_from), "-e", _address(wal_to)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=READ_S_MAX, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"{program}: {getattr(error, 'stderr', None) or error}") from error
    total = TOTAL.search(told)
    if total is None:
        raise RuntimeError(f"{program} tells no total:\n{told}")
    return int(total[2])


def _address(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
