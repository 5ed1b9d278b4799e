"""Errors that people meet: each is one line that says what to do, exit code 2, within seconds, and never a password."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from farm.cli import main as cli
from farm.cli.main import COMMANDS as ALL_COMMANDS
from farm.cli.main import main
from farm.store.statements import migrations
from tests.cli.conftest import COMMAND, RUN_S_MAX, Farm
from tests.mounts import needs_mounts, with_mounts
from tests.servers import Server

CONFIG = """\
runners: {python: {allow: ["farm.demo:*"]}}
lanes: {default: {queues: ["*"], subworkers: 1}}
"""
OTHER_HOME = "(set FARM_HOME to another directory)"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "farm.yaml"
    file.write_text(CONFIG)
    return file


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line that a command has said, after a look at its exit code."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def locked(server: Server) -> Iterator[str]:
    """The DSN, without a password, of a user that needs one."""
    rules = server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all locked scram-sha-256\n" + before)
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 's3cret'")
        connection.execute("SELECT pg_reload_conf()")
        yield server.dsn("postgres").replace("user=farm", "user=locked")
        rules.write_text(before)
        connection.execute("DROP ROLE locked")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listening:
        yield listening.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("command", ["status", "start"])
def test_a_server_that_is_down(farm: Farm, config: Path, farm_home: Path, command: str) -> None:
    port = closed_port()
    arguments = [command, *([config] if command == "start" else []), "--dsn", f"postgresql://ada:s3cret@127.0.0.1:{port}/d"]
    line = line_of(farm(*arguments))
    assert line == f"farm: cannot connect to PostgreSQL ada@127.0.0.1:{port}/d: Connection refused; is PostgreSQL running there?"


@pytest.mark.parametrize("command", ["status", "start"])
def test_a_server_that_never_answers(farm: Farm, config: Path, farm_home: Path, silent: int, command: str) -> None:
    arguments = [command, *([config] if command == "start" else []), "--dsn", f"postgresql://ada:s3cret@127.0.0.1:{silent}/d"]
    assert line_of(farm(*arguments)) == f"farm: cannot connect to PostgreSQL ada@127.0.0.1:{silent}/d: no answer in time"


def test_a_host_that_does_not_exist(farm: Farm) -> None:
    line = line_of(farm("jobs", "--dsn", "postgresql://ada:s3cret@no-such-host.invalid/d"))
    assert line.startswith("farm: cannot connect to PostgreSQL ada@no-such-host.invalid/d: ")
    assert "s3cret" not in line


@pytest.mark.parametrize("dsn", ["postgresql://u:s3cret@h:port/d", "postgresql://u:s3cret@[::1/d", "u:s3cret@h", "host=h pasword=s3cret"])
def test_a_dsn_that_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dsn: str) -> None:
    """In one process for all: nothing is started for them."""
    expected = "expected embedded or a PostgreSQL DSN such as postgresql://user@host/database"
    assert main(["enqueue", "a:b", "--dsn", dsn]) == 2
    assert capsys.readouterr().err == f"--dsn: {expected}\n"
    monkeypatch.setenv("FARM_DSN", dsn)
    assert main(["check"]) == 2
    assert capsys.readouterr().err == f"FARM_DSN: {expected}\n"


def test_a_password_that_is_wrong_or_missing(farm: Farm, locked: str, tmp_path: Path) -> None:
    line = line_of(farm("status", "--dsn", f"{locked} password=wr0ng"))
    assert line.endswith(': password authentication failed for user "locked"')
    assert "wr0ng" not in line
    line = line_of(farm("status", "--dsn", locked, PGPASSFILE=str(tmp_path / "none")))
    assert line.endswith(": it asks for a password, and there is none in the DSN, in PGPASSWORD or in ~/.pgpass")


def test_a_database_that_does_not_exist(farm: Farm, server: Server) -> None:
    assert line_of(farm("status", "--dsn", server.dsn("nope"))).endswith('/nope: database "nope" does not exist; `createdb` makes it')


def test_a_user_that_may_not(farm: Farm, config: Path, farm_home: Path, dsn: str, empty_dsn: str) -> None:
    hint = "connect as a user that may, such as the owner of the schema farm, or have this one granted it"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE weak LOGIN")
    try:
        weak, weak_empty = dsn.replace("user=farm", "user=weak"), empty_dsn.replace("user=farm", "user=weak")
        for command in (["enqueue", "a:b"], ["start", config]):
            assert line_of(farm(*command, "--dsn", weak)) == f"farm: permission denied for schema farm: {hint}"
        line = line_of(farm("migrate", "--dsn", weak_empty))
        assert line.startswith("farm: permission denied for database test_")
        assert line.endswith(hint)
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP ROLE weak")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("INSERT INTO farm.migration (version, name) VALUES (9999, 'future')", r"is version 9999, this farm knows {known}: upgrade farm"),
        ("DELETE FROM farm.migration WHERE version = {known}", r"is version {before}, this farm needs {known}: run `farm migrate`"),
    ],
)
def test_a_schema_of_another_farm(farm: Farm, config: Path, farm_home: Path, dsn: str, change: str, said: str) -> None:
    known = migrations()[-1].version
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(change.format(known=known).encode())
    expected = "farm: database schema " + said.format(known=known, before=known - 1)
    for command in (["jobs"], ["start", config]):
        assert line_of(farm(*command, "--dsn", dsn)) == expected


def test_a_home_that_cannot_be(farm: Farm, config: Path, tmp_path: Path, dsn: str) -> None:
    file = tmp_path / "file"
    file.touch()
    for home, reason, command in (
        (file, f"cannot use {file}: {file} is not a directory", ["start", config, "--dsn", dsn]),
        (file / "x", f"cannot use {file}/x: {file} is not a directory", ["jobs"]),
        (Path("/proc/x"), "cannot use /proc/x: nothing can be made in /proc", ["demo"]),
    ):
        assert line_of(farm(*command, FARM_HOME=str(home))) == f"farm: {reason} {OTHER_HOME}"


@needs_mounts
def test_a_home_that_can_only_be_read(config: Path, tmp_path: Path, dsn: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    commands: list[list[str | Path]] = [["start", config, "--dsn", dsn], ["jobs"]]
    for command in commands:
        done = within([(home, "ro")], command, FARM_HOME=str(home))
        assert line_of(done).endswith(f": Read-only file system {OTHER_HOME}")


def within(mounts: list[tuple[Path, str]], arguments: Sequence[str | Path], **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `farm` with small file systems in the place of some directories."""
    command = with_mounts([*COMMAND, *map(str, arguments)], *mounts)
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False, env={**os.environ, **environ})


