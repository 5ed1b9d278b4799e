"""Tasks of measurements that no user has. Subworkers import this: it imports next to nothing."""

from __future__ import annotations

import os
from typing import Any


def stumble(mark: str = "", **_named: object) -> dict[str, Any]:
    """Do nothing; but where a mark is named, a file that is not there the first time, fail that once. Raises RuntimeError."""
    if mark:
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return {}
        raise RuntimeError("the first time it fails")
    return {}
