"""YAML's traps are refused with their place, and nothing of YAML that could run or explode does."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.config import load
from farm.config.machine import Machine
from farm.config.problems import Problems
from farm.config.section import plain
from farm.config.tree import read_tree
from farm.errors import ConfigError

MACHINE = Machine(cores=2, memory_bytes=4_000_000_000)


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    file = tmp_path / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, machine=MACHINE, environ={})
    return [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty: expected a mapping with database, host, runners, lanes"),
        ("# nothing\n", "1:1: the file is empty"),
        ("foo", "1:1: expected a mapping with database,"),
        ("- a\n", "1:1: expected a mapping with database,"),
        ("lanes:\n\tx: 1\n", "2:1: found character that cannot start any token; indent with spaces, not tabs"),
        ("lanes: {a: [\n", "2:1: did not find expected node content"),
        ("a: b: c", "1:5: mapping values are not allowed in this context"),
        ("lanes: {a: {queues: [*]}}", "1:23: did not find expected alphabetic or numeric character; an asterisk must be quoted: '*'"),
        ("%x", "1:3: found unknown directive name"),
        ("a: @x", "1:4: found character that cannot start any token; text that begins with @ must be quoted"),
        ("a: \0", "1:4: the character U+0000 is not allowed in a file"),
        ("a: 1\nb: \x07", "2:4: the character U+0007 is not allowed in a file"),
        (b"a: \xe9", "1:4: the byte 0xe9 is not UTF-8: save the file as UTF-8"),
        (
            "a: !!python/object/apply:os.system ['touch /tmp/farm-was-here']",
            "1:4: a: tags (tag:yaml.org,2002:python/object/apply:os.system)",
        ),
        ("lanes: !foo {a: 1}", "1:8: lanes: tags (!foo) are not supported"),
        ("database: !!binary aGk=", "1:11: database: tags (tag:yaml.org,2002:binary) are not supported"),
        ("a: &x [*x]", "1:8: a[0]: aliases (*x) are not supported: write it out, or quote it if it is meant as text"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n", "3:7: b.<<: aliases (*a) are not supported"),
        ("a: " + "[" * 500, "1:35: a[0][0][0]"),
        ("- " * 100_000, "1:65: [0][0][0]"),
        ("a: [" + "1," * 60_000 + "]", "1:99999: a[49997]: more than 50000 values"),
        ("claim_max: " + "9" * 5000, "1:12: claim_max: the number is too long"),
        ("lease: 1e999", "1:8: lease: the number is too large"),
        ("lease: .inf", "1:8: lease: infinity and not-a-number are no values here"),
        ("lease: .nan", "1:8: lease: infinity and not-a-number are no values here"),
        ("claim_max: 2026-01-01", "1:12: claim_max: expected a whole number from 1 to 10000, got '2026-01-01'"),
        ("claim_max: 1_000", "1:12: claim_max: expected a whole number from 1 to 10000, got '1_000'"),
        ("claim_max: true", "1:12: claim_max: expected a whole number from 1 to 10000, got true"),
        ("claim_max: 08", "1:12: claim_max: a number must not begin with 0"),
        ("host: {name: no}", "1:14: host.name: quote it ('no') or write true or false"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here; a configuration is one document"),
        ("1: a", "1:1: expected a word as a key, got 1: quote it"),
        ("? [a]\n: b", "1:3: expected a word as a key, got a list or a mapping"),
        ("~: b", "1:1: expected a word as a key, got ~: quote it"),
        ("poll: 1\npoll: 2\n", "2:1: poll: duplicate key, first defined on line 1"),
        ('database: "\\ud800"', "1:14: found invalid Unicode character escape code"),
        ('database: "\\0"', "1:11: database: the character U+0000 is not allowed here"),
        ('database: "\\e[31m"', "1:11: database: the character U+001B is not allowed here"),
        ("#" * (1 << 20) + "\n", " is larger than 1 MiB"),
    ],
)
def test_each_trap_has_its_message(tmp_path: Path, text: str | bytes, problem: str) -> None:
    found = problems(tmp_path, text)
    assert any(line.startswith(f"c.yaml:{problem}") for line in found), found
    assert all(line.isprintable() for line in found)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    problems(tmp_path, f"a: !!python/object/apply:os.mkdir ['{trace}']\nb: !!python/name:os.system\n")
    assert not trace.exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes("runners: {python: {}}\r\nlanes:\r\n  a: {queues: [q]}  # ü\r\n".encode(encoding))
    assert load(file, machine=MACHINE, environ={}).lanes[0].queues == ("q",)


def test_plain_scalars_are_those_of_yaml_1_2() -> None:
    text = "[1, -2, 0o17, 0x1F, 1.5, 1e3, true, False, ~, null, '1', \"no\", 1_000, 12:30:00, 2026-01-01, on2, 0, -0.5, +3, !!str 4]"
    problems = Problems("f")
    root = read_tree(text, problems, {})
    assert not problems.lines()
    assert root is not None
    values = [1, -2, 15, 31, 1.5, 1000.0, True, False, None, None, "1", "no", "1_000", "12:30:00", "2026-01-01", "on2", 0, -0.5, 3, "4"]
    assert plain(root) == values
    assert [type(value) for value in plain(root)] == [type(value) for value in values]
