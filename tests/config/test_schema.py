"""The JSON Schema of a configuration is that of the loader's own declarations, and says what the loader says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import runners
from farm.cli.main import main
from farm.config import load
from farm.config.keys import ATTEMPTS_MAX, CONFIG, TIMEOUT_S_MAX, DatabaseChoice, Group, Groups, Key, Patterns, RunnerOptions
from farm.config.machine import Machine
from farm.config.schema import json_schema
from farm.errors import ConfigError
from farm.store import newjobs

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "configs" / "farm.schema.json"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
MACHINE = Machine(cores=4, memory_bytes=8_000_000_000, cpus=frozenset(range(4)))
MINIMAL: dict[str, Any] = {"runners": {"python": {}}, "lanes": {"a": {"queues": ["q"]}}}

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_committed_file_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert FILE.read_text() == capsys.readouterr().out, "run: farm config schema > configs/farm.schema.json"


def test_it_is_a_schema_of_the_dialect_that_it_names() -> None:
    schema = json.loads(FILE.read_text())
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_every_configuration_that_comes_with_farm_names_it_and_is_valid(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={FILE.name}\n")
    VALIDATOR.validate(yaml.safe_load(text))


def with_value(path: str, value: object) -> dict[str, Any]:
    """Return the minimal configuration with a value somewhere in it."""
    data = json.loads(json.dumps(MINIMAL))
    *parents, last = path.split(".")
    place = data
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return dict(data)


GOOD: list[tuple[str, list[object]]] = [
    (
        "database",
        ["embedded", "postgresql://u@h/d", "host=h dbname=d", {"dsn": "host=h"}, {"dsn": "host=h", "pooled": True, "listen": "host=i"}],
    ),
    ("host", [{}, {"name": "auto", "memory": "auto"}, {"overcommit": False}]),
    ("host.name", ["auto", "a", "0-x.y:z_", "a" * 63]),
    ("host.memory", ["1MB", "2 GiB", 1_000_000, 1.5e9, "auto", "${M:-1GB}"]),
    ("runners.python.allow", [[], ["a:b"], ["*:*", "a.b:*"], ["${M:-a:b}"]]),
    ("runners.python.path", [[], ["."], ["${M:-.}"]]),
    ("lanes.a.queues", [["*"], ["a", "*"], ["a", "b.c"], ["${M:-x}"]]),
    ("lanes.a.subworkers", ["auto", 1, 1000, "${M:-4}"]),
    ("lanes.a.concurrency", [1]),
    ("lanes.a.memory", ["auto", "1MB", "512MiB", 64e6]),
    ("lanes.a.keep_result", [True, False, "${M:-true}"]),
    ("lanes.a.logs", [True, False, "on", "off", "failures", "${M:-failures}"]),
    ("lanes.a.log_limit", ["64KiB", "16MiB", 1024]),
    ("lanes.a.setup", ["m:f", "a.b:f", ["a.b:f", "a.b:g"], "${M:-m:f}", ["${M:-m:f}"]]),
    ("lanes.a.env", [{}, {"A": "", "_b1": "x ${M:-y}", "C": 1, "D": 1.5}]),
    ("lanes.a.cpus", [[0], [1, 0], ["${M:-1}"]]),
    ("lanes.a.nice", [0, 19, "${M:-5}"]),
    ("lanes.a.recycle", [{}, {"max_jobs": 5, "rss_growth": "1MB", "max_age": "1h"}]),
    ("lanes.a.recycle.max_jobs", ["never", 1, "${M:-never}"]),
    ("lanes.a.recycle.rss_growth", ["auto", "never", "64MiB", 2_000_000, "${M:-never}"]),
    ("lanes.a.recycle.max_age", ["never", "1s", 3600, "${M:-never}"]),
    ("host.memory_floor", ["auto", 0, "1GB"]),
    ("host.pressure", ["never", 0, 12.5, 100, "${M:-never}"]),
    ("host.cgroup", ["auto", "off", False, "${M:-off}"]),
    ("tasks", [{}, {"mail:*": {"retry": "5s"}, "*": {}}]),
    ("tasks.*", [{}, {"retry": "10s", "max_attempts": 1, "timeout": "30s", "final_errors": []}]),
    ("tasks.*.retry", ["0s", 0, 2.5, "10s", "1s to 10m", " 250 ms  to  1d ", "${M:-5s}"]),
    ("tasks.*.max_attempts", [1, 10_000, "${M:-5}"]),
    ("tasks.*.timeout", ["1ms", 60, "2m"]),
    ("tasks.*.final_errors", [["ValueError", "a.b.C"]]),
    ("writer", [{}, {"batch_max": 1}]),
    ("writer.batch_max", [1, 20_000]),
    ("writer.age_max", [0, "0s", "20ms", " 20 ms ", "10s", 0.02, ".5s", "5"]),
    ("spill.max", ["64MB", "1TiB", 10**9]),
    ("drain_timeout", [0, "1d", "24h", 86400]),
    ("heartbeat", ["10ms", 0.01, "4s", "${M:-1s}"]),
    ("lease", ["4s", "1h", 3600]),
    ("reap_every", ["10ms", "5s"]),
    ("poll", ["1ms", "10s"]),
    ("claim_max", [1, 10_000, "${M:-7}"]),
]

BAD: list[tuple[str, list[object]]] = [
    ("database", [None, 1, "", "embeded", [], {}, {"pooled": True}, {"dsn": 1}, {"dsn": "host=h", "x": 1}, True]),
    ("host", [None, [], "auto", {"nam": "x"}]),
    ("host.name", [None, "", "A", "a b", "a" * 64, "-a", 1, [], "../x"]),
    ("host.memory", [None, "lots", "1XB", -1, 0, 1 << 51, [], True, "1MB x"]),
    ("host.overcommit", [None, 1, "true", "maybe", []]),
    ("runners", [None, {}, [], "python", {"pyton": {}}]),
    ("runners.python", [None, [], {"alow": []}]),
    ("runners.python.allow", [None, "a:b", ["a"], [1], [""], ["a:b:c"], [":b"], ["a:"], {}]),
    ("runners.python.path", [None, ".", [1], [""], {}]),
    ("lanes", [None, {}, [], "a", {"A": {"queues": ["q"]}}, {"a": None}, {"a": {}}, {"a": {"queues": ["q"], "que": 1}}]),
    ("lanes.a.queues", [None, [], "q", ["A"], [1], [None], [[]], ["q", "q"], ["*", "*"], {}]),
    ("lanes.a.subworkers", [None, 0, -1, 1001, 1.5, "x", "4", True, [], 10**30]),
    ("lanes.a.concurrency", [None, 0, -1, "auto", True, 1.5, 10**9]),
    ("lanes.a.memory", [None, "lots", 1, -1, True, []]),
    ("lanes.a.keep_result", [None, 0, "no", "never", []]),
    ("lanes.a.logs", [None, 0, "no", "all", []]),
    ("lanes.a.log_limit", [None, "lots", 1, 17 << 20, True, []]),
    ("lanes.a.setup", [None, "", "f", "a:", ":f", [], ["m:f", "m:f"], [["m:f"]], {"m": "f"}, 1, True]),
    ("lanes.a.env", [None, [], "A=b", {"a-b": "c"}, {"1a": "c"}, {"A": None}, {"A": True}, {"A": []}]),
    ("lanes.a.cpus", [None, [], 0, "0", [0, 0], [-1], ["0"], [1.5], [True], [None], {}]),
    ("lanes.a.nice", [None, -21, 20, "low", 0.5, True]),
    ("lanes.a.recycle", [None, [], "never", {"max_jos": 1}]),
    ("lanes.a.recycle.max_jobs", [None, 0, -1, "auto", 1.5, True]),
    ("lanes.a.recycle.rss_growth", [None, 0, "none", True]),
    ("lanes.a.recycle.max_age", [None, 0, 0.5, "soon", True]),
    ("host.memory_floor", [None, -1, "never", True]),
    ("host.pressure", [None, -1, 101, "auto", "5", True]),
    ("host.cgroup", [None, True, "on", "never", 0, []]),
    ("tasks", [None, [], "*", {"*": None}, {"*": {"retries": 3}}]),
    ("tasks.*.retry", [None, -1, "", "soon", "1s to", "to 10m", "1s-10m", "1s to 2s to 3s", [], True, 1e9]),
    ("tasks.*.max_attempts", [None, 0, 10_001, "3", True]),
    ("tasks.*.timeout", [None, 0, 2_000_001, "x"]),
    ("tasks.*.final_errors", [None, "ValueError", [1], [""], [[]], {}]),
    ("writer", [None, [], {"batch": 1}]),
    ("writer.batch_max", [None, 0, 20_001, "auto", "5", 1.5, True]),
    ("writer.age_max", [None, -1, 10.1, "soon", "1:30", "1 s s", "-1s", True, [], "1x"]),
    ("spill.max", [None, 1, "auto", "x"]),
    ("drain_timeout", [None, -1, 86401, "1:30"]),
    ("heartbeat", [None, 0, 61, "x"]),
    ("lease", [None, 0.01, 3601]),
    ("claim_max", [None, 0, 10_001, "x", 1.5, False]),
    ("unknown", [1, None]),
]

LOADER_ALONE: list[tuple[str, object]] = [
    ("tasks.*.retry", "10m to 1s"),
    ("tasks.*.retry", "21d"),
    ("tasks.*.timeout", "0s"),
    ("tasks", {"*": {}, "mail:*": {}}),
    ("tasks", {"x" * 20_000: {}}),
    ("lanes.a.queues", ["*", "a"]),
    ("lanes.a.setup", "m:f.g"),
    ("lanes.a.setup", [f"m:f{n}" for n in range(51)]),
    ("lanes.a.env", {"A": "x" * (16 << 10)}),
    ("lanes.a.cpus", [7]),
    ("lanes.a.recycle.max_age", "1ms"),
    ("writer.age_max", "11s"),
    ("host.memory", "1kB"),
    ("host.memory", "1"),
    ("heartbeat", "9s"),
    ("poll", "20s"),
    ("database", "host=h nonsense"),
    ("runners.python.path", ["/no/such/directory"]),
    ("claim_max", "${FARM_TEST_NO}"),
    ("claim_max", 2000.0),
]
"""What a schema cannot know."""


def loads(tmp_path: Path, data: object) -> bool:
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(data))
    try:
        load(file, machine=MACHINE, environ={})
    except ConfigError:
        return False
    return True


def table(rows: list[tuple[str, list[object]]]) -> list[tuple[str, object]]:
    return [(path, value) for path, values in rows for value in values]


@pytest.mark.parametrize(("path", "value"), table(GOOD), ids=repr)
def test_what_the_loader_takes_the_schema_takes(tmp_path: Path, path: str, value: object) -> None:
    data = with_value(path, value)
    assert loads(tmp_path, data)
    assert VALIDATOR.is_valid(data), next(VALIDATOR.iter_errors(data))


@pytest.mark.parametrize(("path", "value"), table(BAD), ids=repr)
def test_what_the_schema_refuses_the_loader_refuses(tmp_path: Path, path: str, value: object) -> None:
    data = with_value(path, value)
    assert not VALIDATOR.is_valid(data)
    assert not loads(tmp_path, data)


@pytest.mark.parametrize(("path", "value"), LOADER_ALONE, ids=repr)
def test_what_a_schema_cannot_know_the_loader_refuses(tmp_path: Path, path: str, value: object) -> None:
    data = with_value(path, value)
    assert VALIDATOR.is_valid(data)
    assert not loads(tmp_path, data)


def test_what_must_be_there_must_be_there_for_both(tmp_path: Path) -> None:
    data = {"lanes": MINIMAL["lanes"]}
    assert not VALIDATOR.is_valid(data)
    assert not loads(tmp_path, data)


def test_lanes_may_be_named_elsewhere_so_only_the_loader_misses_them(tmp_path: Path) -> None:
    data = {"runners": MINIMAL["runners"]}
    assert VALIDATOR.is_valid(data)
    assert not loads(tmp_path, data)


def declared(keys: Mapping[str, Key], prefix: str = "") -> Iterator[tuple[str, Key | Mapping[str, Any]]]:
    """Give every key by its path as the documentation writes it."""
    for name, key in keys.items():
        path = prefix + name
        match key:
            case Group(keys=inner):
                yield from declared(inner, f"{path}.")
            case Groups(keys=inner):
                yield path, key
                yield from declared(inner, f"{path}.NAME.")
            case Patterns(keys=inner):
                yield path, key
                yield from declared(inner, f"{path}.PATTERN.")
            case DatabaseChoice(keys=inner):
                yield path, key
                yield from declared(inner, f"{path}.")
            case RunnerOptions():
                yield path, key
                for runner in runners.BUILTIN:
                    yield from ((f"{path}.{runner}.{option}", schema) for option, schema in runners.load(runner).options.items())
            case _:
                yield path, key


def test_every_key_is_documented_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*?) \| ", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
    documented = {path: default for path, _, default in rows}
    found = dict(declared(CONFIG.keys))
    assert {path for path in documented if not path.isupper()} == set(found)
    for path, key in found.items():
        if isinstance(key, Key):
            default = getattr(key, "default", None)
            expected = (
                "required" if key.required else "" if default is None else str(default).lower().replace("1gb", "1GB").replace("kib", "KiB")
            )
        else:
            expected = "none"
        assert expected in documented[path], f"{path}: the default is {expected}, documented is {documented[path]!r}"


def test_what_a_task_may_be_given_is_what_a_job_may_ask_for() -> None:
    assert (ATTEMPTS_MAX, TIMEOUT_S_MAX) == (newjobs.ATTEMPTS_MAX, newjobs.TIMEOUT_S_MAX)


def test_the_types_of_the_documentation_hold_the_bounds_of_numbers() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| ", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
    documented = dict(rows)
    for path, key in declared(CONFIG.keys):
        if low := getattr(key, "low", None):
            high = key.high  # type: ignore[union-attr]
            bounds = str(low) if low == high else f"{low} to {high}"
            assert bounds in documented[path], f"{path}: {bounds}, documented is {documented[path]!r}"
