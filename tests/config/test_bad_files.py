"""Fifty bad files: each is refused in lines that say where and what, with exit code 2, before anything is started or made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from farm.cli.main import main
from farm.units import RETRY_EXPECTED

RUNNERS = 'runners: {python: {allow: ["a:*"]}}\n'
PAUSE = f"expected {RETRY_EXPECTED}, got "
LANES = 'lanes: {a: {queues: ["*"]}}\n'
GOOD = RUNNERS + LANES
QUOTE = "quote it ('{0}') or write true or false: YAML readers do not agree on what {0} is"
NUMBER = "a number must not begin with 0: YAML readers do not agree on whether it is octal; write 0o17 for that, or quote it"
WHOLE = "expected auto or a whole number from 1 to 1000, got "
NO_KEY = "unknown key; did you mean '{}'?"
TAG = "tags ({}) are not supported"
BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [*{before}, *{before}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True))

ROWS: list[tuple[str, str | bytes, str]] = [
    ("1 duplicate key", GOOD + "poll: 1\npoll: 2\n", "4:1: poll: duplicate key, first defined on line 3"),
    ("1 lane twice", RUNNERS + "lanes:\n  a: {queues: [x]}\n  a: {queues: [x]}\n", "4:3: lanes.a: duplicate key, first defined on line 3"),
    ("2 no", GOOD + "host: {name: no}\n", "3:14: host.name: " + QUOTE.format("no")),
    ("2 yes", GOOD + "host: {overcommit: yes}\n", "3:20: host.overcommit: " + QUOTE.format("yes")),
    ("2 on", RUNNERS + "lanes: {a: {queues: [On]}}\n", "2:22: lanes.a.queues[0]: " + QUOTE.format("On")),
    (
        "3 sexagesimal",
        GOOD + "drain_timeout: 1:30\n",
        "3:16: drain_timeout: expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds, got '1:30'",
    ),
    ("4 octal", GOOD + "claim_max: 017\n", "3:12: claim_max: " + NUMBER),
    ("5 not octal", GOOD + "claim_max: 08\n", "3:12: claim_max: " + NUMBER),
    ("6 octal as a name", RUNNERS + "lanes: {a: {queues: [0o17]}}\n", "2:22: lanes.a.queues[0]: expected the name of a queue, got 0o17"),
    ("7 underscores", GOOD + "claim_max: 1_000\n", "3:12: claim_max: expected a whole number from 1 to 10000, got '1_000'"),
    ("8 exponent", GOOD + "claim_max: 1e3\n", "3:12: claim_max: expected a whole number from 1 to 10000, got 1e3"),
    ("9 infinity", GOOD + "lease: .inf\n", "3:8: lease: infinity and not-a-number are no values here"),
    ("9 -infinity", GOOD + "lease: -.INF\n", "3:8: lease: infinity and not-a-number are no values here"),
    ("10 not a number", GOOD + "lease: .nan\n", "3:8: lease: infinity and not-a-number are no values here"),
    ("11 date", GOOD + "claim_max: 2026-01-01\n", "3:12: claim_max: expected a whole number from 1 to 10000, got '2026-01-01'"),
    (
        "12 nothing in a chain",
        RUNNERS + "lanes:\n  a:\n    queues:\n    -\n",
        "5:6: lanes.a.queues[0]: expected the name of a queue, got nothing",
    ),
    (
        "12 nothing as a lane",
        RUNNERS + "lanes: {a: }\n",
        "2:12: lanes.a: expected a mapping with queues, subworkers, concurrency, memory, keep_result, logs, log_limit, timeout, "
        "setup, env, cpus, nice, recycle, got nothing",
    ),
    ("13 empty", "", "1:1: the file is empty: expected a mapping with database, host, runners, lanes"),
    ("13 only a comment", "# soon\n", "1:1: the file is empty: expected a mapping with database, host, runners, lanes"),
    (
        "14 a scalar",
        "farm\n",
        "1:1: expected a mapping with database, host, runners, lanes, tasks, writer, spill, retention, metrics, "
        "drain_timeout, heartbeat, lease, reap_every, poll, claim_max, got 'farm'",
    ),
    (
        "15 a list",
        "- lanes\n",
        "1:1: expected a mapping with database, host, runners, lanes, tasks, writer, spill, retention, metrics, "
        "drain_timeout, heartbeat, lease, reap_every, poll, claim_max, got a list",
    ),
    ("tasks: no such pause", GOOD + 'tasks: {"mail:*": {retry: 1s..10m}}\n', "3:27: tasks.mail:*.retry: " + PAUSE + "'1s..10m'"),
    (
        "tasks: a pattern behind *",
        GOOD + 'tasks:\n  "*": {}\n  "m:*": {}\n',
        "5:3: tasks.m:*: no task gets here: '*' on line 4 matches them all",
    ),
    (
        "tasks: * without quotes",
        GOOD + "tasks: {*: {}}\n",
        "3:10: did not find expected alphabetic or numeric character; an asterisk must be quoted: '*'",
    ),
    (
        "tasks: too many",
        GOOD + "tasks:\n" + "".join(f'  "m{number}:*": {{max_attempts: 5}}\n' for number in range(1000)),
        "4:3: tasks: expected at most 49,152 bytes of policies (some 500 patterns), got 87,891",
    ),
    ("tasks: no key of it", GOOD + 'tasks: {"m:*": {retries: 1}}\n', "3:17: tasks.m:*.retries: unknown key; did you mean 'retry'?"),
    ("tasks: no name", GOOD + 'tasks: {"m:*": {final_errors: [1]}}\n', "3:32: tasks.m:*.final_errors[0]: expected a name, got 1"),
    ("16 tab", "lanes:\n\ta: {}\n", "2:1: found character that cannot start any token; indent with spaces, not tabs"),
    ("17 unclosed", "lanes: {a: [x\n", "2:1: did not find expected ',' or ']'"),
    ("18 two colons", "a: b: c\n", "1:5: mapping values are not allowed in this context"),
    (
        "19 asterisk",
        RUNNERS + "lanes: {a: {queues: [*]}}\n",
        "2:23: did not find expected alphabetic or numeric character; an asterisk must be quoted: '*'",
    ),
    ("20 percent", "%x\n", "1:3: found unknown directive name"),
    ("21 at", "a: @x\n", "1:4: found character that cannot start any token; text that begins with @ must be quoted"),
    ("22 NUL", "a: \0\n", "1:4: the character U+0000 is not allowed in a file"),
    ("23 bell", "a: 1\nb: \x07\n", "2:4: the character U+0007 is not allowed in a file"),
    ("24 Latin-1", b"a: \xe9\n", "1:4: the byte 0xe9 is not UTF-8: save the file as UTF-8"),
    ("25 half of UTF-16", b"\xff\xfea", "1:1: the byte 0x61 is not UTF-16: save the file as UTF-8"),
    (
        "28 an object",
        GOOD + "poll: !!python/object/apply:os.system ['touch farm-was-here']\n",
        "3:7: poll: " + TAG.format("tag:yaml.org,2002:python/object/apply:os.system"),
    ),
    ("29 unknown tag", GOOD + "poll: !foo 1\n", "3:7: poll: " + TAG.format("!foo")),
    ("30 binary", GOOD + "poll: !!binary aGk=\n", "3:7: poll: " + TAG.format("tag:yaml.org,2002:binary")),
    ("31 set", GOOD + "poll: !!set {a}\n", "3:7: poll: " + TAG.format("tag:yaml.org,2002:set")),
    ("32 cycle", "a: &x [*x]\n", "1:8: a[0]: aliases (*x) are not supported: write it out, or quote it if it is meant as text"),
    ("33 bomb", BOMB, "2:8: b[0]: aliases (*a) are not supported: write it out, or quote it if it is meant as text"),
    (
        "33 merge",
        "a: &a {x: 1}\nb:\n  <<: *a\n",
        "3:7: b.<<: aliases (*a) are not supported: write it out, or quote it if it is meant as text",
    ),
    ("34 depth", "a: " + "[" * 500 + "\n", "1:35: a" + "[0]" * 18 + "[0...: more than 32 levels deep"),
    ("35 digits", GOOD + "claim_max: " + "9" * 5000 + "\n", "3:12: claim_max: the number is too long"),
    (
        "36 sexagesimal bomb",
        GOOD + "drain_timeout: 1" + ":1" * 20_000 + "\n",
        "3:16: drain_timeout: expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds, got '1" + ":1" * 37 + ":...",
    ),
    ("37 documents", GOOD + "---\n" + GOOD, "3:1: a second document begins here; a configuration is one document"),
    ("38 number as a key", "1: a\n", "1:1: expected a word as a key, got 1: quote it"),
    ("38 true as a key", "true: a\n", "1:1: expected a word as a key, got true: quote it"),
    ("38 null as a key", "null: a\n", "1:1: expected a word as a key, got null: quote it"),
    ("38 no as a key", "lanes:\n  no: {}\n", "2:3: lanes: " + QUOTE.format("no")),
    ("39 list as a key", "? [a]\n: b\n", "1:3: expected a word as a key, got a list or a mapping"),
    ("40 surrogate", GOOD + 'database: "\\ud800"\n', "3:14: found invalid Unicode character escape code"),
    ("40 NUL by its escape", GOOD + 'database: "\\0"\n', "3:11: database: the character U+0000 is not allowed here"),
    ("41 lane's key", RUNNERS + "lanes: {a: {queues: [x], worksers: 2}}\n", "2:26: lanes.a.worksers: " + NO_KEY.format("subworkers")),
    (
        "41 near lane's key",
        RUNNERS + "lanes: {a: {queues: [x], subworker: 2}}\n",
        "2:26: lanes.a.subworker: " + NO_KEY.format("subworkers"),
    ),
    ("41 key", GOOD + "drain_timout: 2s\n", "3:1: drain_timout: " + NO_KEY.format("drain_timeout")),
    (
        "41 option",
        'runners: {python: {alow: ["a:b"]}}\n' + LANES,
        "1:20: runners.python.alow: unknown option; did you mean 'allow'? (the python runner has allow, path)",
    ),
    ("41 runner", "runners: {pyton: {}}\n" + LANES, "1:11: runners.pyton: unknown runner; did you mean 'python'? (there are: python)"),
    ("42 zero", RUNNERS + "lanes: {a: {queues: [x], subworkers: 0}}\n", "2:38: lanes.a.subworkers: " + WHOLE + "0"),
    ("42 negative", RUNNERS + "lanes: {a: {queues: [x], subworkers: -1}}\n", "2:38: lanes.a.subworkers: " + WHOLE + "-1"),
    ("42 huge", RUNNERS + "lanes: {a: {queues: [x], subworkers: 1e9}}\n", "2:38: lanes.a.subworkers: " + WHOLE + "1e9"),
    ("42 fraction", RUNNERS + "lanes: {a: {queues: [x], subworkers: 1.5}}\n", "2:38: lanes.a.subworkers: " + WHOLE + "1.5"),
    ("42 boolean", RUNNERS + "lanes: {a: {queues: [x], subworkers: true}}\n", "2:38: lanes.a.subworkers: " + WHOLE + "true"),
    ("42 nothing", RUNNERS + "lanes: {a: {queues: [x], subworkers: }}\n", "2:38: lanes.a.subworkers: expected a single value, got nothing"),
    ("45 twice in a chain", RUNNERS + "lanes: {a: {queues: [x, y, x]}}\n", "2:28: lanes.a.queues[2]: 'x' stands in this chain already"),
    (
        "45 anything is not the last",
        RUNNERS + 'lanes: {a: {queues: ["*", x]}}\n',
        "2:22: lanes.a.queues[0]: '*' takes from any queue, so it can only be the last one",
    ),
    ("45 anything twice", RUNNERS + 'lanes: {a: {queues: ["*", "*"]}}\n', "2:27: lanes.a.queues[1]: '*' stands in this chain already"),
    (
        "45 two lanes that are one",
        RUNNERS + "lanes: {a: {queues: [x, y]}, b: {queues: [x]}, c: {queues: [x, y], subworkers: 3}}\n",
        "2:60: lanes.c.queues: the same lane as a: make one of the two, with the subworkers of both",
    ),
    (
        "46 more memory than there is",
        "host: {memory: 100MB}\n" + RUNNERS + "lanes: {a: {queues: [x], subworkers: 2, memory: 60MB}}\n",
        "3:49: lanes.a.memory: 3 x 60 MB (a), with a spare subworker in each lane = 180 MB, and the host has 100 MB; "
        "or set host.overcommit: true",
    ),
    ("47 large", "#" * (1 << 20) + "\n", "is larger than 1 MiB"),
    (
        "48 missing variable",
        GOOD + 'lease: "${FARM_TEST_NO}"\n',
        "3:8: lease: the environment variable FARM_TEST_NO is not set; ${FARM_TEST_NO:-default} does without",
    ),
    (
        "48 variable with a line end",
        GOOD + "lease: ${FARM_TEST_LINES}\n",
        "3:8: lease: expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds, got the value of ${FARM_TEST_LINES}",
    ),
    (
        "48 variable with a brace",
        RUNNERS + 'lanes: {a: {queues: ["${FARM_TEST_BRACE}"]}}\n',
        "2:22: lanes.a.queues[0]: expected a name of up to 63 small letters, digits and _ . : - that begins with a letter or digit, "
        "got the value of ${FARM_TEST_BRACE}",
    ),
    (
        "48 variable without quotes in a flow",
        GOOD + "writer: {batch_max: ${FARM_TEST_NO}}\n",
        "3:22: did not find expected ',' or '}'; a variable inside of {...} or [...] must be quoted",
    ),
    (
        "49 secret in a DSN",
        GOOD + "database: postgresql://u:s3cret@h:port/d\n",
        "3:11: database: expected embedded or a PostgreSQL DSN such as postgresql://user@host/database",
    ),
    (
        "49 secret in a variable",
        GOOD + 'database: {dsn: "${FARM_TEST_SECRET}"}\n',
        "3:17: database.dsn: expected a PostgreSQL DSN such as postgresql://user@host/database",
    ),
]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> object:
    """Run `farm start` and `farm config check` on a file that must be refused; gives the lines, which are the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FARM_TEST_LINES", "1\nlease: 2")
    monkeypatch.setenv("FARM_TEST_BRACE", "s3cret}]")
    monkeypatch.setenv("FARM_TEST_SECRET", "s3cret@host")

    def started(*_: object, **__: object) -> int:
        raise AssertionError("a bad file was started")

    monkeypatch.setattr("farm.supervisor.boot.start", started)

    def run(name: str) -> list[str]:
        said = []
        for command in (["start"], ["config", "check"]):
            assert main([*command, name]) == 2
            shown = capsys.readouterr()
            assert shown.out == ""
            said.append(shown.err.splitlines())
        assert said[0] == said[1]
        assert not (tmp_path / "home").exists()
        return said[0]

    return run


