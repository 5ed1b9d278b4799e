"""`farm jobs`, `farm job`, `farm status` and `farm check` show what the database holds: to people, to pipes and to programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from farm import connect
from farm.cli.main import main
from farm.store.hosts import HostStore
from farm.store.session import Session
from tests.cli.conftest import Farm

EXPIRES_AT = datetime(2100, 5, 1, 7, tzinfo=UTC)
EVIL = "\x1b[2J\x1b]0;owned\x07[red]\u202e"
"""Clears the screen, sets the title, colours rich's markup, and turns the direction of text."""


@pytest.fixture
def filled(farm: Farm, dsn: str, tmp_path: Path, farm_home: Path) -> str:
    """A database on which a farm has run: 1 succeeded; 2 failed; 3 was not allowed; 4 waits in another queue; 5 is due later."""
    file = tmp_path / "c.yaml"
    file.write_text(
        f"database: {dsn}\nrunners: {{python: {{allow: ['farm.demo:*']}}}}\nlanes: {{default: {{queues: [default], subworkers: 1}}}}\n"
        "tasks: {'*': {retry: 0s}}\n"
    )
    with connect(dsn) as client:
        client.enqueue("farm.demo:sleep", {"seconds": 0})
        client.enqueue("farm.demo:survey", [f"/nonexistent/{EVIL}"])
        client.enqueue("os:system", ["true"])
        client.enqueue("farm.demo:noop", queue="other", max_attempts=5, memory="300MB", retry="1s to 90", expires_at=EXPIRES_AT)
        client.enqueue("farm.demo:noop", delay_s=3600)
    done = farm("start", file, "--burst")
    assert done.returncode == 0, done.stderr
    return dsn


def test_jobs_are_listed_the_newest_first(farm: Farm, filled: str) -> None:
    done = farm("jobs", "--dsn", filled)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["ID", "STATE", "QUEUE", "TASK", "ARGS", "ATTEMPT", "CREATED", "TOOK", "OUTCOME"]
    assert [line.split()[:3] for line in lines] == [
        ["5", "scheduled", "default"],
        ["4", "ready", "other"],
        ["3", "failed", "default"],
        ["2", "failed", "default"],
        ["1", "succeeded", "default"],
    ]
    assert " 0/5 " in lines[1]
    assert lines[4].endswith('{"slept_s": 0}')
    assert "FileNotFoundError: [Errno 2] No such file or directory" in lines[3]


def test_jobs_are_picked_by_state_queue_and_number(farm: Farm, filled: str) -> None:
    def ids(*options: str) -> list[int]:
        return [job["id"] for job in json.loads(farm("jobs", "--json", *options, "--dsn", filled).stdout)]

    assert ids() == [5, 4, 3, 2, 1]
    assert ids("--limit", "2") == [5, 4]
    assert ids("--state", "failed") == [3, 2]
    assert ids("--queue", "other") == [4]
    assert ids("--queue", "other", "--state", "failed") == []
    assert farm("jobs", "--queue", "nowhere", "--dsn", filled).stdout == "no such jobs\n"


def test_json_has_every_column_of_the_view(farm: Farm, filled: str) -> None:
    with psycopg.connect(filled) as connection:
        columns = [column.name for column in connection.execute("SELECT * FROM farm.jobs LIMIT 0").description or ()]
    for job in json.loads(farm("jobs", "--json", "--dsn", filled).stdout):
        assert list(job) == [*columns, "progress"]


def test_one_job_is_shown_with_all_its_attempts(farm: Farm, filled: str) -> None:
    done = farm("job", "2", "--dsn", filled)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.split("\n\n")[0].splitlines())
    assert (lines["state"], lines["task"], lines["queue"], lines["attempts"]) == ("failed", "farm.demo:survey", "default", "3")
    assert lines["error"].startswith("FileNotFoundError: ")
    attempts = done.stdout.split("\n\n")[1:]
    assert [attempt.split()[:3] for attempt in attempts] == [["attempt", str(number), "failed"] for number in (1, 2, 3)]
    assert all("Traceback (most recent call last):" in attempt and "in survey\n" in attempt for attempt in attempts)


