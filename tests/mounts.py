"""Commands in a mount namespace of their own: small, full or read-only file systems, seen by nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

_SHELL = ("unshare", "--mount", "--propagation", "private", "sh", "-ec")


@cache
def can_mount() -> bool:
    """Say whether this user may: root may, unless the container forbids it."""
    try:
        return subprocess.run([*_SHELL, "mount -t tmpfs tmpfs /mnt"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif("not __import__('tests.mounts', fromlist=['x']).can_mount()", reason="only root may mount file systems")


def with_mounts(command: Sequence[str | Path], *mounts: tuple[Path, str]) -> list[str]:
    """Return a command line that runs `command` with these tmpfs mounted, each (directory, options), such as `size=1m` or `ro`."""
    script = "".join(f"mount -t tmpfs -o {options} tmpfs '{directory}'\n" for directory, options in mounts)
    return [*_SHELL, f'{script}exec "$@"', "sh", *map(str, command)]
