"""What `import farm` brings, and what it leaves for later."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import farm

ROOT = Path(__file__).resolve().parents[2]


def test_importing_farm_loads_nothing_heavy() -> None:
    code = "import farm, sys; print([name for name in ('psycopg', 'orjson', 'yaml', 'json', 'farm.client') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"


def test_every_name_that_farm_exports_is_there() -> None:
    for name in farm.__all__:
        assert getattr(farm, name) is not None
    with pytest.raises(AttributeError, match="module 'farm' has no attribute 'enqueue'"):
        farm.enqueue  # noqa: B018


def test_the_version_is_the_packages() -> None:
    assert farm.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_without_a_dsn_the_embedded_database_is_used_and_made(farm_home: Path) -> None:
    with farm.connect() as client:
        assert client.enqueue("app:f") == 1
        assert str(farm_home) in client.dsn or "/tmp" in client.dsn