def test_one_job_is_shown_with_what_it_declared(farm: Farm, filled: str) -> None:
    """Memory is rounded up to its class, since that is what lanes look at."""
    shown = farm("job", "4", "--dsn", filled).stdout
    assert "\nmemory    512 MB\n" in shown
    assert "\nretry     1s to 90s\n" in shown
    assert "\nexpires   2100-05-01 07:00:00Z\n" in shown
    shown = farm("job", "5", "--dsn", filled).stdout
    assert not any(f"\n{name} " in shown for name in ("memory", "retry", "expires"))
    jobs = [json.loads(farm("job", number, "--json", "--dsn", filled).stdout) for number in ("4", "5")]
    assert [(job["memory_bytes"], job["retry"]) for job in jobs] == [(512_000_000, "1s to 90s"), (None, None)]
    assert [job["expires_at"] and datetime.fromisoformat(job["expires_at"]) for job in jobs] == [EXPIRES_AT, None]


def test_one_job_as_json_has_its_attempts(farm: Farm, filled: str) -> None:
    job = json.loads(farm("job", "2", "--json", "--dsn", filled).stdout)
    assert job["state"] == "failed"
    assert [(attempt["attempt"], attempt["kind"]) for attempt in job["attempts"]] == [(1, "failed"), (2, "failed"), (3, "failed")]
    assert {attempt["error"]["type"] for attempt in job["attempts"]} == {"FileNotFoundError"}
    assert all(attempt["host"] and attempt["started_at"].endswith("Z") and attempt["took_s"] >= 0 for attempt in job["attempts"])
    succeeded = json.loads(farm("job", "1", "--json", "--dsn", filled).stdout)
    assert succeeded["result"] == {"slept_s": 0}
    assert [(attempt["attempt"], attempt["kind"]) for attempt in succeeded["attempts"]] == [(1, "succeeded")]
    assert "\nnever started: not allowed (ended 2" in farm("job", "3", "--dsn", filled).stdout


def test_a_job_that_is_not_there_is_exit_code_1(farm: Farm, dsn: str) -> None:
    done = farm("job", "17", "--json", "--dsn", dsn)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("farm: there is no job 17 in PostgreSQL farm@/tmp/")


@pytest.mark.parametrize("number", ["0", "-1", "x", "9223372036854775808", "1e3", "\u0661"])
def test_what_cannot_be_a_job_is_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["job", "--dsn", "host=/nonexistent", "--", number])
    assert caught.value.code == 2
    assert "expected the number of a job" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["logs", "replay"])
def test_an_attempt_that_cannot_be_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in ("0", "x", "1" * 30):
        with pytest.raises(SystemExit) as exit_info:
            main([command, "1", "--attempt", number])
        assert exit_info.value.code == 2
        assert f"farm {command}: argument --attempt: expected the number of an attempt, got '{number}'" in capsys.readouterr().err


def test_nothing_that_a_job_holds_reaches_the_terminal_raw(terminal: Callable[..., tuple[int, str]], filled: str) -> None:
    for command in (["jobs"], ["job", "2"], ["jobs", "--json"], ["job", "2", "--json"]):
        code, shown = terminal(*command, "--dsn", filled)
        assert code == 0
        for piece in ("\x1b[2J", "\x1b]", "\x07", "\u202e"):
            assert piece not in shown, (command, piece)


def test_a_table_fits_the_terminal(terminal: Callable[..., tuple[int, str]], filled: str) -> None:
    import re

    code, shown = terminal("jobs", "--dsn", filled)
    assert code == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("..." in line for line in lines)


