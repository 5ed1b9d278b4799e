"""Lanes in one line say what a file would say, and nobody has to guess which of the two was meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.cli.main import main
from farm.config import Config, Sources, load
from farm.config.machine import Machine
from farm.config.oneline import read_one_line
from farm.config.section import plain
from farm.errors import ConfigError
from farm.model import NAME_PATTERN

MACHINE = Machine(cores=2, memory_bytes=8_000_000_000)
WITHOUT = "runners: {python: {}}\n"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

CHAINS = st.lists(st.sampled_from(["a", "b", "any", "a-2", "m.x:y", "x" * 63]), max_size=3, unique=True).flatmap(
    lambda queues: st.sampled_from([queues, [*queues, "*"]])
)


def read(tmp_path: Path, text: str = WITHOUT, *, lanes: str | None = None, environ: dict[str, str] | None = None) -> Config:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load(file, lanes=lanes, environ=environ or {}, machine=MACHINE)


def refused(lanes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_one_line(lanes, "--lanes")
    return list(caught.value.problems)


def test_it_says_what_the_file_of_the_documentation_says(tmp_path: Path) -> None:
    section = DOCUMENT.read_text().split("## Lanes in one line")[1].split("\n## ")[0]
    lanes = re.search(r'--lanes "(.*)"', section)
    same = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert lanes is not None
    assert same is not None
    assert read(tmp_path, lanes=lanes[1]).lanes == read(tmp_path, WITHOUT + same[1]).lanes
    for word, complaint in re.findall(r'^--lanes: "(.*?)": (.*)$', section, re.MULTILINE):
        assert f'--lanes: "{word}": {complaint}' in refused(f"fast:1 {word}")


def test_lanes_are_named_after_their_first_queue_and_never_alike() -> None:
    lanes = read_one_line("*:1 a>*:1 a:2 any:1 m:n:3 a-2:1 a>m:1", "--lanes")
    assert list(lanes.nodes) == ["any", "a", "a-2", "any-2", "m:n", "a-2-2", "a-3"]


@given(st.lists(st.tuples(CHAINS.filter(bool), st.integers(1, 1000)), min_size=1, max_size=6, unique_by=lambda lane: tuple(lane[0])))
def test_whatever_is_written_comes_back(written: list[tuple[list[str], int]]) -> None:
    text = "  ".join(f"{'>'.join(queues)}:{subworkers}" for queues, subworkers in written)
    lanes = read_one_line(text, "FARM_LANES")
    found = [(lane["queues"], lane["subworkers"]) for lane in plain(lanes).values()]
    assert found == written
    assert all(re.fullmatch(NAME_PATTERN, name) for name in lanes.nodes)


@given(st.text(alphabet="ab*>: 19x\n\x00é-", max_size=40) | st.text(max_size=40))
def test_whatever_else_is_written_is_refused_in_lines(text: str) -> None:
    found: list[str] = []
    try:
        lanes = read_one_line(text, "--lanes")
    except ConfigError as error:
        found.extend(error.problems)
    assert found or lanes.nodes
    assert all(line.startswith("--lanes: ") and line.isprintable() for line in found)


@pytest.mark.parametrize(
    ("lanes", "problem"),
    [
        ("", "expected lanes such as 'fast:1 manual>*:4', got nothing"),
        (" \n", "expected lanes such as 'fast:1 manual>*:4', got nothing"),
        ("a:1 " * 100_000, "expected lanes such as 'fast:1 manual>*:4', got too much"),
        ("manual>*", "\"manual>*\": expected ':' and a number of subworkers behind the queues, such as 'manual>*:4'"),
        ("a:", "\"a:\": expected a number of subworkers after ':', got nothing"),
        ("a:-1", "\"a:-1\": expected a number of subworkers after ':', got '-1'"),
        ("a:1.5", "\"a:1.5\": expected a number of subworkers after ':', got '1.5'"),
        ("a:\u0661", "\"a:\u0661\": expected a number of subworkers after ':', got '\u0661'"),
        ("a:0", "\"a:0\": expected 1 to 1000 subworkers after ':', got 0"),
        ("a:1001", "\"a:1001\": expected 1 to 1000 subworkers after ':', got 1001"),
        (":3", "\":3\": expected the name of a queue before ':'"),
        ("a>:3", "\"a>:3\": expected the name of a queue before and after each '>'"),
        ("a>a:3", "\"a>a:3\": 'a' stands in this chain already"),
        ("*>*:3", "\"*>*:3\": '*' takes from any queue, so it can only be the last one"),
        ("A:3", "\"A:3\": expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit, got 'A'"),
        ("a:1 b:1 a:2", "\"a:2\": the same lane as 'a:1': write one of the two, with the subworkers of both"),
    ],
)
def test_each_mistake_is_one_line_with_the_lane_and_what_is_wrong_in_it(lanes: str, problem: str) -> None:
    assert refused(lanes) == [f"--lanes: {problem}"]


def test_several_mistakes_are_said_at_once() -> None:
    assert [line.split('"')[1] for line in refused("a:x b:1 c:y")] == ["a:x", "c:y"]


def test_a_file_that_names_lanes_too_is_refused_with_what_to_drop(tmp_path: Path) -> None:
    both = WITHOUT + "lanes: {a: {queues: [a]}}\n"
    with pytest.raises(
        ConfigError, match=r"c\.yaml:2:1: lanes: --lanes says which lanes there are, too: leave --lanes out, or drop these$"
    ):
        read(tmp_path, both, lanes="a:1")
    with pytest.raises(ConfigError, match=r"lanes: FARM_LANES says which lanes there are, too: unset FARM_LANES, or drop these$"):
        read(tmp_path, both, environ={"FARM_LANES": "a:1"})
    assert read(tmp_path, both, environ={"FARM_LANES": ""}).lanes_source == "config"


def test_the_flag_comes_before_the_variable(tmp_path: Path) -> None:
    config = read(tmp_path, lanes="a:1", environ={"FARM_LANES": "nonsense"})
    assert (config.lanes_source, [lane.name for lane in config.lanes]) == ("--lanes", ["a"])
    config = read(tmp_path, environ={"FARM_LANES": " b:1\n"})
    assert (config.lanes_source, [lane.name for lane in config.lanes]) == ("FARM_LANES", ["b"])
    with pytest.raises(ConfigError, match=r'^FARM_LANES: "b": expected'):
        read(tmp_path, environ={"FARM_LANES": "b"})


def test_without_lanes_anywhere_both_ways_to_name_them_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"required key 'lanes' is missing; or give --lanes, such as --lanes 'fast:1 manual>\*:4'$"):
        read(tmp_path)


def test_who_only_asks_where_the_jobs_are_needs_no_lanes(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(WITHOUT + "database: postgresql://h/d\n")
    config = load(file, to_run=False, environ={"FARM_LANES": "nonsense"})
    assert (config.database.dsn, config.lanes) == ("postgresql://h/d", ())


def test_sources_are_read_again_as_they_are_then(tmp_path: Path) -> None:
    sources = Sources(path=str(tmp_path / "c.yaml"), dsn="postgresql://u:s3cret@h/d", lanes="a:1")
    assert "s3cret" not in repr(sources)
    for claim_max in (3, 4):
        (tmp_path / "c.yaml").write_text(f"{WITHOUT}claim_max: {claim_max}\n")
        config = sources.load(environ={})
        assert (config.claim_max, config.lanes[0].name, config.database.source) == (claim_max, "a", "--dsn")


def test_the_command_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text(WITHOUT)
    assert main(["start", str(tmp_path / "c.yaml"), "--lanes", "manual>*:x"]) == 2
    assert capsys.readouterr().err == "--lanes: \"manual>*:x\": expected a number of subworkers after ':', got 'x'\n"
