"""Where a measurement was made: without that its figures say nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from bench.database import query

SETTINGS = ("fsync", "full_page_writes", "jit", "shared_buffers", "synchronous_commit", "wal_compression", "wal_level")
"""What decides the cost of a commit, and what it promises."""


def environment(dsn: str) -> dict[str, Any]:
    """Describe the machine, the interpreter, the PostgreSQL behind a DSN, and the version of the farm."""
    with psycopg.connect(dsn) as connection:
        version = connection.info.server_version
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": f"{version // 10000}.{version % 10000}",
        "settings": dict(query(dsn, "read_settings", {"names": list(SETTINGS)})),
        "commit": _commit(),
    }


def describe(found: dict[str, Any]) -> list[str]:
    """Return the environment as lines to be read; `load` is that of the minute before."""
    settings = ", ".join(f"{name}={value}" for name, value in found["settings"].items())
    return [
        f"{found['cores']} cores, {found['cpu']}, load {found['load']:.2f}; Linux {found['kernel']}",
        f"Python {found['python']}; PostgreSQL {found['postgresql']}: {settings}",
        f"commit {found['commit'] or 'unknown'}",
    ]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _commit() -> str | None:
    """Return the commit of this clone, with a + when files differ from it; None outside of a clone."""
    here = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


assert sys.platform == "linux", "hosts run on Linux, and so do their measurements"
