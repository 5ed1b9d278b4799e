"""What a script prints at its end: a table, the environment, and one JSON line for whoever compares."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from bench.environment import describe

DRAWS = 10_000
"""Samples of a bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number beside what it must reach."""

    name: str
    value: float
    unit: str
    must: float
    aim: float
    more_is_better: bool = False

    @property
    def verdict(self) -> str:
        """Say `aim`, `must` or `missed`: what it reaches."""
        for word, bar in (("aim", self.aim), ("must", self.must)):
            if self.value >= bar if self.more_is_better else self.value <= bar:
                return word
        return "missed"


def print_report(name: str, figures: Sequence[Figure], *, environment: dict[str, Any], details: dict[str, Any]) -> None:
    """Print figures and environment; details go into the JSON line only."""
    print()
    rows = [(one.name, f"{one.value:.4g} {one.unit}".strip(), f"{one.must:g}", f"{one.aim:g}", one.verdict) for one in figures]
    print_table(("figure", "measured", "must", "aim", "reaches"), rows)
    for line in describe(environment):
        print(f"  {line}")
    measured = {one.name: {"value": round(one.value, 6), "unit": one.unit, "must": one.must, "aim": one.aim} for one in figures}
    print(json.dumps({"bench": name, "figures": measured, "details": details, "environment": environment}), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), flush=True)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, minimum and maximum."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, 1 to 99, between the two nearest values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return between which bounds the median lies with 95 %: the percentile bootstrap, with the same draws each time."""
    chance = random.Random(1)
    medians = [median(chance.choices(values, k=len(values))) for _ in range(DRAWS)]
    cuts = quantiles(medians, n=40, method="inclusive")
    return cuts[0], cuts[-1]
