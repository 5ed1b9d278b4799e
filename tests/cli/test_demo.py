"""`farm demo` runs on a machine where nothing is set up, and goes on where it was cut short."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psycopg
import pytest

from tests.cli.conftest import COMMAND, RUN_S_MAX, Farm

FILES = 300


def results(dsn: str) -> list[tuple[str, int, int]]:
    """Return (queue, jobs, jobs that succeeded) of every run."""
    query = "SELECT queue, count(*), count(*) FILTER (WHERE state = 'succeeded') FROM farm.jobs GROUP BY queue"
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def broken_off(dsn: str, farm_home: Path) -> Callable[[signal.Signals], int]:
    """Start a demo and end it with a signal as soon as its jobs are enqueued; gives its exit code."""

    def run(number: signal.Signals) -> int:
        command = [*COMMAND, "demo", "--files", str(FILES), "--dsn", dsn]
        # Its jobs are claimed late, so that they cannot all have ended before the signal comes.
        environ = {**os.environ, "FARM_FAILPOINT": "claimer.before_claim:sleep2s"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ)
        try:
            _await_line(process.stdout, "enqueued")
            process.send_signal(number)
            return process.wait(RUN_S_MAX)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    return run


def _await_line(file: IO[str] | None, start: str) -> None:
    assert file is not None
    for line in file:
        if line.startswith(start):
            return
    raise AssertionError(f"no line begins with {start!r}")


def test_on_a_fresh_machine_it_finds_runs_and_reports(farm: Farm, farm_home: Path) -> None:
    done = farm("demo", "--files", "60")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("database: embedded PostgreSQL ")
    assert "enqueued 60 jobs in the queue demo-" in done.stdout
    assert "  60 of 60 files\n" in done.stdout
    assert re.search(r"\nPython files +60\n", done.stdout)
    assert "\nMOST SYNTAX " in done.stdout
    assert "60 files in " in done.stdout
    further = done.stdout.split("to look further:\n")[1].splitlines()
    listing = farm(*further[0].split()[1:])
    assert listing.returncode == 0
    assert listing.stdout.count(" succeeded ") == 5
    assert farm("check").stdout == "ok\n"
    assert not (farm_home / "instances/demo/run.json").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: str(number.name))
def test_broken_off_and_run_again_it_finishes_what_is_left(
    farm: Farm, dsn: str, broken_off: Callable[[signal.Signals], int], number: signal.Signals
) -> None:
    assert broken_off(number) == (-number if number is signal.SIGKILL else 130)
    ((queue, jobs, _),) = results(dsn)
    assert jobs == FILES
    done = farm("demo", "--dsn", dsn)
    assert done.returncode == 0, done.stderr
    assert f"going on with {queue}: " in done.stdout
    assert results(dsn) == [(queue, FILES, FILES)]
    assert farm("check", "--dsn", dsn).stdout == "ok\n"


def test_a_second_run_is_another_one(farm: Farm, dsn: str, farm_home: Path) -> None:
    for _ in range(2):
        assert farm("demo", "--files", "5", "--dsn", dsn).returncode == 0
    assert sorted(run[1:] for run in results(dsn)) == [(5, 5), (5, 5)]


def test_a_name_that_was_kept_without_jobs_is_used_for_them(farm: Farm, dsn: str, farm_home: Path) -> None:
    """Killed between keeping the name and enqueueing, there is a name without jobs."""
    directory = farm_home / "instances/demo"
    directory.mkdir(parents=True)
    (directory / "run.json").write_text('{"queue": "demo-kept"}')
    assert farm("demo", "--files", "5", "--dsn", dsn).returncode == 0
    assert results(dsn) == [("demo-kept", 5, 5)]


def test_a_number_of_files_that_is_none_is_refused(farm: Farm) -> None:
    done = farm("demo", "--files", "0")
    assert (done.returncode, done.stderr) == (
        2,
        "farm demo: argument --files: expected 1 to 1000000, got '0' (farm demo --help says more)\n",
    )


def test_on_a_terminal_there_is_a_bar(terminal: Callable[..., tuple[int, str]], dsn: str, farm_home: Path) -> None:
    code, shown = terminal("demo", "--files", "20", "--dsn", dsn)
    assert code == 0, shown
    assert "20/20 files" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "what was found" in shown
