"""Takes apart what is asked of Prometheus: which metrics with which labels, so that it can be compared with what is exposed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

GRAFANA = Path(__file__).resolve().parents[2] / "configs" / "grafana"
OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that are not the farm's to give."""

_NAME = re.compile(r"\bfarm_[a-z0-9_]+")
_SELECTOR = re.compile(r"\b(farm_[a-z0-9_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'\s*([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"\s*(?:,|$)')
_GROUPED = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")
_SAMPLE = re.compile(r"^(farm_[a-z0-9_]+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Exposed = Mapping[str, Mapping[str, set[str]]]
"""By the name of each sample, its labels and the values that these have."""


class Query(NamedTuple):
    """One expression, and the labels that its legend or annotations show."""

    where: str
    expr: str
    shown: frozenset[str]


def find_promtool() -> str:
    """Return the path of promtool. Where FARM_TEST_PG says what is to be tested a missing one is an error, else the test is skipped."""
    found = shutil.which("promtool", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
    if found is None:
        message = "no promtool on this machine: `make test` gets it where there is apt, else install Prometheus"
        if os.environ.get("FARM_TEST_PG"):
            pytest.fail(message)
        pytest.skip(message)
    return found


def dashboard() -> Any:
    return json.loads((GRAFANA / "farm-dashboard.json").read_text())


def queries() -> Iterator[Query]:
    """Go through all that the dashboard and the alert rules ask."""
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield Query(f"panel {panel['title']}", target["expr"], frozenset(_SHOWN.findall(target["legendFormat"])))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            expr, label = re.fullmatch(r"label_values\((.*), *([a-z_]+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            yield Query(f"variable {variable['name']}", expr, frozenset({label}))
    for annotation in board["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", annotation["expr"], frozenset(_SHOWN.findall(annotation["textFormat"])))
    for group in yaml.safe_load((GRAFANA / "farm-alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            shown = frozenset(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))
            yield Query(f"alert {rule['alert']}", rule["expr"], shown)


def exposed(page: str) -> dict[str, dict[str, set[str]]]:
    """Read a page of metrics."""
    found: dict[str, dict[str, set[str]]] = {}
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        sample = _SAMPLE.match(line)
        assert sample is not None, line
        labels = found.setdefault(sample[1], {})
        for name, value in _LABEL.findall(sample[2] or ""):
            labels.setdefault(name, set()).add(value)
    return found


def complaints(query: Query, page: Exposed) -> list[str]:
    """Say what a query asks for that is not there."""
    found = []
    used: set[str] = set()
    for name, matchers in _SELECTOR.findall(query.expr):
        if name not in page:
            found.append(f"{query.where}: there is no {name}")
            continue
        used |= page[name].keys()
        rest = matchers
        while rest:
            matcher = _MATCHER.match(rest)
            assert matcher is not None, f"{query.where}: {rest}"
            label, how, value = matcher.groups()
            rest = rest[matcher.end() :]
            found += [f"{query.where}: {name} has no {label}"] * (label not in page[name].keys() | OF_PROMETHEUS)
            if "$" not in value and label in page[name]:
                values = value.split("|") if "~" in how else [value]
                # What is asked for by name must have been seen: a word that is spelled wrong would never match.
                found += [f"{query.where}: no {name} has {label} {one}" for one in values if one not in page[name][label] | RARE]
    wanted = {label.strip() for group in _GROUPED.findall(query.expr) for label in group.split(",")} | query.shown
    return found + [f"{query.where}: nothing has a label {label}" for label in sorted(wanted - used - OF_PROMETHEUS)]


RARE = {"rejected"}
"""Values that are told only when they occur."""


def as_rules(asked: Iterable[Query]) -> str:
    """Return expressions as recording rules, whose syntax promtool checks; variables of the dashboard are filled in."""
    rules = []
    for index, query in enumerate(asked):
        expr = re.sub(r"\$__(rate_)?interval|\$__range", "5m", query.expr).replace("$instance", ".*").replace("$lane", ".*")
        rules.append({"record": f"checked:{index}", "expr": expr})
    return yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]})
