"""The log's events: each is told somewhere, with the fields that the page about them names."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import orjson

from farm.supervisor.log.events import Event, event
from farm.supervisor.log.logs import JsonFormatter

ROOT = Path(__file__).parents[2]


def told() -> dict[str, set[str]]:
    """Return the fields of every event, by its name, as the code tells them."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "farm" / "supervisor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "event" and node.args:
                name = node.args[0]
                assert isinstance(name, ast.Attribute), f"{path}:{node.lineno}: an event's name is one of Event"
                found.setdefault(str(Event[name.attr]), set()).update(keyword.arg or "**" for keyword in node.keywords)
    return found


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*)\|", (ROOT / "docs" / "log.md").read_text(), re.M)
    return {name: set(re.findall(r"\w+", fields)) for names, fields in rows for name in re.findall(r"`([\w.]+)`", names)}


def test_every_event_is_told_and_described() -> None:
    told_so, described = told(), documented()
    assert set(told_so) == {str(one) for one in Event} == set(described)
    for name, fields in told_so.items():
        assert fields <= described[name] | {"**"}, name
        assert described[name] <= fields or "**" in fields, name


def test_an_event_and_its_fields_stand_in_the_line_for_machines() -> None:
    record = logging.LogRecord("farm", logging.INFO, "", 0, "ready", (), None)
    record.__dict__.update(event(Event.DRAINING, left_s=3.0))
    line = orjson.loads(JsonFormatter().format(record))
    assert {key: line[key] for key in ("level", "event", "message", "left_s")} == {
        "level": "info",
        "event": "farm.draining",
        "message": "ready",
        "left_s": 3.0,
    }
    plain = orjson.loads(JsonFormatter().format(logging.LogRecord("farm", logging.INFO, "", 0, "text", (), None)))
    assert "event" not in plain
