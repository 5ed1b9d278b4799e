"""What docs/metrics.md says is what farm exposes."""

from __future__ import annotations

import re
from pathlib import Path

from farm.metrics.families import FAMILIES
from farm.metrics.health import STEP_S, STILL_S, TURN_S
from farm.supervisor.counts.tallies import PAIRS_MAX
from farm.supervisor.views.exposition import OUTCOMES_SHOWN, QUEUES_MAX, REASONS, SUBWORKERS_MAX

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()


def test_every_metric_is_in_the_table_and_no_other() -> None:
    rows = re.findall(r"^\| `(farm_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", TEXT, re.MULTILINE)
    labels = [", ".join(f"`{label}`" for label in family.labels) or "-" for family in FAMILIES]
    assert rows == [(family.name, family.kind, shown, family.about) for family, shown in zip(FAMILIES, labels, strict=True)]


def test_bounds_and_values_are_documented() -> None:
    for number in (PAIRS_MAX, QUEUES_MAX, SUBWORKERS_MAX):
        assert f"{number:,}" in TEXT
    for value in (*OUTCOMES_SHOWN.values(), *REASONS):
        assert re.search(rf"\b{value}\b", TEXT)
    assert set(re.findall(r"^\|.*\| (\d+) s \|$", TEXT, re.MULTILINE)) == {f"{bound_s:.0f}" for bound_s in (STILL_S, STEP_S, TURN_S)}