@pytest.mark.parametrize(("text", "problem"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_bad_file_is_refused_where_it_is_bad(refused: object, text: str | bytes, problem: str) -> None:
    assert callable(refused)
    Path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    lines = refused("config.yaml")
    separator = ": " if problem.startswith("is ") else ":"
    assert f"config.yaml{separator}{problem}" in lines
    assert all(line.startswith("config.yaml:") and line.isprintable() and len(line) < 600 and "s3cret" not in line for line in lines)
    assert os.listdir() == ["config.yaml"]


@pytest.mark.parametrize("text", ["﻿" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.encode("utf-16"), "# ü\n" + GOOD, GOOD + "...\n"])
def test_marks_and_line_ends_of_other_systems_are_no_mistake(tmp_path: Path, text: str | bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows 25 to 27."""
    file = tmp_path / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["config", "check", str(file)]) == 0, capsys.readouterr().err


def test_what_is_no_readable_file_is_refused_at_once(refused: object, tmp_path: Path) -> None:
    """Row 47: nothing is waited for, and nothing is read without end."""
    assert callable(refused)
    os.mkfifo("fifo")
    with open("sparse", "wb") as file:
        file.truncate(2 << 30)
    os.symlink("itself", "itself")
    for path, reason in (
        ("missing", "cannot be read: No such file or directory"),
        ("itself", "cannot be read: Too many levels of symbolic links"),
        (".", "is a directory, not a configuration file"),
        ("fifo", "is not a regular file"),
        ("sparse", "is larger than 1 MiB"),
        ("/dev/zero", "is not a regular file"),
        ("/proc/self/mem", "cannot be read: Input/output error"),
        ("config.yaml/x", "cannot be read: No such file or directory"),
        ("x" * 5000, "cannot be read: File name too long"),
    ):
        (line,) = refused(path)
        assert line.startswith(f"{path}: {reason}"), line


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read_is_refused(refused: object, tmp_path: Path) -> None:
    assert callable(refused)
    (tmp_path / "config.yaml").touch(0o000)
    assert refused("config.yaml") == ["config.yaml: cannot be read: Permission denied"]
