"""A short torture; `make torture` does more of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Server
from tests.torture.report import lines_of
from tests.torture.run import torture


@pytest.mark.torture
@pytest.mark.timeout(240)
def test_a_short_torture(server: Server, tmp_path: Path) -> None:
    """Five seconds of everything at once: all that was acknowledged has ended, once, as it may, and nothing is left behind."""
    report = torture(seed=7, seconds=5, seconds_max=30, keep=tmp_path, server=server)
    assert not report.violations, "\n".join(lines_of(report))
    assert sum(report.fired.values()) > 10
    assert report.ended["succeeded"] > 100