@needs_mounts
def test_shared_memory_that_is_too_small(config: Path, farm_home: Path, tmp_path: Path, dsn: str) -> None:
    """The rings then stand in the state directory, which is said once; where there is no room either, the farm does not start."""
    small = (Path("/dev/shm"), "size=1m")
    done = within([small], ["start", config, "--burst", "--dsn", dsn])
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert "rings stand in " in warnings[0]
    assert "and not in memory, which is slower: /dev/shm has 1 MiB free of " in warnings[0]
    home = tmp_path / "small"
    home.mkdir()
    done = within([small, (home, "size=1m")], ["start", config, "--burst", "--dsn", dsn], FARM_HOME=str(home))
    line = line_of(done)
    assert line.startswith("farm: no place for ")
    assert ": /dev/shm has 1 MiB free of " in line
    assert f"; {home}/instances/default has " in line


def test_too_few_descriptors(farm: Farm, config: Path, farm_home: Path, dsn: str) -> None:
    command = [*COMMAND, "start", str(config), "--dsn", dsn]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command], capture_output=True, text=True, timeout=RUN_S_MAX, check=False
    )
    assert line_of(done) == "farm: 1 subworker needs 175 open files, 64 are allowed: raise the limit (ulimit -n 175)"


def test_two_farms_on_one_state_directory(farm: Farm, config: Path, farm_home: Path, dsn: str) -> None:
    first = subprocess.Popen([*COMMAND, "start", str(config), "--dsn", dsn], stderr=subprocess.PIPE, text=True)
    try:
        assert first.stderr is not None
        assert any(line.rstrip().endswith("ready") for line in first.stderr)
        line = line_of(farm("start", config, "--dsn", dsn))
        assert line == f"farm: another farm runs as 'default' in {farm_home} (pid {first.pid}): stop it or set another host.name"
        first.terminate()
        first.stderr.read()
        assert first.wait(RUN_S_MAX) == 0
        first.stderr.close()
    finally:
        first.kill()
        first.wait()


