"""When the alert rules fire, as Prometheus evaluates them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.metrics.queries import GRAFANA, find_promtool


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    case = Path(__file__).with_name("alerts.yaml").read_text().replace("RULES", str(GRAFANA / "farm-alerts.yaml"))
    (tmp_path / "alerts.yaml").write_text(case)
    checked = subprocess.run([find_promtool(), "test", "rules", str(tmp_path / "alerts.yaml")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
