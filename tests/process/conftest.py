"""Farms in real processes against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.ledger import Ledger
from tests.process.running import RunningFarm

MakeFarm = Callable[..., RunningFarm]


@pytest.fixture
def make_farm(farm_home: Path, tmp_path: Path, dsn: str) -> Iterator[MakeFarm]:
    """Make farms, not yet started; whatever is left of them is ended with the test. Logs must hold no traceback of farm's own."""
    farms: list[RunningFarm] = []

    def make(**options: object) -> RunningFarm:
        farms.append(RunningFarm(**{"home": farm_home, "directory": tmp_path, "dsn": dsn, **options}))  # type: ignore[arg-type]
        return farms[-1]

    yield make
    for farm in farms:
        farm.end()
    for farm in farms:
        assert "Traceback" not in farm.whole_log, farm.whole_log


@pytest.fixture
def farm(make_farm: MakeFarm) -> RunningFarm:
    """A farm with two subworkers, not yet started."""
    return make_farm()


@pytest.fixture
def ledger(dsn: str) -> Ledger:
    return Ledger(dsn)


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """Where jobs leave their lines."""
    return tmp_path / "effects"
