"""All commands are alike: each explains itself with examples, and what prints data prints it as JSON too."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import connect
from farm.cli.main import COMMANDS, every_parser, main
from farm.cli.shells import SHELLS, bash
from farm.cli.words import words_of

PARSERS = every_parser()
NO_JSON = {
    "start": "a farm's log is --log-format json",
    "enqueue": "an id is a number, and what is waited for is JSON",
    "top": "a screen; what it shows is `farm status --json`, and more at /metrics",
    "completion": "a script",
    "demo": "a show",
}
"""Commands that print nothing for programs to read, and why."""


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give a parser, or those of its actions: whatever can be run."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        yield from action.choices.values()


LEAVES = {leaf.prog.removeprefix("farm "): leaf for parser in PARSERS.values() for leaf in leaves(parser)}


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_help_and_examples_of_itself(name: str) -> None:
    parser = LEAVES[name]
    assert parser.description
    assert parser.description.endswith(".")
    assert parser.epilog is not None
    examples = parser.epilog.partition("examples:\n")[2]
    assert f"farm {name}" in examples, "an example of the command itself"
    assert all(action.help for action in parser._actions)
    assert max(map(len, parser.epilog.splitlines())) <= 132


@pytest.mark.parametrize("name", [name for name in LEAVES if name not in (*NO_JSON, "config schema")])
def test_what_prints_data_has_json(name: str) -> None:
    (option,) = [action for action in LEAVES[name]._actions if "--json" in action.option_strings]
    assert option.help is not None
    assert option.help.startswith("print ")
    assert "JSON" in option.help


def completed(script: Path, *words: str) -> set[str]:
    """Return what bash would offer after these words, the last of which is being typed."""
    given = " ".join(f"'{word}'" for word in words)
    ask = f'source {script}; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _farm; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True, timeout=20, cwd=script.parent)
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_options_their_values_and_files(tmp_path: Path) -> None:
    script = tmp_path / "farm.bash"
    script.write_text(bash(words_of(PARSERS, COMMANDS)))
    (tmp_path / "farm.yaml").touch()
    assert completed(script, "farm", "st") == {"start", "status", "stop"}
    assert completed(script, "farm", "--v") == {"--version"}
    assert completed(script, "farm", "jobs", "--sta") == {"--state"}
    assert completed(script, "farm", "jobs", "--json", "--state", "re") == {"ready", "retrying"}
    assert completed(script, "farm", "config", "s") == {"schema"}
    assert completed(script, "farm", "start", "farm.y") == {"farm.yaml"}
    assert completed(script, "farm", "jobs", "--config", "farm.y") == {"farm.yaml"}
    assert completed(script, "farm", "jobs", "--limit", "") == set()
    for name in ("pause", "doctor", "why"):
        options = {option for action in PARSERS[name]._actions for option in action.option_strings}
        assert completed(script, "farm", name, "-") == options


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_ones_of_their_shell(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script.count("'") % 2 == 0
    assert all(f"{name}" in script for name in COMMANDS)
    assert not [line for line in script.splitlines() if line != line.rstrip()]
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(script)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=20)


def test_changing_commands_count_for_programs(dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> tuple[int, object]:
        code = main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    with connect(dsn) as client:
        client.enqueue_many({"task": "farm.demo:noop", "args": []} for _ in range(3))
    at = ("--dsn", dsn)
    assert told("set", "1", "99", "--priority", "0", *at) == (1, {"changed": 1, "held": 0, "ended": 0, "unknown": 1})
    assert told("move", "1", "--to-queue", "mail", *at) == (0, {"changed": 1, "held": 0, "ended": 0, "unknown": 0})
    assert told("cancel", "1", "2", *at) == (0, {"cancelled": 2, "asked": 0, "ended": 0, "unknown": 0})
    assert told("retry", "1", "3", "--yes", *at) == (1, {"ready": 1, "refused": ["job 3 has not ended"]})
    assert told("retry", "3", "--yes", *at) == (1, {"ready": 0, "refused": ["job 3 has not ended"]})
    assert told("check", *at) == (0, {"ok": True, "violations": []})
    code, migrated = told("migrate", *at)
    assert isinstance(migrated, dict)
    assert (code, migrated["applied"]) == (0, [])
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("runners: {python: {allow: ['a:*']}}\nlanes: {default: {queues: ['*'], subworkers: 1}}\n")
    bad.write_text("lanse: {}\n")
    code, checked = told("config", "check", str(good), str(bad))
    assert isinstance(checked, list)
    assert (code, [entry["ok"] for entry in checked]) == (2, [True, False])
    assert any("bad.yaml:1:1: " in problem for problem in checked[1]["problems"])
