"""What a user can act on is one line and exit code 2; nobody ever sees a traceback."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types

import pytest

from farm.cli import main as cli
from farm.cli.main import COMMANDS, main
from farm.errors import ConfigError, FarmError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A command `check` whose run raises whatever is put into `error`."""
    module = types.ModuleType("failing")

    def run(_args: argparse.Namespace) -> int:
        raise module.error

    module.add_arguments = lambda parser: None  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "import_module", lambda name: module)
    return module


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FarmError("no such thing: do that"), 2, "farm: no such thing: do that\n"),
        (ConfigError(["a.yaml:1:2: x: wrong", "a.yaml:3:4: y: wrong"]), 2, "a.yaml:1:2: x: wrong\na.yaml:3:4: y: wrong\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            RuntimeError("postgresql://u:s3cret@h/d"),
            1,
            "farm: a mistake in farm itself: RuntimeError: postgresql://u:***@h/d (FARM_TRACEBACK=1 shows where)\n",
        ),
        (RuntimeError("odd\nthing"), 1, "farm: a mistake in farm itself: RuntimeError: odd thing (FARM_TRACEBACK=1 shows where)\n"),
    ],
)
def test_errors_become_lines_and_exit_codes(
    failing: types.ModuleType, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    failing.error = error  # type: ignore[attr-defined]
    assert main(["check"]) == code
    assert capsys.readouterr().err == text


def test_an_unknown_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strat", "x.yaml"]) == 2
    assert capsys.readouterr().err == "farm: there is no command 'strat'; did you mean 'start'? (farm --help lists them)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs", "--limt", "3"], "farm jobs: there is no option '--limt'; did you mean --limit? (farm jobs --help says more)"),
        (["jobs", "--nothing-like-it"], "farm jobs: there is no option '--nothing-like-it' (farm jobs --help says more)"),
        (["check", "extra"], "farm check: one argument too many: 'extra' (farm check --help says more)"),
        (["--vrsion"], "farm: there is no option '--vrsion'; did you mean --version? (farm --help says more)"),
    ],
)
def test_an_argument_too_many_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == said + "\n"


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"\n    {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "config"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: farm {name}")
    assert COMMANDS[name][1:] in " ".join(shown.split())


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from farm.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([name for name in ('psycopg', 'rich', 'yaml', 'orjson', 'psutil', 'asyncio') if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "usage: farm" in done.stdout


def test_a_reader_that_leaves_early_is_no_mistake() -> None:
    code = "import sys; from farm.cli import main as m\n"
    code += "m._run = lambda arguments: print('x' * 10_000_000) or 0\nsys.exit(m.main([]))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_a_failpoint_that_does_not_exist_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FARM_FAILPOINT", "writer.after_comit:kill9")
    assert main(["check"]) == 2
    said = "farm: FARM_FAILPOINT: there is no failpoint 'writer.after_comit'; did you mean 'writer.after_commit'?\n"
    assert capsys.readouterr().err == said
