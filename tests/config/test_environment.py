"""Environment variables stand in for text values: they are data, read by the grammar of their key, and no message shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.config import Config, load
from farm.config.environment import FILLED_CHARACTERS_MAX, Environment
from farm.config.machine import Machine
from farm.errors import ConfigError

MACHINE = Machine(cores=4, memory_bytes=8_000_000_000)
BASE = "runners: {python: {}}\nlanes: {a: {queues: [q]}}\n"
SECRET = "s3cret-of-h4nna"


def load_text(tmp_path: Path, text: str, environ: Mapping[str, str]) -> Config:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load(file, machine=MACHINE, environ=environ)


def problems(tmp_path: Path, text: str, environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, environ)
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_every_kind_of_value_can_come_from_a_variable(tmp_path: Path) -> None:
    text = """\
database: {dsn: "${DSN}", pooled: "${POOLED}"}
host: {name: "${NAME}", memory: "${MEMORY}"}
runners: {python: {allow: ["${MODULE}:*"], path: ["${HOME}"]}}
lanes:
  a: {queues: ["mail-${NAME}", "${ANY:-*}"], subworkers: "${N}", memory: "${SHARE:-auto}"}
lease: ${LEASE}
poll: ${POLL:-40ms}
"""
    environ = {
        "DSN": "postgresql://u:p%40ss}@h/d",
        "POOLED": "true",
        "NAME": "north",
        "MEMORY": "2GB",
        "MODULE": "app",
        "HOME": str(tmp_path),
        "N": "3",
        "LEASE": "12",
        "POLL": "",
    }
    config = load_text(tmp_path, text, environ)
    assert (config.database.dsn, config.database.pooled) == ("postgresql://u:p%40ss}@h/d", True)
    assert (config.host.name, config.host.memory_bytes) == ("north", 2_000_000_000)
    assert config.runners == {"python": {"allow": ["app:*"], "path": [str(tmp_path)]}}
    assert [(lane.queues, lane.subworkers) for lane in config.lanes] == [(("mail-north", "*"), 3)]
    assert (config.lease_s, config.poll_s) == (12.0, 0.04)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain $HOME $ $$ {A}", "plain $HOME $ $$ {A}"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("${A}", "1"),
        ("<${A}${A}>", "<11>"),
        ("${NO:-}", ""),
        ("${NO:-a:-b $ {x}", "a:-b $ {x"),
        ("${EMPTY}", ""),
        ("${EMPTY:-b}", "b"),
        ("${NESTED}", "${A}"),
        ("${LINES}", "x\ny: [*z]}\t'\""),
    ],
)
def test_what_is_filled_in(text: str, filled: str) -> None:
    variables = {"A": "1", "EMPTY": "", "NESTED": "${A}", "LINES": "x\ny: [*z]}\t'\""}
    assert Environment(variables).fill_in(text)[0] == filled


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${NO}", "the environment variable NO is not set; ${NO:-default} does without"),
        ("${", "'${' begins a variable, as in ${NAME} or ${NAME:-default}; write $${ for the text itself"),
        ("${A-b}", "'${' begins a variable"),
        ("${1}", "'${' begins a variable"),
        ("${ A }", "'${' begins a variable"),
        ("${BELL}", "the environment variable BELL holds a character that is not allowed here, or is not UTF-8"),
        ("${BYTES}", "the environment variable BYTES holds a character that is not allowed here, or is not UTF-8"),
        ("${LONG}" * 20, "what variables fill in comes to more than 1 MiB"),
    ],
)
def test_what_is_not_filled_in_says_why_and_never_what(text: str, reason: str) -> None:
    variables = {"A": "1", "BELL": f"{SECRET}\x07", "BYTES": f"{SECRET}\udcff", "LONG": "x" * (FILLED_CHARACTERS_MAX // 10)}
    with pytest.raises(ValueError) as caught:
        Environment(variables).fill_in(text)
    assert str(caught.value).startswith(reason)
    assert SECRET not in str(caught.value)


def test_the_bound_is_that_of_the_whole_file(tmp_path: Path) -> None:
    long = {"LONG": "x" * (FILLED_CHARACTERS_MAX // 4)}
    queues = ", ".join(['"${LONG}"'] * 6)
    found = problems(tmp_path, f"runners: {{python: {{}}}}\nlanes: {{a: {{queues: [{queues}]}}}}\n", long)
    assert [line for line in found if "comes to more than 1 MiB" in line]


def test_a_value_of_several_lines_is_one_value(tmp_path: Path) -> None:
    """It cannot close a list, add a key or be an alias."""
    environ = {"Q": "x], subworkers: 9}\nlease: 1s"}
    assert problems(tmp_path, 'runners: {python: {}}\nlanes: {a: {queues: ["${Q}"]}}\n', environ) == [
        "c.yaml:2:22: lanes.a.queues[0]: expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit, "
        "got the value of ${Q}"
    ]


def test_nothing_is_filled_into_keys_numbers_or_comments(tmp_path: Path) -> None:
    found = problems(tmp_path, BASE + '"${KEY}": 1  # ${COMMENT}\n', {"KEY": "poll"})
    assert found == ["c.yaml:3:1: ${KEY}: unknown key"]


WRONG = [
    "database: {}",
    "database: {{dsn: {}}}",
    "database: {{dsn: postgresql://h/d, pooled: {}}}",
    "host: {{name: {}}}",
    "host: {{memory: {}}}",
    "runners: {{python: {{allow: {}}}}}",
    "runners: {{python: {{allow: [{}]}}}}",
    "runners: {{python: {{path: [{}]}}}}",
    "runners: {}",
    "lanes: {}",
    "lanes: {{a: {}}}",
    "lanes: {{a: {{queues: {}}}}}",
    "lanes: {{a: {{queues: [{}]}}}}",
    "lanes: {{a: {{queues: [q], subworkers: {}}}}}",
    "lanes: {{a: {{queues: [q], concurrency: {}}}}}",
    "lanes: {{a: {{queues: [q], memory: {}}}}}",
    "writer: {{batch_max: {}}}",
    "writer: {{age_max: {}}}",
    "spill: {{max: {}}}",
    "lease: {}",
    "poll: {}",
    "claim_max: {}",
    "unknown: {}",
]


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.parametrize("value", [f"/{SECRET} x:y:z", f"{SECRET}\n{SECRET}", "99999999999998", f"1.5 {SECRET}" + "x" * 200, f"'{SECRET}"])
def test_no_message_shows_what_a_variable_holds(tmp_path: Path, line: str, value: str) -> None:
    found = problems(tmp_path, line.format('"${X}"') + "\n", {"X": value})
    at = [problem for problem in found if problem.startswith("c.yaml:1:")]
    assert at
    assert not any(part in problem for problem in found for part in (SECRET, "99999999999998"))


def test_dsns_with_a_slip_in_them_are_not_shown_wherever_they_stand(tmp_path: Path) -> None:
    for dsn in (f"postgresql://u:{SECRET}@h:x/d", f"host=h pasword={SECRET}", f"postgres//u:{SECRET}@h", f"postgresql://u@h/d?x={SECRET}"):
        for line in (f'database: "{dsn}"', f'database: {{dsn: "{dsn}"}}', f'database: {{dsn: postgresql://h/d, listen: "{dsn}"}}'):
            assert not any(SECRET in problem for problem in problems(tmp_path, line + "\n", {}))
        with pytest.raises(ConfigError) as caught:
            load_text(tmp_path, BASE, {"FARM_DSN": dsn})
        assert SECRET not in str(caught.value)


@given(st.text(st.sampled_from("$${}:-A_1 x\n"), max_size=30), st.dictionaries(st.sampled_from(["A", "A_1"]), st.text(max_size=5)))
def test_whatever_the_text_only_value_errors_come_out(text: str, variables: dict[str, str]) -> None:
    try:
        filled, named = Environment(variables).fill_in(text)
    except ValueError:
        return
    assert named or filled == text.replace("$${", "${")
