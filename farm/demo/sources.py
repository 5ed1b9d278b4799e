"""The Python source files of this machine that the demo surveys."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")


def find_sources() -> list[str]:
    """Return the standard library's files and those of this environment's site-packages, each once, in a fixed order."""
    paths = sysconfig.get_paths()
    files = set(_python_files(Path(paths["stdlib"]), skipped=INSTALLED))
    for name in ("purelib", "platlib"):
        files.update(_python_files(Path(paths[name]), skipped=()))
    return sorted(files)


def _python_files(top: Path, skipped: tuple[str, ...]) -> Iterator[str]:
    for directory, names, files in os.walk(top.resolve()):
        names[:] = [name for name in names if name not in skipped and name != "__pycache__"]
        for name in files:
            path = os.path.join(directory, name)
            # A path that is no UTF-8 cannot be an argument of a job; an unreadable file would only fail.
            if name.endswith(".py") and _is_text(path) and os.path.isfile(path) and os.access(path, os.R_OK):
                yield path


def _is_text(path: str) -> bool:
    try:
        return "\0" not in path and bool(path.encode())
    except UnicodeEncodeError:
        return False
