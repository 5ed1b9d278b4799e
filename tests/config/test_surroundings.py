"""What a lane's subworkers find around them is read exactly, and refused where the machine or the process cannot give it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farm.config import Lane, Recycle, load
from farm.config.machine import Machine
from farm.errors import ConfigError

MACHINE = Machine(cores=4, memory_bytes=8_000_000_000, cpus=frozenset({0, 1, 2, 3, 8}))


def lanes(tmp_path: Path, text: str, **environ: str) -> tuple[Lane, ...]:
    file = tmp_path / "c.yaml"
    file.write_text(f"runners: {{python: {{}}}}\nlanes:\n{text}\n")
    return load(file, machine=MACHINE, environ=environ).lanes


def problem(tmp_path: Path, options: str) -> str:
    with pytest.raises(ConfigError) as caught:
        lanes(tmp_path, f"  a: {{queues: [x], {options}}}")
    (line,) = caught.value.problems
    return line.removeprefix(f"{tmp_path}/c.yaml:3:")


def test_all_of_it_is_read(tmp_path: Path) -> None:
    text = """\
  a:
    queues: [x]
    memory: 100MB
    setup: [pools:open, app.models:load]
    env: {REGION: "${WHERE}", PORT: 8080, RATE: 1.50, EMPTY: ""}
    cpus: [3, 8]
    nice: 5
    recycle: {max_jobs: 1000, max_age: 1h}
  b: {queues: [y], setup: "pools:open", recycle: {rss_growth: never}}"""
    a, b = lanes(tmp_path, text, WHERE="eu")
    assert a.setup == ("pools:open", "app.models:load")
    assert a.env == {"REGION": "eu", "PORT": "8080", "RATE": "1.50", "EMPTY": ""}
    assert (a.cpus, a.nice, a.subworkers) == ((3, 8), 5, 2)
    assert a.recycle == Recycle(max_jobs=1000, rss_growth_bytes=25_000_000, max_age_s=3600.0)
    assert (b.setup, b.env, b.cpus, b.nice, b.recycle) == (("pools:open",), {}, (), 0, Recycle())


def test_what_variables_of_a_lane_hold_is_not_shown(tmp_path: Path) -> None:
    assert "s3cret" not in repr(lanes(tmp_path, '  a: {queues: [x], env: {TOKEN: "${TOKEN}"}}', TOKEN="s3cret"))


def test_lanes_with_the_same_chain_may_differ_in_what_is_around_them_alone(tmp_path: Path) -> None:
    for one, other in (("cpus: [0]", "cpus: [1]"), ("env: {GPU: 0}", "env: {GPU: 1}"), ("nice: 1", "nice: 2")):
        assert len(lanes(tmp_path, f'  a: {{queues: ["*"], {one}}}\n  b: {{queues: ["*"], {other}}}')) == 2
    with pytest.raises(ConfigError, match="the same lane as a"):
        lanes(tmp_path, '  a: {queues: ["*"], env: {A: 1, B: 2}}\n  b: {queues: ["*"], env: {B: 2, A: 1}}')


def test_negative_nice_is_refused_where_the_process_may_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert lanes(tmp_path, "  a: {queues: [x], nice: 19}")[0].nice == 19
    assert problem(tmp_path, "nice: -1").startswith("26: lanes.a.nice: -1 needs the right to raise priorities (")


def test_negative_nice_is_tried_and_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, nice: tried.append(nice))
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert lanes(tmp_path, "  a: {queues: [x], nice: -5}")[0].nice == -5
    assert tried == [mine - 5, mine]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("cpus: [9]", "27: lanes.a.cpus[0]: there is no CPU 9 that farm may use (there are: 0-3, 8)"),
        ("cpus: [0, 0]", "30: lanes.a.cpus[1]: 0 stands in this list already"),
        ("cpus: [a]", "27: lanes.a.cpus[0]: expected the number of a CPU, got 'a'"),
        ("cpus: []", "26: lanes.a.cpus: expected at least one number of a CPU (there are: 0-3, 8)"),
        ("cpus: 3", "26: lanes.a.cpus: expected a list, got 3"),
        ("nice: 20", "26: lanes.a.nice: expected a whole number from -20 to 19, got 20"),
        ("setup: open", "27: lanes.a.setup: expected 'module:function', got 'open'"),
        ("setup: ['a:b', 'a:b.c']", "35: lanes.a.setup[1]: expected 'module:function', got 'a:b.c'"),
        ("setup: ['a:b', 'a:b']", "35: lanes.a.setup[1]: 'a:b' stands in this list already"),
        ("setup: []", "27: lanes.a.setup: expected at least one 'module:function'"),
        ("setup: {a: b}", "27: lanes.a.setup: expected 'module:function', got a mapping"),
        ("env: {A-B: x}", "26: lanes.a.env.A-B: expected a name of letters, digits and _ that does not begin with a digit"),
        ("env: {A: true}", "29: lanes.a.env.A: expected text, got true; quote it"),
        ("env: {A: }", "29: lanes.a.env.A: expected text, got nothing; write '' for an empty one"),
        ("env: {A: [x]}", "29: lanes.a.env.A: expected text, got a list"),
        ("env: {A: yes}", "29: lanes.a.env.A: quote it ('yes') or write true or false: YAML readers do not agree on what yes is"),
        ("recycle: {max_job: 1}", "30: lanes.a.recycle.max_job: unknown key; did you mean 'max_jobs'?"),
        ("recycle: {max_jobs: 0}", "40: lanes.a.recycle.max_jobs: expected never or a whole number from 1 to 1000000000, got 0"),
        ("recycle: {rss_growth: 1kB}", "42: lanes.a.recycle.rss_growth: expected auto or never or 1MB to 1024TiB, got 1kB"),
        ("recycle: {max_age: soon}", "39: lanes.a.recycle.max_age: expected never or a duration such as 250ms, 10s, 5m, 1h or a number of "
         "seconds, got 'soon'"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_what_there_is(tmp_path: Path, options: str, expected: str) -> None:
    assert problem(tmp_path, options) == expected