def test_a_configuration_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for name in ("farm.yaml", "mail.yml", "notes.txt", "configs/quickstart.yaml"):
        (tmp_path / name).touch()
    missing = "cannot be read: No such file or directory"
    for name, hint in (
        ("frm.yaml", "; did you mean 'farm.yaml'?"),
        ("farm.yml", "; did you mean 'farm.yaml'?"),
        ("quickstart.yaml", "; did you mean 'configs/quickstart.yaml'?"),
        ("configs/quickstrat.yaml", "; did you mean 'configs/quickstart.yaml'?"),
        ("other.yaml", " (there are: configs/quickstart.yaml, farm.yaml, mail.yml)"),
        ("nowhere/farm.yaml", ""),
    ):
        done = subprocess.run([*COMMAND, "start", name], capture_output=True, text=True, timeout=RUN_S_MAX, check=False, cwd=tmp_path)
        assert line_of(done) == f"{name}: {missing}{hint}"


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_standard_files_that_are_closed_stop_nothing(config: Path, farm_home: Path, dsn: str, closed: str) -> None:
    """And nothing that is opened later takes their numbers: what is printed must not go into a connection."""
    script = f'"$@" enqueue farm.demo:noop --dsn "$DSN" {closed} && "$@" start "$CONFIG" --burst --dsn "$DSN" {closed}'
    environ = {**os.environ, "DSN": dsn, "CONFIG": str(config)}
    done = subprocess.run(["sh", "-c", script, "sh", *COMMAND], capture_output=True, timeout=RUN_S_MAX, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*), max(status) FROM farm.result").fetchone() == (1, 1)


def test_an_output_that_is_full_is_one_line(dsn: str) -> None:
    for command in (["jobs"], ["status", "--json"], ["--version"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*COMMAND, *command, *([] if command == ["--version"] else ["--dsn", dsn])],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=RUN_S_MAX,
                check=False,
            )
        assert (done.returncode, done.stderr) == (2, "farm: cannot go on: No space left on device\n"), command


def test_a_log_that_nobody_reads_stops_nothing(config: Path, farm_home: Path, dsn: str) -> None:
    process = subprocess.Popen([*COMMAND, "start", str(config), "--burst", "--dsn", dsn], stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(RUN_S_MAX) == 0


def test_no_memory_left_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for error, said in (
        (MemoryError(), "out of memory"),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied (/x)"),
        (OSError("odd"), "odd"),
    ):
        monkeypatch.setattr(cli, "_run", lambda _arguments, error=error: (_ for _ in ()).throw(error))
        monkeypatch.setattr(cli, "_flush_nowhere", lambda: None)
        assert main(["jobs"]) == 2
        assert capsys.readouterr().err == f"farm: cannot go on: {said}\n"


def test_every_help_has_an_example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["some-other-name"])
    for command in ([], *([name] for name in ALL_COMMANDS), ["config", "check"], ["config", "schema"]):
        with pytest.raises(SystemExit) as caught:
            main([*command, "--help"])
        assert caught.value.code == 0
        shown = capsys.readouterr().out
        assert f"\nexamples:\n  {' '.join(['farm', *command])}" in shown, command
        assert all(len(line) <= 132 for line in shown.splitlines())
        assert sys.argv[0] not in shown
