"""`farm start` runs the farm of a configuration; what the farm then does is tested with the supervisor."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from farm.cli import platform
from farm.errors import FarmError
from tests.cli.conftest import COMMAND, RUN_S_MAX, Farm


@pytest.fixture
def config(tmp_path: Path, dsn: str, farm_home: Path) -> Path:
    """A configuration of one subworker on the test's database and a FARM_HOME of its own."""
    file = tmp_path / "c.yaml"
    file.write_text(f"""\
database: {dsn}
runners: {{python: {{allow: ["farm.demo:*"]}}}}
lanes: {{default: {{queues: ["*"], subworkers: 1}}}}
drain_timeout: 5s
""")
    return file


def test_a_burst_runs_what_is_there_and_leaves_what_is_due_later(farm: Farm, config: Path, dsn: str) -> None:
    assert farm("enqueue", "farm.demo:noop", "--count", "50", "--dsn", dsn).returncode == 0
    assert farm("enqueue", "farm.demo:noop", "--delay", "1h", "--dsn", dsn).returncode == 0
    done = farm("start", config, "--burst", "--log-format", "json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    (budget,) = [line["memory"] for line in lines if "memory" in line]
    assert [lane["name"] for lane in budget["lanes"]] == ["default"]
    assert not any("TOGETHER" in line["message"] for line in lines)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*), min(status), max(status) FROM farm.result").fetchone() == (50, 1, 1)
        assert connection.execute("SELECT count(*) FROM farm.scheduled").fetchone() == (1,)


def test_sigterm_drains_and_the_exit_code_is_0(config: Path, farm_home: Path) -> None:
    process = subprocess.Popen([*COMMAND, "start", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rstrip().endswith("ready"):
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(RUN_S_MAX) == 0, rest
        process.stderr.close()
    finally:
        process.kill()
        process.wait()


def test_it_warns_when_the_environment_names_another_database(farm: Farm, config: Path) -> None:
    done = farm("start", config, "--burst", FARM_DSN="postgresql://u:s3cret@elsewhere/d")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("farm: FARM_DSN names another database; config comes first: using PostgreSQL farm@/tmp/")
    assert "s3cret" not in done.stderr


def test_lanes_in_one_line_say_where_they_are_from_when_two_were_named(farm: Farm, config: Path) -> None:
    config.write_text("".join(line for line in config.read_text().splitlines(keepends=True) if not line.startswith("lanes:")))
    done = farm("start", config, "--burst", "--lanes", "one:1 two>three:1", FARM_LANES="other:1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("farm: FARM_LANES names other lanes; --lanes comes first\n")
    assert "lanes: one (1 subworker; queues one), two (1 subworker; queues two > three)\n" in done.stderr
    assert "queues: one, two, three; no lane has '*', so jobs in any other queue wait for another host\n" in done.stderr
    assert re.search(r"^  one +1 +\+ 1 ", done.stderr, re.MULTILINE)


def test_a_schema_that_is_missing_is_told_with_the_command_that_mends_it(farm: Farm, config: Path, empty_dsn: str) -> None:
    done = farm("start", config, "--burst", "--dsn", empty_dsn)
    assert done.returncode == 2
    assert "run `farm migrate`" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("system", "libc"), [("darwin", True), ("win32", False), ("linux", False)])
def test_elsewhere_than_on_linux_with_glibc_it_says_so(monkeypatch: pytest.MonkeyPatch, system: str, libc: bool) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(os, "confstr_names", {"CS_GNU_LIBC_VERSION": 2} if libc else {})
    with pytest.raises(FarmError, match=r"^farm start needs "):
        platform.require_linux("farm start")
