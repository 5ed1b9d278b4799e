"""Where a farm can run: Linux with glibc. Clients, SQL and the reading commands work wherever psycopg does."""

from __future__ import annotations

import os
import sys

from farm.errors import FarmError


def require_linux(command: str) -> None:
    """Raise FarmError, one line, unless this is Linux with glibc."""
    if sys.platform != "linux":
        raise FarmError(f"{command} needs Linux, this is {sys.platform}; here you can enqueue and look at jobs of a farm elsewhere")
    if "CS_GNU_LIBC_VERSION" not in os.confstr_names or not _glibc():
        raise FarmError(f"{command} needs a Linux with glibc; here you can enqueue and look at jobs of a farm elsewhere")


def _glibc() -> str | None:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None
