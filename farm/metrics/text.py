"""The Prometheus text format, version 0.0.4: names, labels and numbers as lines. What of a line never changes is made once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from farm.metrics.families import FAMILIES, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_MAX = 8192
"""Beginnings of lines that are kept: tasks and lanes come and go, and with this many all are made anew."""

Labels = tuple[str, ...]
"""In the order of the family's labels."""


class Text:
    """Makes lines. One thread only."""

    def __init__(self) -> None:
        self._heads = {family: f"# HELP {family.name} {_help(family.about)}\n# TYPE {family.name} {family.kind}\n" for family in FAMILIES}
        self._begins: dict[tuple[str, Labels], str] = {}
        self._forms: dict[tuple[str, Labels], str] = {}

    def line(self, family: Family, labels: Labels, value: float) -> str:
        """Return the line of a counter or gauge."""
        key = family.name, labels
        begin = self._begins.get(key)
        if begin is None:
            _make_room(self._begins)
            begin = self._begins[key] = f"{family.name}{_labels(family, labels)} "
        return f"{begin}{number(value)}\n"

    def histogram(self, family: Family, labels: Labels, cumulative: Sequence[int], total: float) -> str:
        """Return the lines of a histogram. cumulative: how many were at most each of the family's bounds, and last, how many there are."""
        key = family.name, labels
        form = self._forms.get(key)
        if form is None:
            _make_room(self._forms)
            form = self._forms[key] = _form(family, labels)
        return form % (*cumulative, number(total), cumulative[-1])

    def lines(self, family: Family, labels: Labels, values: Sequence[str], counts: Sequence[int]) -> str:
        """Return the lines of a counter that differ in its last label only: labels are the others, values those of the last one."""
        key = family.name, labels
        form = self._forms.get(key)
        if form is None or form.count("\n") != len(values):
            _make_room(self._forms)
            begins = (f"{family.name}{_labels(family, (*labels, value))}".replace("%", "%%") for value in values)
            form = self._forms[key] = "".join(f"{begin} %d\n" for begin in begins)
        return form % tuple(counts)

    def page(self, lines: Mapping[Family, Sequence[str]], blocks: Mapping[Family, Sequence[bytes]]) -> bytes:
        """Put lines together, those of each family under its head; a family without any is left out. blocks: lines that were kept."""
        parts: list[bytes] = []
        for family, head in self._heads.items():
            if own := lines.get(family):
                parts.append(f"{head}{''.join(own)}".encode())
            elif kept := blocks.get(family):
                parts += (head.encode(), *kept)
        return b"".join(parts)


def number(value: float) -> str:
    """Return a number as the format has it."""
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _form(family: Family, labels: Labels) -> str:
    """Return the lines of a histogram with places for its numbers."""
    # The names of tasks may hold anything, so also what would be a place.
    inner = _pairs(family, labels).replace("%", "%%")
    outer = f"{{{inner}}}" if inner else ""
    inner = f"{inner}," if inner else ""
    bounds = [*map(number, family.bounds), "+Inf"]
    buckets = "".join(f'{family.name}_bucket{{{inner}le="{bound}"}} %d\n' for bound in bounds)
    return f"{buckets}{family.name}_sum{outer} %s\n{family.name}_count{outer} %d\n"


def _labels(family: Family, labels: Labels) -> str:
    pairs = _pairs(family, labels)
    return f"{{{pairs}}}" if pairs else ""


def _pairs(family: Family, labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True))


def _escaped(value: str) -> str:
    # Half of a pair, which no UTF-8 can hold, becomes a question mark.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode("utf-8", "replace").decode()


def _help(about: str) -> str:
    return about.replace("\\", "\\\\").replace("\n", "\\n")


def _make_room(cache: dict[tuple[str, Labels], str]) -> None:
    if len(cache) >= CACHE_MAX:
        cache.clear()
