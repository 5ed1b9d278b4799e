"""The text format: escaping, numbers, histograms."""

from __future__ import annotations

import math

import pytest

from farm.metrics import families as of
from farm.metrics.families import FAMILIES, Kind
from farm.metrics.text import CACHE_MAX, Text, number
from farm.spread import JOB_BOUNDS_S, SIZE_BOUNDS, TIME_BOUNDS_S


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "1"),
        (0.5, "0.5"),
        (1e-9, "1e-09"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (10**20, str(10**20)),
    ],
)
def test_numbers_are_written_as_the_format_has_them(value: float, text: str) -> None:
    assert number(value) == text.encode()


def test_labels_can_hold_anything() -> None:
    line = Text().line(of.RSS, ('a"b\\c\nd', "ä{}%s\ud800"), 1)
    assert line.decode() == 'farm_subworker_rss_bytes{lane="a\\"b\\\\c\\nd",subworker="ä{}%s?"} 1\n'


def test_a_histogram_has_cumulative_buckets_a_sum_and_a_count() -> None:
    cumulative = [*range(len(JOB_BOUNDS_S)), 99]
    lines = Text().histogram(of.RUN, ("fast", "100%d:x"), cumulative, 1.5).decode().splitlines()
    assert lines[0] == 'farm_job_duration_seconds_bucket{lane="fast",task="100%d:x",le="0.000512"} 0'
    assert lines[-3:] == [
        'farm_job_duration_seconds_bucket{lane="fast",task="100%d:x",le="+Inf"} 99',
        'farm_job_duration_seconds_sum{lane="fast",task="100%d:x"} 1.5',
        'farm_job_duration_seconds_count{lane="fast",task="100%d:x"} 99',
    ]
    plain = Text().histogram(of.CLAIM_SIZE, (), [0] * (len(of.SIZE_BOUNDS) + 1), 0).decode()
    assert 'farm_claim_batch_size_bucket{le="1.0"} 0' in plain
    assert "farm_claim_batch_size_sum 0\n" in plain


def test_a_page_has_each_family_once_under_its_head_and_none_without_lines() -> None:
    text = Text()
    jobs = text.lines(of.JOBS, ("a", "50%"), ("failed", "crashed"), (2, 3))
    page = b"".join(text.page({of.UP: [text.line(of.UP, (), 1)], of.OLDEST: [], of.JOBS: [jobs], of.RUN: []})).decode()
    assert page.splitlines() == [
        f"# HELP farm_jobs_total {of.JOBS.about}",
        "# TYPE farm_jobs_total counter",
        'farm_jobs_total{lane="a",task="50%",outcome="failed"} 2',
        'farm_jobs_total{lane="a",task="50%",outcome="crashed"} 3',
        f"# HELP farm_database_up {of.UP.about}",
        "# TYPE farm_database_up gauge",
        "farm_database_up 1",
    ]


def test_a_column_is_its_lines() -> None:
    """Whatever the rows are this time, and whatever their labels hold."""
    text = Text()
    for rows in ((("a",), ("50%",)), (("a",), ("50%",)), (("b",),), (("50%",), ("a",), ("c",))):
        values = [0.5, True, 12][: len(rows)]
        lines = [Text().line(of.CAPACITY, row, value) for row, value in zip(rows, values, strict=True)]
        assert text.column(of.CAPACITY, rows, values) == b"".join(lines)


def test_what_is_kept_of_lines_is_bounded() -> None:
    text = Text()
    for index in range(2 * CACHE_MAX + 5):
        text.line(of.CAPACITY, (f"lane-{index}",), 1)
    assert len(text._forms) <= CACHE_MAX


def test_every_family_is_declared_as_monitoring_systems_expect() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert family.name.startswith("farm_")
        assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
        assert (family.kind is Kind.HISTOGRAM) == bool(family.bounds)
        assert family.about.endswith(".")
        assert not {"le", "instance", "job"} & set(family.labels)


def test_bounds_are_some_of_those_by_which_is_counted() -> None:
    assert set(of.TIME_BOUNDS_S) <= set(TIME_BOUNDS_S)
    assert set(of.SIZE_BOUNDS) <= set(SIZE_BOUNDS)
