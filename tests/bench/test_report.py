"""What a measurement prints."""

from __future__ import annotations

import json

import orjson
import pytest

from bench.database import ARGS
from bench.report import Figure, interval, percentile, print_report

FOUND = {
    "cores": 2, "cpu": "a cpu", "load": 0.5, "kernel": "6.1", "python": "3.11.7", "postgresql": "18.4",
    "settings": {"fsync": "on"}, "commit": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "more_is_better", "verdict"),
    [(3, False, "missed"), (2, False, "must"), (1, False, "aim"), (0.5, True, "missed"), (1, True, "must"), (2, True, "must")],
)
def test_a_figure_says_what_it_reaches(value: float, more_is_better: bool, verdict: str) -> None:
    must, aim = (1, 3) if more_is_better else (2, 1)
    assert Figure(name="x", value=value, unit="s", must=must, aim=aim, more_is_better=more_is_better).verdict == verdict


def test_a_report_ends_with_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    figure = Figure(name="boot", value=0.5, unit="s", must=0.8, aim=0.45)

    print_report("boot_time", [figure], environment=FOUND, details={"runs": 5})

    *table, line = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
        "bench": "boot_time",
        "figures": {"boot": {"value": 0.5, "unit": "s", "must": 0.8, "aim": 0.45}},
        "details": {"runs": 5},
        "environment": FOUND,
    }
    assert [row.split() for row in table if "boot" in row] == [["boot", "0.5", "s", "0.8", "0.45", "must"]]


def test_percentiles_lie_between_the_two_nearest_values() -> None:
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([float(n) for n in range(101)], 99) == 99.0


def test_the_arguments_of_a_throughput_run_have_60_bytes() -> None:
    assert len(orjson.dumps(ARGS)) == 60


def test_an_interval_holds_the_median_and_is_the_same_each_time() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.3, 0.7, 1.0]
    low, high = interval(values)
    assert min(values) < low < 1.0 < high < max(values)
    assert interval(values) == (low, high)
    assert interval([2.0] * 10) == (2.0, 2.0)
