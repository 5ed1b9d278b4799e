"""`farm enqueue --file` files every line or none, and names the line that is wrong."""

from __future__ import annotations

import io
import json
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import psycopg
import pytest

from farm.cli import jobfile
from farm.cli.jobfile import JobFile
from farm.cli.main import main
from farm.errors import InvalidJob
from tests.cli.conftest import COMMAND, RUN_S_MAX, Farm

STORED = """
    SELECT j.task, j.args, c.queue, c.runner, c.memory_mb, j.priority, j.max_attempts, j.timeout_ms,
        extract(epoch FROM j.run_at - j.created_at)::bigint, j.run_at = '2100-05-01 07:00Z',
        j.retry_base_ms, j.retry_cap_ms, j.expires_at = '2100-05-02 07:00Z', extract(epoch FROM j.expires_at - j.created_at)::bigint
    FROM farm.job AS j JOIN farm.class AS c ON c.id = j.class_id ORDER BY j.id"""


def rows(dsn: str, query: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def test_each_line_is_a_job_and_the_command_line_is_for_what_it_does_not_say(farm: Farm, dsn: str, tmp_path: Path) -> None:
    lines = [
        '{"task": "app:f"}',
        "",
        '  {"task": "app:f", "args": {"to": "\u2713"}, "queue": "mail", "priority": 0, "max_attempts": 7, "timeout": "1.5s", "retry": 1}\r',
        '{"task": "app:f", "args": null, "delay": "1h", "memory": "512MiB", "expires": "2h"}',
        '{"task": "SELECT 1", "runner": "sql", "args": [18446744073709551615], "run_at": "2100-05-01T09:00:00+02:00", "timeout": 2}',
        '{"args": [1]}',
    ]
    path = tmp_path / "jobs.jsonl"
    ends = ["--expires", "2100-05-02T07:00Z", "--retry", "1s to 1m"]
    path.write_text("\ufeff" + "\n".join(lines))
    done = farm("enqueue", "app:other", "--file", path, "--queue", "bulk", "--priority", "9", "--delay", "2h", *ends, "--dsn", dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("5 jobs, 1 to 5, ")
    assert done.stdout.endswith(" a second\n")
    assert [row[:10] for row in rows(dsn, STORED)] == [
        ("app:f", [], "bulk", "python", 0, 9, None, None, 7200, False),
        ("app:f", {"to": "\u2713"}, "mail", "python", 0, 0, 7, 1500, 7200, False),
        ("app:f", [], "bulk", "python", 536, 9, None, None, 3600, False),
        ("SELECT 1", [(1 << 64) - 1], "bulk", "sql", 0, 9, None, 2000, rows(dsn, STORED)[3][8], True),
        ("app:other", [1], "bulk", "python", 0, 9, None, None, 7200, False),
    ]
    by_command = (1000, 60_000, True, rows(dsn, STORED)[0][13])
    own = [(1000, None, *by_command[2:]), (1000, 60_000, False, 7200)]
    assert [row[10:] for row in rows(dsn, STORED)] == [by_command, *own, by_command, by_command]


def test_standard_input_is_read_as_it_comes(dsn: str) -> None:
    lines = "".join(json.dumps({"task": "app:f", "args": [n]}) + "\n" for n in range(12_000))
    command = [*COMMAND, "enqueue", "--file", "-", "--dsn", dsn]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=RUN_S_MAX, check=True)
    assert done.stdout.startswith("12000 jobs, 1 to 12000, ")
    assert rows(dsn, "SELECT count(*), count(DISTINCT args->0), count(DISTINCT created_at) FROM farm.job") == [(12_000, 12_000, 1)]


def test_a_bad_line_is_named_and_nothing_is_enqueued(farm: Farm, dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    good = '{"task": "app:f"}\n\n'
    for bad, complaint in (
        ('{"task": "app:f", "priority": 11}', "priority: expected 0 to 9, got 11"),
        ('{"task": "app:f", "args": [NaN, 1234567890123456789]}', "args[0]: expected a finite number, got nan"),
        ('{"task": "app:f", "priorty": 1}', "priorty: no such key; did you mean 'priority'?"),
    ):
        path.write_text(good * 3000 + bad + "\n" + good)
        done = farm("enqueue", "--file", path, "--dsn", dsn)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"farm: {path}:6001: {complaint}\n")
    assert rows(dsn, "SELECT count(*) FROM farm.job") == [(0,)]


REFUSED: list[tuple[bytes, str]] = [
    (b'{"task": "app:f", "priority": 11}', ":1: priority: expected 0 to 9, got 11"),
    (b"\n\n{", ":3: not JSON: "),
    (b"[1]", ':1: expected an object such as {"task": "module:function"}, got \'[1]\''),
    (b'"\xff"', ":1: not UTF-8: byte 2 of the line is 0xff"),
    (b'{"task": "app:f", "args": ["\\ud800"]}', ":1: not JSON: "),
    (b'{"task": "app:f", "args": [NaN]}', ":1: not JSON: "),
    (b'{"task": "app:f", "args": ["\\u0000"]}', ":1: args[0]: expected text without NUL"),
    (b'{"task": "app:f", "args": {"a": 18446744073709551616}}', ":1: args.a: expected an integer of at most 64 bits"),
    (b'{"task": "app:f", "args": [1e400, 1234567890123456789]}', ":1: args[0]: expected a finite number, got inf"),
    (b'{"task": "app:f", "args": ' + b"[" * 201 + b"]" * 201 + b"}", "...: expected at most 200 levels of nesting, got more"),
    (b'{"task": "app:f", "args": ' + b"[" * 90_000 + b"}", ":1: not JSON: "),
    (b'{"task": "app:f", "args": 3}', ":1: args: expected an object or an array"),
    (b'{"args": []}', ":1: task: expected 1 to 1024 bytes"),
    (b'{"task": "app:f", "proirity": 1}', ":1: proirity: no such key; did you mean 'priority'?"),
    (b'{"task": "app:f", "\\u001b[31m": 1}', ":1: \\x1b[31m: no such key, expected task, args"),
    (b'{"task": "app:f", "queue": "x\'; drop table farm.job;--"}', ":1: queue: expected a name like"),
    (b'{"task": "app:f", "delay": "soon"}', ":1: delay: expected a duration such as 250ms"),
    (b'{"task": "app:f", "delay": -1}', ":1: delay: expected a duration such as 250ms"),
    (b'{"task": "app:f", "delay": true}', ":1: delay: expected a duration such as 250ms"),
    (b'{"task": "app:f", "timeout": "0s"}', ":1: timeout: expected 0.001 to 2000000 seconds, got '0s'"),
    (b'{"task": "app:f", "run_at": "2100-01-01T00:00"}', ":1: run_at: expected a time with an offset"),
    (b'{"task": "app:f", "run_at": "infinity"}', ":1: run_at: expected a time such as"),
    (b'{"task": "app:f", "run_at": "9999-12-31T23:00:00Z"}', ":1: run_at: expected a time in the years 2000 to 2199"),
    (b'{"task": "app:f", "run_at": 3}', ":1: run_at: expected a time such as"),
    (b'{"task": "app:f", "delay": 1, "run_at": "2100-01-01T00:00Z"}', ":1: run_at: expected nothing, since delay_s is given"),
    (b'{"task": "app:f", "retry": [1]}', ":1: retry: expected a delay such as 10s, or one that grows"),
    (b'{"task": "app:f", "expires": "soon"}', ":1: expires: expected a duration such as 5m or a time such as"),
    (b'{"task": "app:f", "expires": "2100-01-01T00:00"}', ":1: expires: expected a time with an offset"),
    (b'{"task": "app:f", "expires": "0s"}', ":1: expires_s: expected 0.001 to 3155760000 seconds, got 0.0"),
    (b'{"task": "app:f", "delay": 2, "expires": "1s"}', ":1: expires_s: expected a time after the one when the job is due, got 1.0"),
    (b'{"task": "app:f", "memory": "much"}', ":1: memory: expected a size such as 512MB"),
    (b"", ": 0 jobs: the file is empty"),
    (b"\n \n\t\n", ": 0 jobs: every line is blank"),
    (b"\x00" * (jobfile.LINE_BYTES_MAX + 10), ":1: expected lines of at most 8.39 MB, got a longer one"),
]


@pytest.mark.parametrize(("content", "complaint"), REFUSED, ids=[complaint[:40] for _, complaint in REFUSED])
def test_what_is_wrong_with_the_first_line_is_one_line_and_no_database_is_touched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, complaint: str
) -> None:
    monkeypatch.setenv("FARM_DSN", "host=/nonexistent")
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    refusal = _refusal(capsys, "--file", "jobs.jsonl")
    if not complaint.startswith("..."):
        assert refusal.startswith(f"farm: jobs.jsonl{complaint}")
    assert complaint in refusal


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--file", "."], "farm: --file .: Is a directory"),
        (["--file", "nowhere"], "farm: --file nowhere: No such file or directory"),
        (["--file", "a\x1b\n"], "farm: --file a\\x1b\\n: No such file or directory"),
        (["--file", "/dev/zero"], "farm: /dev/zero:1: expected lines of at most 8.39 MB, got a longer one"),
        (["--file", "/dev/null"], "farm: /dev/null: 0 jobs: the file is empty"),
        (["app:f", "[1]", "--file", "jobs.jsonl"], "farm: --file: each line has its own arguments: ARGS cannot be given with it"),
        (["--file", "jobs.jsonl", "--count", "2"], "farm: --file: each line has its own arguments: --count cannot be given with it"),
        (["--file", "jobs.jsonl", "--priority", "11"], "farm: priority: expected 0 to 9, got 11"),
        (["--file", "jobs.jsonl", "--memory", "2XB"], "farm: memory: expected a size such as 512MB"),
    ],
)
def test_what_is_no_file_of_jobs_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    monkeypatch.setenv("FARM_DSN", "host=/nonexistent")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.jsonl").write_text('{"task": "app:f"}\n')
    assert _refusal(capsys, *arguments).startswith(complaint)


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["enqueue", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_on_a_terminal_there_is_a_bar_and_the_answer(terminal: Callable[..., tuple[int, str]], dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"task": "app:f"}\n' * 5000)
    code, shown = terminal("enqueue", "--file", path, "--dsn", dsn)
    assert code == 0
    assert " 5,000 jobs " in shown
    assert "5000 jobs, 1 to 5000, " in shown.splitlines()[-1]


def test_memory_is_bounded_whatever_the_length() -> None:
    """Reading ten times as many lines holds no more of them."""

    class Endless(io.RawIOBase):
        def __init__(self, lines: int) -> None:
            self.left = lines

        def readline(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            return b'{"task": "app:f", "args": [1]}\n' if self.left >= 0 else b""

    def peak(lines: int) -> int:
        tracemalloc.start()
        try:
            jobs = JobFile(cast(BinaryIO, Endless(lines)), "x", {}).jobs()
            assert sum(1 for _ in jobs) == lines
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    assert peak(20_000) < peak(2_000) + 100_000


def test_a_file_that_fails_in_the_middle_is_said_with_the_line() -> None:
    class Failing(io.RawIOBase):
        def __init__(self) -> None:
            self.lines: Iterator[bytes] = iter([b'{"task": "app:f"}\n'])

        def readline(self, size: int | None = -1, /) -> bytes:
            for line in self.lines:
                return line
            raise OSError(5, "Input/output error")

    jobs = JobFile(cast(BinaryIO, Failing()), "x", {}).jobs()
    next(jobs)
    with pytest.raises(InvalidJob, match=r"^x: cannot be read on after line 1: Input/output error$"):
        next(jobs)
