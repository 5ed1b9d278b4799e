"""The Prometheus text format, version 0.0.4: names, labels and numbers as lines. What of a line never changes is made once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from farm.metrics.families import FAMILIES, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CACHE_MAX = 8192
"""Forms of lines that are kept: tasks and lanes come and go, and with this many all are made anew."""

Labels = tuple[str, ...]
"""In the order of the family's labels."""
Rows = tuple[Labels, ...]
Lines = Mapping[Family, Sequence[bytes]]
"""By family; each may hold many lines."""


class Text:
    """Makes lines. One thread only.

    Bytes from the beginning: to fill numbers into bytes takes two thirds of the time that it takes to fill them into a string.
    """

    def __init__(self) -> None:
        self._heads = {
            family: f"# HELP {family.name} {_help(family.about)}\n# TYPE {family.name} {family.kind}\n".encode() for family in FAMILIES
        }
        self._forms: dict[tuple[str, Labels], bytes] = {}
        self._columns: dict[str, tuple[Rows, bytes]] = {}

    def line(self, family: Family, labels: Labels, value: float) -> bytes:
        """Return the line of a counter or gauge."""
        return self._form(family, labels, _line_form) % number(value)

    def histogram(self, family: Family, labels: Labels, cumulative: Sequence[int], total: float) -> bytes:
        """Return the lines of a histogram, as fill_histogram() has it."""
        return fill_histogram(self._form(family, labels, histogram_form), cumulative, total)

    def lines(self, family: Family, labels: Labels, values: Sequence[str], counts: Sequence[int]) -> bytes:
        """Return the lines of a counter that differ in its last label only: labels are the others, values those of the last one, which
        are the same ones whenever these labels are."""
        key = family.name, labels
        form = self._forms.get(key) or self._keep(key, lines_form(family, labels, values))
        return form % tuple(counts)

    def column(self, family: Family, rows: Rows, values: Iterable[float]) -> bytes:
        """Return the lines of a counter or gauge for many labels at once, which are the same ones from page to page as a rule."""
        known, form = self._columns.get(family.name, ((), b""))
        if known != rows:
            form = b"".join(_line_form(family, labels) for labels in rows)
            self._columns[family.name] = rows, form
        return form % tuple(map(number, values))

    def page(self, lines: Lines) -> list[bytes]:
        """Put lines in order, those of each family under its head; a family without any is left out. Together they are the page."""
        parts: list[bytes] = []
        for family, head in self._heads.items():
            if own := lines.get(family):
                parts += (head, *own)
        return parts

    def _form(self, family: Family, labels: Labels, make: Callable[[Family, Labels], bytes]) -> bytes:
        key = family.name, labels
        return self._forms.get(key) or self._keep(key, make(family, labels))

    def _keep(self, key: tuple[str, Labels], form: bytes) -> bytes:
        if len(self._forms) >= CACHE_MAX:
            self._forms.clear()
        self._forms[key] = form
        return form


def number(value: float) -> bytes:
    """Return a number as the format has it."""
    if isinstance(value, int):
        return b"%d" % value
    if math.isfinite(value):
        return repr(value).encode()
    return b"NaN" if math.isnan(value) else b"+Inf" if value > 0 else b"-Inf"


def _begin(family: Family, labels: Labels) -> bytes:
    # Names of tasks may hold anything, so also what would be a place for a number.
    return f"{family.name}{_labels(family, labels)}".replace("%", "%%").encode()


def _line_form(family: Family, labels: Labels) -> bytes:
    """Return a line with a place for its number."""
    return _begin(family, labels) + b" %b\n"


def lines_form(family: Family, labels: Labels, values: Sequence[str]) -> bytes:
    """Return lines that differ in the last label only, with places for their whole numbers: labels are the others."""
    return b"".join(_begin(family, (*labels, value)) + b" %d\n" for value in values)


def histogram_form(family: Family, labels: Labels) -> bytes:
    """Return the lines of a histogram with places for its numbers."""
    inner = _pairs(family, labels).replace("%", "%%")
    outer = f"{{{inner}}}" if inner else ""
    inner = f"{inner}," if inner else ""
    bounds = [*(repr(float(bound)) for bound in family.bounds), "+Inf"]
    buckets = "".join(f'{family.name}_bucket{{{inner}le="{bound}"}} %d\n' for bound in bounds)
    return f"{buckets}{family.name}_sum{outer} %b\n{family.name}_count{outer} %d\n".encode()


def fill_histogram(form: bytes, cumulative: Sequence[int], total: float) -> bytes:
    """Return its lines. cumulative: how many were at most each of the family's bounds, and last, how many there are."""
    return form % (*cumulative, number(total), cumulative[-1])


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
