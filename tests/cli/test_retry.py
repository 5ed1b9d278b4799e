"""`farm retry` tries jobs again that have ended in vain, but never more than its user has been told of."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import Any

import psycopg
import pytest

from farm.cli.main import main
from tests.cli.conftest import COMMAND, RUN_S_MAX, Farm


@pytest.fixture
def ended(dsn: str) -> str:
    """A database in which jobs have ended: 1 to 3 failed, 1 long ago and in another queue; 4 cancelled; 5 succeeded; 6 waits."""
    with psycopg.connect(dsn) as connection:
        for queue, task in (("old", "mail:f"), ("q", "mail:f"), ("q", "app:g"), ("q", "app:g"), ("q", "app:g"), ("q", "app:g")):
            connection.execute("SELECT farm.enqueue(%s, queue => %s)", (task, queue))
        connection.execute("DELETE FROM farm.ready WHERE job_id < 6")
        connection.execute("""
            INSERT INTO farm.result (job_id, status, attempt, finished_at, value, error)
            SELECT n, CASE n WHEN 5 THEN 1 WHEN 4 THEN 3 ELSE 2 END, 1, now() - CASE n WHEN 1 THEN interval '1 d' ELSE interval '0' END,
                CASE WHEN n = 5 THEN '1'::jsonb END, CASE WHEN n <> 5 THEN '{"type": "ValueError", "message": "no"}'::jsonb END
            FROM generate_series(1, 5) AS n""")
        connection.execute("INSERT INTO farm.failure SELECT n, 1, NULL, now(), 0, 1, 'failed', '{}' FROM generate_series(1, 4) AS n")
    return dsn


def ready(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT job_id FROM farm.returned ORDER BY 1").fetchall()]


def test_jobs_are_tried_again_by_their_numbers(capsys: pytest.CaptureFixture[str], ended: str) -> None:
    def run(*arguments: str) -> tuple[int, str, list[str]]:
        code = main([*arguments, "--dsn", ended])
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    refused = ["farm: job 5 has succeeded", "farm: job 6 has not ended", "farm: there is no job 99"]
    assert run("retry", "1", "4", "5", "6", "99", "1", "--yes") == (1, "2 jobs are ready again\n", refused)
    assert ready(ended) == [1, 4]
    shown = run("job", "1")[1]
    assert "\nstate     ready\n" in shown
    assert "\ntried again by " in shown
    assert ", having failed after 1 attempt: ValueError: no (" in shown
    assert ", having been cancelled after 1 attempt" in run("job", "4")[1]
    assert run("check") == (0, "ok\n", [])
    assert run("retry", "1", "--yes") == (1, "there is nothing to try again\n", ["farm: job 1 has not ended"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--queue", "q"], [2, 3]),
        (["--task", "mail:*"], [1, 2]),
        (["--failed-since", "2h"], [2, 3]),
        (["--failed-since", "2000-01-01T00:00:00Z", "--queue", "old"], [1]),
        (["--failed-since", "2h", "--task", "mail:*", "--queue", "q"], [2]),
        (["--queue", "nowhere"], []),
    ],
)
def test_jobs_are_tried_again_by_what_they_are(
    capsys: pytest.CaptureFixture[str], ended: str, options: list[str], expected: list[int]
) -> None:
    assert main(["retry", *options, "--yes", "--dsn", ended]) == 0
    count = len(expected)
    said = f"{count} job{'s are' if count > 1 else ' is'} ready again\n" if count else "there is nothing to try again\n"
    assert capsys.readouterr().out == said
    assert ready(ended) == expected


def test_where_nobody_can_be_asked_nothing_is_done(farm: Farm, ended: str) -> None:
    done = farm("retry", "--queue", "q", "--dsn", ended)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "farm: 2 jobs of the queue q would be tried again: give --yes, since there is no terminal to ask on\n"
    assert ready(ended) == []


def test_on_a_terminal_the_count_is_asked_about(ended: str) -> None:
    for answer, code, words in ((b"\n", 1, "nothing was done"), (b"y\n", 0, "2 jobs are ready again")):
        ours, theirs = pty.openpty()
        try:
            command = [*COMMAND, "retry", "--queue", "q", "--dsn", ended]
            process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            os.write(ours, answer)
            out, err = process.communicate(timeout=RUN_S_MAX)
        finally:
            os.close(ours)
            os.close(theirs)
        assert (process.returncode, out.decode()) == (code, f"{words}\n")
        assert err.decode() == "2 jobs of the queue q would be tried again. Go on? [y/N] "
    assert ready(ended) == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "farm: expected either IDs, or --queue, --task or --failed-since, which find them (farm retry --help says more)"),
        (["1", "--queue", "q"], "farm: expected either IDs, or --queue"),
        (["0"], "farm retry: argument ID: expected the number of a job, got '0'"),
        (["--failed-since", "soon"], "farm retry: argument --failed-since: expected a duration such as 5m or a time such as"),
    ],
)
def test_what_is_not_meant_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str) -> None:
    code: Any
    try:
        code = main(["retry", *arguments, "--dsn", "host=/nonexistent"])
    except SystemExit as left:
        code = left.code
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith(expected)
    assert len(error.splitlines()) == 1
