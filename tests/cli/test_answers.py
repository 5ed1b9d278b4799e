"""`farm why`, `farm queues`, `farm status --fail-if` and `farm doctor`: exit codes and what they print, on a database without a farm."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from farm import connect
from farm.cli.main import main


@pytest.fixture
def filled(dsn: str) -> str:
    """A database with: 1, ready, whose task would steer a terminal in an error; 2, due later; 3, cancelled."""
    with connect(dsn) as client:
        client.enqueue("farm.demo:noop", queue="mail")
        client.enqueue("farm.demo:noop", delay_s=3600)
        client.enqueue("farm.demo:noop", queue="bills")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT farm.cancel_jobs('{3}', %s)", ["not \x1b[2J[red]wanted\n"])
    return dsn


def test_why_says_it_and_what_to_do(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "1", "--dsn", filled]) == 0
    assert capsys.readouterr().out == "It is ready, and no host is live that could take it.\ntry: farm start CONFIG\n"
    assert main(["why", "3", "--dsn", filled]) == 0
    assert "ago: not [red]wanted. It had not started.\ntry: farm retry 3\n" in capsys.readouterr().out
    assert main(["why", "2", "--json", "--dsn", filled]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["id"], answer["state"], answer["code"]) == (2, "scheduled", "scheduled")
    assert main(["why", "99", "--json", "--dsn", filled]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "id": 99, "state": None, "code": "never", "why": "There has never been a job 99: ids up to 3 have been given out.", "try": None,
    }  # fmt: skip


def test_queues_are_a_table_or_json(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["queues", "--dsn", filled]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["QUEUE", "bills", "default", "mail"]
    assert lines[2][1:3] == ["0", "1"]
    assert lines[3][1] == "1"
    assert main(["queues", "mail", "--json", "--dsn", filled]) == 0
    (mail,) = json.loads(capsys.readouterr().out)
    assert (mail["queue"], mail["ready"], mail["lanes"]) == ("mail", 1, [])
    assert main(["queues", "mial", "--dsn", filled]) == 2
    assert capsys.readouterr().err == "farm: no job was ever filed under a queue 'mial', and no lane names it; did you mean 'mail'?\n"


def test_an_alarm_is_an_exit_code(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    with psycopg.connect(filled, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO farm.result (job_id, status, attempt, finished_at) SELECT n, 2, 1, %s FROM generate_series(11, 14) AS n",
            [now],
        )
    assert main(["status", "--fail-if", "ready[mail]>0", "--fail-if", "hosts<0,failed>=100%", "--quiet", "--dsn", filled]) == 1
    assert capsys.readouterr() == ("", "farm: ready[mail]>0: it is 1\n")
    assert main(["status", "--fail-if", "oldest>1h, horizon>1h, beat<1s", "--json", "--dsn", filled]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(told["condition"], told["holds"]) for told in answer["conditions"]] == [
        ("oldest>3600s", False), ("horizon>3600s", False), ("beat<1s", False),
    ]  # fmt: skip
    assert main(["status", "--fail-if", "failed>50%", "--quiet", "--dsn", filled]) == 1
    assert capsys.readouterr().err == "farm: failed>50%: it is 80%\n"
    assert main(["status", "--fail-if", "oldst>60s", "--dsn", filled]) == 2
    assert capsys.readouterr().err == "farm: nothing called 'oldst' can be asked about; did you mean 'oldest'?\n"


def test_to_be_quiet_about_nothing_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """A cron job that forgot its conditions would be told for ever that all is well; and no database is asked for that."""
    for arguments in (["--quiet"], ["--quiet", "--json"]):
        assert main(["status", *arguments, "--dsn", "host=/nonexistent"]) == 2
        assert capsys.readouterr() == (
            "",
            "farm: --quiet prints only the conditions that hold, and there is none: name one, such as --fail-if 'oldest>60s'\n",
        )


def test_a_doctor_looks_at_host_and_database(empty_dsn: str, farm_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names what is wrong with an exit code of 1, and looks on where one thing cannot be looked at."""
    with psycopg.connect(empty_dsn, autocommit=True) as holding:
        assert main(["doctor", "--dsn", empty_dsn, "--json"]) == 1
        findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
        assert findings["schema"] == {"check": "schema", "level": "wrong", "text": "there is none", "advice": "run `farm migrate`"}
        assert {findings[check]["level"] for check in ("server", "pooler", "connections", "cleaning up")} == {"ok"}
        assert {"system", "kernel", "memory", "shared memory", "open files", "processes", "state directory", "clock"} <= findings.keys()
        assert holding.execute("SELECT to_regnamespace('farm')").fetchone() == (None,), "nothing was made"
    assert main(["doctor", "--dsn", "host=/nonexistent password=s3cret"]) == 1
    shown = capsys.readouterr().out
    assert "WRONG           database: cannot connect to PostgreSQL /nonexistent: there is no such socket" in shown
    assert "s3cret" not in shown
    assert not any(farm_home.iterdir())


def test_a_doctor_names_the_session_that_keeps_the_database_from_cleaning_up(
    dsn: str, farm_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.doctor.database.HOLD_S", 0.0)
    with psycopg.connect(dsn, application_name="somebody's psql") as forgotten:
        forgotten.execute("SELECT pg_current_xact_id()")
        main(["doctor", "--dsn", dsn, "--json"])
        (finding,) = [finding for finding in json.loads(capsys.readouterr().out) if finding["check"] == "cleaning up"]
        pid = forgotten.info.backend_pid
    assert finding["level"] == "advice"
    assert f"a transaction of somebody's psql of farm (backend {pid}, idle in transaction) has been in its way for " in finding["text"]
    assert finding["advice"].endswith(f"SELECT pg_terminate_backend({pid})")


def test_a_doctor_that_is_asked_for_what_is_no_database_looks_at_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--dsn", "bogus"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "--dsn: expected embedded or a PostgreSQL DSN such as postgresql://user@host/database\n")
