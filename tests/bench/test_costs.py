"""The profile of a no-op job's cost, and the picture of it: what can be said without measuring."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.cost_chart import chart, segments, shades
from bench.cost_chart import main as draw
from bench.cost_profile import (
    CLAIM_THREAD,
    MAIN_THREAD,
    OTHER_THREADS,
    PARTS,
    PG_CLAIM,
    PG_LEASES,
    PG_READ,
    PG_RESULTS,
    WRITER,
    Cost,
    Part,
    main,
    part_of_threads,
    per_job,
    split_backends,
)
from bench.processes import cpu_ns, threads_cpu_ns
from bench.statement_costs import MARKERS, cpu_by_kind
from farm.store.statements import load

COSTS = [
    Cost(group="writer", name="writer", does="reads & commits", us=3.0, us_min=2.0, us_max=4.0),
    Cost(group="PostgreSQL", name="claim", does="<claims>", us=1.0, us_min=1.0, us_max=1.0),
    Cost(group="PostgreSQL", name="read", does="reads", us=-0.01, us_min=-0.1, us_max=0.1),
]
LOG = """\
2026-11-26 06:45:24.124 UTC [7] LOG:  EXECUTE MESSAGE STATISTICS
2026-11-26 06:45:24.124 UTC [7] DETAIL:  ! system usage stats:
\t!\t0.000200 s user, 0.000050 s system, 0.900000 s elapsed
\t!\t[0.002051 s user, 0.000000 s system total]
2026-11-26 06:45:24.124 UTC [7] STATEMENT:  SELECT c.job_ids, c.attempts
\tFROM farm.claim_jobs($1, $2) AS c
2026-11-26 06:45:24.133 UTC [8] LOG:  QUERY STATISTICS
2026-11-26 06:45:24.133 UTC [8] DETAIL:  ! system usage stats:
\t!\t0.001000 s user, 0.000000 s system, 0.001000 s elapsed
2026-11-26 06:45:24.133 UTC [8] STATEMENT:  SELECT 1
2026-11-26 06:45:24.145 UTC [9] LOG:  checkpoint starting: time
2026-11-26 06:45:24.150 UTC [7] LOG:  QUERY STATISTICS
2026-11-26 06:45:24.150 UTC [7] DETAIL:  ! system usage stats:
\t!\t0.000300 s user, 0.000000 s system, 0.000300 s elapsed
2026-11-26 06:45:24.150 UTC [7] STATEMENT:  COPY farm.result (job_id) FROM STDIN (FORMAT binary)
"""


def test_a_part_costs_the_median_of_what_more_jobs_made_it_use() -> None:
    pairs = [({WRITER: 500}, {WRITER: 500 + more}) for more in (1_000_000, 3_000_000, 2_000_000)]

    costs = {cost.name: cost for cost in per_job(pairs, jobs=1_000)}

    assert costs["writer"] == replace(_cost(WRITER, 2.0), us_min=1.0, us_max=3.0)
    assert costs["main thread"].us == 0.0
    assert len(costs) == len(PARTS)


def test_a_backend_is_shared_out_as_its_statements_cost_and_nothing_is_lost() -> None:
    whole = [_cost(PG_CLAIM, 4.0), _cost(PG_READ, 0.0), _cost(PG_RESULTS, 2.0), _cost(PG_LEASES, 0.0)]

    split = split_backends([*whole, COSTS[0]], {"claim": 30, "read": 10, "results": 70, "leases": 30})

    assert {cost.name: round(cost.us, 6) for cost in split} == {
        "claim": 3.0, "read": 1.0, "commit: results": 1.4, "commit: leases": 0.6, "writer": 3.0,
    }  # fmt: skip


def test_of_a_supervisors_threads_the_first_is_the_main_one_and_the_busiest_other_claims() -> None:
    assert part_of_threads([50, 1, 30, 2]) == {MAIN_THREAD: 50, CLAIM_THREAD: 30, OTHER_THREADS: 3}
    assert part_of_threads([50]) == {MAIN_THREAD: 50, CLAIM_THREAD: 0, OTHER_THREADS: 0}


def test_the_threads_of_a_process_are_counted_the_main_one_first() -> None:
    assert cpu_ns(os.getpid()) >= threads_cpu_ns(os.getpid())[0] > 0
    assert threads_cpu_ns(2**22 + 1) == []


def test_the_log_tells_the_cpu_time_of_each_kind_of_statement() -> None:
    assert cpu_by_kind(LOG) == {"claim": 250, "results": 300}


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("claim", "claim_jobs"),
        ("read", "read_jobs"),
        ("read", "read_scattered_jobs"),
        ("results", "copy_results"),
        ("leases", "lock_leases"),
    ],
)
def test_farms_statements_are_told_apart(kind: str, statement: str) -> None:
    text = load(statement).decode()
    assert next(found for found, marker in MARKERS.items() if marker in text) == kind


def test_segments_fill_the_bar_and_noise_below_nothing_has_no_width() -> None:
    assert segments(COSTS, 800) == [(0.0, 600.0), (600.0, 200.0), (800.0, 0.0)]


def test_every_part_that_is_measured_has_a_shade_of_its_own() -> None:
    found = shades([_cost(part, 1.0) for part in PARTS])
    assert len(set(found)) == len(PARTS)


def test_the_chart_is_whole_svg_that_says_the_sum_and_each_part() -> None:
    root = ElementTree.fromstring(chart(COSTS, cores=2))

    said = "\n".join(text for text in root.itertext())
    assert "CPU time of a no-op job, in all processes: 4.0 µs" in said
    assert "<claims>" in said
    assert "reads & commits" in said


def test_a_chart_is_drawn_from_the_figures_and_printed_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "chart.svg"
    figures.write_text(json.dumps({"costs": [_fields(cost) for cost in COSTS], "environment": {"cores": 2}}))

    assert draw([str(figures), str(picture)]) == 0

    assert picture.read_text(encoding="utf-8").startswith("<svg ")
    assert "writer: writer" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"costs": [{"us": 1}]}', b'{"costs": [], "environment": {"cores": 2}}'])
def test_a_file_without_figures_is_told_in_one_line(content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    if content is not None:
        figures.write_bytes(content)

    assert draw([str(figures), str(tmp_path / "chart.svg")]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "figures.json" in said


def test_too_many_arguments_are_an_error_before_anything_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a.json", "b.json"]) == 2
    assert draw(["a.json"]) == 2
    assert capsys.readouterr().err.count("usage: ") == 2


def _cost(part: Part, us: float) -> Cost:
    return Cost(group=part.group, name=part.name, does=part.does, us=us, us_min=us, us_max=us)


def _fields(cost: Cost) -> dict[str, object]:
    return {name: getattr(cost, name) for name in Cost.__slots__}