def test_the_status_shows_hosts_and_queues(farm: Farm, filled: str) -> None:
    done = farm("status", "--dsn", filled)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.split("\n\n")[0].splitlines()] == [["QUEUE", "READY"], ["other", "1"]]
    assert "0 claimed, 0 of them running; 1 due later (the next in 5" in done.stdout
    assert done.stdout.rstrip().endswith("; 1 host retired within the last hour; no host is live: `farm start CONFIG` makes this one")
    status = json.loads(farm("status", "--json", "--dsn", filled).stdout)
    assert [(queue["queue"], queue["ready"]) for queue in status["queues"]] == [("other", 1)]
    assert [(host["instance"], host["state"], list(host["lanes"])) for host in status["hosts"]] == [("default", "retired", ["default"])]


def test_the_status_names_what_no_lane_takes(farm: Farm, dsn: str) -> None:
    with connect(dsn) as client:
        client.enqueue_many(
            {"task": "app:f", "queue": queue, "memory": memory}
            for queue, memory in (("mail", None), ("mail", "2GiB"), ("nobody", None), ("images", "600MB"), ("images", "1TB"))
        )
    assert "no lane" not in farm("status", "--dsn", dsn).stdout, "without a host it says only that there is none"
    lanes = {
        "small": {"queues": ["mail"], "subworkers": 1, "concurrency": 1, "memory_bytes": 512_000_000},
        "large": {"queues": ["images"], "subworkers": 2, "concurrency": 500, "memory_bytes": 1_000_000_000},
    }
    session = Session(dsn, application_name="test")
    HostStore(session).register(instance="i", name="ada", lanes=lanes, capacity=1001, memory_bytes=10**9, version="0")
    session.close()
    shown = farm("status", "--dsn", dsn).stdout
    assert [line for line in shown.splitlines() if line.startswith("no lane")] == [
        "no lane that serves the queue images has the 1 TB of memory that jobs in it declare",
        "no lane that serves the queue mail has the 2 GiB of memory that jobs in it declare",
        "no lane serves the queue nobody",
    ]
    assert ["1", "large", "images", "2", "500", "1", "GB"] in [line.split() for line in shown.splitlines()]


def test_an_empty_database_is_said_to_be_one(farm: Farm, dsn: str) -> None:
    assert farm("jobs", "--dsn", dsn).stdout == "no jobs\n"
    assert farm("jobs", "--json", "--dsn", dsn).stdout == "[]\n"
    assert farm("status", "--dsn", dsn).stdout.startswith("nothing is waiting; 0 claimed, 0 of them running; 0 due later; no host is live")


def test_check_says_ok_or_what_is_violated(farm: Farm, filled: str) -> None:
    done = farm("check", "--dsn", filled)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
    with psycopg.connect(filled) as connection:
        connection.execute("DELETE FROM farm.ready WHERE job_id = 4")
        connection.execute("UPDATE farm.result SET attempt = 9 WHERE job_id = 2")
    done = farm("check", "--dsn", filled)
    assert done.returncode == 1
    assert any(line.startswith("job 4: ") for line in done.stdout.splitlines())
    assert any(line.startswith("job 2: ") for line in done.stdout.splitlines())


def test_every_reading_command_finds_the_database_of_a_configuration(farm: Farm, dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"database: {dsn}\nrunners: {{python: {{}}}}\nlanes: {{a: {{queues: [q]}}}}\n")
    for command in ("jobs", "status", "check"):
        assert farm(command, "--config", file, FARM_DSN="host=/nonexistent").returncode == 0


def test_a_depth_that_is_not_exact_says_so(farm: Farm, dsn: str) -> None:
    with connect(dsn) as client:
        client.enqueue_many({"task": "app:f", "queue": "exact"} for _ in range(10_000))
        client.enqueue_many({"task": "app:f", "queue": "more"} for _ in range(10_002))
    lines = [line.split() for line in farm("status", "--dsn", dsn).stdout.splitlines()]
    assert [line[:2] for line in lines[1:3]] == [["exact", "10,000"], ["more", ">10,000"]]
