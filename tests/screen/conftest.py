"""Farms for screens to look at."""

from __future__ import annotations

from tests.process.conftest import MakeFarm, ledger, make_farm

__all__ = ["MakeFarm", "ledger", "make_farm"]
