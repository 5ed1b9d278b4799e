"""`farm prune` removes what is old enough, and no more than its user was told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import psycopg
import pytest

from farm.cli.main import main
from tests.cli.conftest import Farm

CONFIG = """\
runners: {python: {allow: ["farm.demo:*"]}}
lanes: {main: {queues: ["*"]}}
retention: {succeeded: 7d}
"""


@pytest.fixture
def aged(dsn: str) -> str:
    """A database in which 90 jobs succeeded 10 days ago, 5 failed then, and 5 wait."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT farm.enqueue('app:f') FROM generate_series(1, 100)")
        connection.execute("DELETE FROM farm.ready WHERE job_id <= 95")
        connection.execute("""
            INSERT INTO farm.result (job_id, status, attempt, finished_at, value, error)
            SELECT n, CASE WHEN n <= 90 THEN 1 ELSE 2 END, 1, now() - interval '10 d', CASE WHEN n <= 90 THEN '1'::jsonb END,
                CASE WHEN n > 90 THEN '{"type": "ValueError", "message": "no"}'::jsonb END
            FROM generate_series(1, 95) AS n""")
        connection.execute("INSERT INTO farm.failure SELECT n, 1, NULL, now(), 0, 1, 'failed', '{}' FROM generate_series(91, 95) AS n")
    return dsn


def test_it_says_what_would_go_asks_and_removes_it(
    capsys: pytest.CaptureFixture[str], aged: str, farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--dsn", aged])
        said = capsys.readouterr()
        return code, said.out, said.err

    config = tmp_path / "farm.yaml"
    config.write_text(CONFIG)
    code, out, _ = run("prune", "--dry-run", "--config", str(config))
    assert code == 0
    assert "0 to 4,999,999   100" in out
    assert "90 jobs would go; new jobs go into the next one first\n90 jobs would go, about " in out
    code, out, _ = run("prune", "--dry-run", "--succeeded", "never", "--failed", "9d", "--json")
    looks = orjson.loads(out)
    assert (looks["succeeded_s"], looks["failed_s"], looks["cancelled_s"], looks["jobs"]) == (None, 9 * 86400.0, 9 * 86400.0, 0)
    assert looks["partitions"][0]["why"] == "stays: 5% may go, less than 50%"
    assert run("prune", "--dry-run", "--succeeded", "11d")[1].splitlines()[1].endswith("stays: nothing in it may go")

    done = farm("prune", "--succeeded", "7d", "--dsn", aged)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "farm: 90 jobs would be removed for ever: give --yes, since there is no terminal to ask on\n"
    assert run("prune", "--config", str(config), "--yes") == (0, "removed 90 jobs\n", "")
    assert run("prune", "--config", str(config), "--yes") == (0, "there is nothing to remove\n", "")
    assert run("check")[1] == "ok\n"
    assert len(orjson.loads(run("jobs", "--json", "--limit", "200")[1])) == 10
    # What somebody else has begun is gone on with, and a table that somebody reads is left for later.
    with psycopg.connect(aged, autocommit=True) as other:
        assert other.execute("SELECT farm.begin_pruning(1, 1, '-infinity', now(), '-infinity')").fetchone() == (True,)
    assert run("prune", "--succeeded", "7d", "--json", "--yes")[:2] == (0, '{"removed":5,"complete":true}\n')


def test_without_a_word_nothing_is_removed(farm: Farm, aged: str) -> None:
    done = farm("prune", "--dsn", aged)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("farm: nothing says how long jobs are kept: give --succeeded 7d, --failed 30d, or a --config")
    assert "expected a duration" in farm("prune", "--failed", "7x").stderr


def test_on_a_terminal_it_shows_how_far_it_is(terminal: Callable[..., tuple[int, str]], aged: str) -> None:
    code, shown = terminal("prune", "--succeeded", "7d", "--yes", "--dsn", aged)
    assert code == 0
    assert "removing" in shown
    assert shown.endswith("removed 90 jobs\n")


def test_where_somebody_is_always_at_work_it_gives_up(
    capsys: pytest.CaptureFixture[str], aged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import farm.cli.prune

    monkeypatch.setattr(farm.cli.prune, "PATIENCE_S", 0.1)
    monkeypatch.setattr(farm.cli.prune, "AGAIN_S", 0.05)
    with psycopg.connect(aged, application_name="report") as other:
        other.execute("SELECT FROM farm.result LIMIT 1")
        assert main(["prune", "--succeeded", "7d", "--yes", "--dsn", aged]) == 1
    said = capsys.readouterr()
    assert said.out == "removed 0 jobs\n"
    assert said.err.startswith("farm prune: somebody is at work on the tables all the time: try again later; report has had a transaction")
    assert main(["prune", "--succeeded", "7d", "--yes", "--dsn", aged]) == 0
    assert capsys.readouterr().out == "removed 90 jobs\n"


def test_somebody_in_the_way_is_no_success(aged: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing could be begun, so nothing is complete; the one who is in the way is named."""
    monkeypatch.setattr("farm.cli.prune.PATIENCE_S", 0.1)
    with psycopg.connect(aged, autocommit=True) as other:
        other.execute("SELECT farm.begin_next_partition('0')")
        with other.transaction():
            other.execute("UPDATE farm.job SET priority = 5 WHERE id = 91")
            code = main(["prune", "--succeeded", "7d", "--json", "--yes", "--dsn", aged])
            said = capsys.readouterr()
            assert (code, said.out) == (1, '{"removed":0,"complete":false}\n')
            assert "somebody is at work on the tables all the time" in said.err
    assert main(["prune", "--succeeded", "7d", "--json", "--yes", "--dsn", aged]) == 0
    assert capsys.readouterr().out == '{"removed":90,"complete":true}\n'
