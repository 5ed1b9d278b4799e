"""`farm enqueue` files what it says, and files nothing when anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from farm.cli.main import main
from tests.cli.conftest import Farm


def rows(dsn: str, query: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def test_the_id_is_printed_and_every_option_is_stored(farm: Farm, dsn: str) -> None:
    options = ["--queue", "mail", "--priority", "0", "--max-attempts", "7", "--timeout", "1.5s", "--delay", "1h"]
    options += ["--retry", "1s to 10m", "--expires", "2h"]
    done = farm("enqueue", "app.mail:send", '{"to": "ünï@example.org", "n": [1, 2.5, null]}', *options, "--dsn", dsn)
    assert (done.returncode, done.stderr) == (0, "")
    (job,) = rows(dsn, "SELECT id, task, args, priority, max_attempts, timeout_ms, run_at - created_at FROM farm.job")
    assert job[:6] == (int(done.stdout), "app.mail:send", {"to": "ünï@example.org", "n": [1, 2.5, None]}, 0, 7, 1500)
    assert job[6].total_seconds() == pytest.approx(3600)
    assert rows(dsn, "SELECT queue, runner FROM farm.class") == [("mail", "python")]
    stored = rows(dsn, "SELECT retry_base_ms, retry_cap_ms, extract(epoch FROM expires_at - created_at)::int FROM farm.job")
    assert stored == [(1000, 600_000, 7200)]


def test_what_is_left_out_has_the_documented_default(farm: Farm, dsn: str) -> None:
    assert farm("enqueue", "app:f", FARM_DSN=dsn).returncode == 0
    assert rows(dsn, "SELECT args, priority, max_attempts, timeout_ms, run_at FROM farm.job") == [([], 4, None, None, None)]
    assert rows(dsn, "SELECT queue, runner FROM farm.class") == [("default", "python")]


def test_another_runner_takes_any_task(farm: Farm, dsn: str) -> None:
    assert farm("enqueue", "SELECT 1", "--runner", "sql", "--dsn", dsn).returncode == 0
    assert rows(dsn, "SELECT runner FROM farm.class") == [("sql",)]


def test_a_time_is_a_moment_whatever_its_offset(farm: Farm, dsn: str) -> None:
    times = ["--run-at", "2100-05-01T09:00:00+02:00", "--expires", "2100-05-01T07:00:01Z"]
    assert farm("enqueue", "app:f", *times, "--dsn", dsn).returncode == 0
    assert rows(dsn, "SELECT run_at = '2100-05-01 07:00Z' FROM farm.scheduled") == [(True,)]
    assert rows(dsn, "SELECT expires_at = '2100-05-01 07:00:01Z' FROM farm.expiry") == [(True,)]


def test_many_of_the_same_kind_are_one_transaction(farm: Farm, dsn: str) -> None:
    done = farm("enqueue", "app:f", "[1]", "--count", "2500", "--dsn", dsn)
    assert done.stdout == "2500 jobs, 1 to 2500\n"
    assert rows(dsn, "SELECT count(*), count(DISTINCT created_at) FROM farm.job") == [(2500, 1)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["app:f", "{"], "farm: ARGS is not JSON: "),
        (["app:f", '{"x": NaN}'], "farm: ARGS is not JSON: NaN is no JSON"),
        (["app:f", "3"], "farm: ARGS: expected a JSON object (keyword arguments) or array (positional ones), got 3"),
        (["app:f", "[" * 100_000], "farm: ARGS is not JSON: "),
        (["app:f", '["\\u0000"]'], "farm: args[0]: expected text without NUL"),
        (["app:f", "[99999999999999999999]"], "farm: args[0]: expected an integer of at most 64 bits"),
        (["no function"], "farm: runner: expected a name, since the task does not look like module:function"),
        (["app:f", "--priority", "11"], "farm: priority: expected 0 to 9, got 11"),
        (["app:f", "--priority", "high"], "farm enqueue: argument --priority: invalid int value: 'high'"),
        (["app:f", "--delay", "soon"], "farm enqueue: argument --delay: expected a duration such as 250ms"),
        (["app:f", "--run-at", "2100-01-01T00:00"], "farm enqueue: argument --run-at: expected a time with an offset"),
        (["app:f", "--run-at", "1900-01-01T00:00Z"], "farm: run_at: expected a time in the years 2000 to 2199"),
        (["app:f", "--delay", "1h", "--run-at", "2100-01-01T00:00Z"], "farm enqueue: argument --run-at: not allowed with argument --delay"),
        (["app:f", "--max-attempts", "0"], "farm: max_attempts: expected 1 to 10000, got 0"),
        (["app:f", "--timeout", "0s"], "farm: timeout_s: expected 0.001 to 2000000 seconds, got 0.0"),
        (["app:f", "--retry", "often"], "farm: retry: expected a delay such as 10s, or one that grows such as 1s to 10m, at most 20d"),
        (["app:f", "--expires", "soon"], "farm enqueue: argument --expires: expected a duration such as 5m or a time such as 2026"),
        (["app:f", "--expires", "1m", "--delay", "60"], "farm: expires_s: expected a time after the one when the job is due"),
        (["app:f", "--queue", "Bad"], "farm: queue: expected a name like"),
        (["app:f", "--count", "0"], "farm: --count: expected 1 to 10000000, got 0"),
        ([], "farm: TASK is missing: what to run, such as module:function, or --file"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_database_is_touched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    # A DSN that nobody answers at: a command that got as far as connecting would complain of that.
    monkeypatch.setenv("FARM_DSN", "host=/nonexistent")
    try:
        code = main(["enqueue", *arguments])
    except SystemExit as exit_:
        code = exit_.code  # type: ignore[assignment]
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith(complaint)
    assert shown.err.count("\n") == 1


def test_without_a_schema_the_mending_command_is_named(farm: Farm, empty_dsn: str) -> None:
    done = farm("enqueue", "app:f", "--dsn", empty_dsn)
    assert (done.returncode, done.stderr) == (2, "farm: the database has no farm schema: run `farm migrate`\n")
    assert farm("migrate", "--dsn", empty_dsn).returncode == 0
    assert farm("enqueue", "app:f", "--dsn", empty_dsn).stdout == "1\n"


def test_a_database_that_is_away_is_one_line_without_the_password(farm: Farm) -> None:
    done = farm("enqueue", "app:f", "--dsn", "host=/nonexistent user=u password=s3cret dbname=d")
    assert done.returncode == 2
    assert done.stderr.startswith("farm: ")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr


def test_on_a_terminal_it_says_which_database_it_used(terminal: Callable[..., tuple[int, str]], dsn: str) -> None:
    code, shown = terminal("enqueue", "app:f", "--dsn", f"{dsn} password=s3cret")
    assert code == 0
    assert shown.startswith("database: PostgreSQL farm@/tmp/")
    assert shown.endswith("\n1\n")
    assert "s3cret" not in shown


def test_waiting_takes_one_job_and_ends_in_time(farm: Farm, dsn: str) -> None:
    done = farm("enqueue", "app:f", "--wait", "--count", "2", "--dsn", dsn)
    assert (done.returncode, done.stderr) == (2, "farm: --wait: expected one job to wait for, not --count\n")
    assert rows(dsn, "SELECT id FROM farm.job") == []
    done = farm("enqueue", "app:f", "--wait-timeout", "10ms", "--dsn", dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has not ended within 0.01 s; it goes on" in done.stderr
