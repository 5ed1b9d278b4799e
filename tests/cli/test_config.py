"""`farm config check` says what is wrong, or what `auto` came to."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Farm

GOOD = """\
runners: {python: {}}
host: {memory: 1GB}
lanes:
  fast: {queues: [mail, web], subworkers: 2, memory: 100MB}
  many: {queues: [hooks], subworkers: 1, concurrency: 500, memory: 100MB}
  rest: {queues: ["*"], subworkers: 1, memory: 50MiB}
"""


def test_a_right_file_is_ok_and_summed_up(farm: Farm, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    done = farm("config", "check", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
{file}: ok
  instance default, 1 GB of memory, runners: python
  lane fast: 2 subworkers, 100 MB for a job, queues: mail, web
  lane many: 1 subworker x 500 jobs, 100 MB for the jobs of a subworker, queues: hooks
  lane rest: 1 subworker, 52.4 MB for a job, queues: *
  memory of all lanes: 605 MB of 1 GB, 60 %
    LANE  SUBWORKERS  SPARE  MEMORY EACH  TOGETHER
    fast           2    + 1       100 MB    300 MB
    many           1    + 1       100 MB    200 MB
    rest           1    + 1      52.4 MB    105 MB
    all            4    + 3                 605 MB  60 % of 1 GB
    not in it: 10 processes before they run anything (5 to 35 MB each, and what your modules need), PostgreSQL
"""
    )


def test_lanes_in_one_line_are_checked_with_a_file_that_names_none(farm: Farm, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("runners: {python: {}}\n")
    done = farm("config", "check", file, "--lanes", "fast:1 slow:2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  lane slow: 2 subworkers, " in done.stdout
    assert "\n  no lane has '*': jobs in any other queue wait for another host\n" in done.stdout
    done = farm("config", "check", file, "--lanes", "fast")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('--lanes: "fast": expected')


def test_all_files_are_checked_and_all_problems_said(farm: Farm, tmp_path: Path) -> None:
    good, bad, worse = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "missing.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD + "pol: 1\nlease: soon\n")
    done = farm("config", "check", bad, good, worse)
    assert done.returncode == 2
    assert done.stdout.startswith(f"{good}: ok\n")
    assert (
        done.stderr
        == f"""\
{bad}:7:1: pol: unknown key; did you mean 'poll'?
{bad}:8:8: lease: expected a duration such as 250ms, 10s, 5m, 1h or a number of seconds, got 'soon'
{worse}: cannot be read: No such file or directory (there are: bad.yaml, good.yaml)
"""
    )


def test_a_wrong_file_starts_nothing(farm: Farm, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("lanes: []\n")
    done = farm("start", file, FARM_HOME=str(tmp_path / "home"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert all(line.startswith(f"{file}:") for line in done.stderr.splitlines())
    assert not (tmp_path / "home").exists()
