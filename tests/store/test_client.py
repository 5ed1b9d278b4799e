"""The client: what it files, what it refuses, and in whose transaction."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row

import farm
from farm.store import enqueues
from farm.store.newjobs import validate
from tests.store.bench import Bench


@pytest.fixture
def client(dsn: str) -> Iterator[farm.Client]:
    with farm.connect(dsn) as connected:
        yield connected


STORED = """
    SELECT j.task, j.args, c.queue, c.runner, j.priority, j.max_attempts, j.timeout_ms, j.run_at
    FROM farm.job AS j JOIN farm.class AS c ON c.id = j.class_id ORDER BY j.id"""
LATER = datetime(2100, 5, 6, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def test_one_and_many_file_the_same(client: farm.Client, bench: Bench) -> None:
    jobs: list[farm.NewJob] = [
        {"task": "app:f"},
        {"task": "app.mail:send", "args": {"to": "ada \u2713\\", "n": [1, 2.5, None, True, "null"]}, "queue": "mail", "priority": 0},
        {"task": "SELECT 1\u00e9", "args": (1, "two"), "runner": "sql", "max_attempts": 7, "timeout_s": 0.0015},
        {"task": "app:f", "run_at": LATER, "priority": None},
        {"task": "app:f", "run_at": datetime(2001, 1, 1, tzinfo=UTC)},
    ]
    one_by_one = [client.enqueue(**job) for job in jobs]
    stored = bench.rows(STORED)
    assert client.enqueue_many(jobs) == [job_id + len(jobs) for job_id in one_by_one]
    assert bench.rows(STORED) == stored * 2
    assert stored[0] == ("app:f", [], "default", "python", 4, None, None, None)
    assert stored[1][1:5] == ({"to": "ada \u2713\\", "n": [1, 2.5, None, True, "null"]}, "mail", "python", 0)
    assert stored[2][1:] == ([1, "two"], "default", "sql", 4, 7, 2, None)
    assert stored[3][7] == LATER
    assert bench.rows("SELECT job_id, run_at FROM farm.scheduled ORDER BY 1") == [(one_by_one[3], LATER), (one_by_one[3] + 5, LATER)]
    assert bench.value("SELECT count(*) FROM farm.ready") == 8


def test_a_delay_counts_from_the_databases_now(client: farm.Client, bench: Bench) -> None:
    client.enqueue("app:f", delay_s=3600)
    client.enqueue_many([{"task": "app:f", "delay_s": 3600}, {"task": "app:f", "delay_s": 0}])
    waits = [
        row[0]
        for row in bench.rows("SELECT extract(epoch FROM s.run_at - j.created_at) FROM farm.scheduled s JOIN farm.job j ON j.id = s.job_id")
    ]
    assert waits == [3600, 3600]
    assert bench.value("SELECT count(*) FROM farm.ready") == 1


class Hostile:
    def __repr__(self) -> str:
        raise ValueError("no")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


REFUSED = [
    ({"task": ""}, "task: expected 1 to 1024 bytes without control characters, got ''"),
    ({"task": "a\x00b"}, "task: expected 1 to 1024 bytes without control characters, got 'a\\x00b'"),
    ({"task": "\ud800"}, "task: expected text without lone surrogates, got '\\ud800'"),
    ({"task": "x" * 2000}, "task: expected 1 to 1024 bytes without control characters, got 'xxx"),
    ({"task": 3}, "task: expected 1 to 1024 bytes without control characters, got 3"),
    ({"task": "echo"}, "runner: expected a name, since the task does not look like module:function, got None"),
    ({"queue": "Mail"}, "queue: expected a name like [a-z0-9][a-z0-9_.:-]{0,62}, got 'Mail'"),
    ({"queue": "x'; drop table farm.job;--"}, "queue: expected a name like"),
    ({"queue": "m\u0430il"}, "queue: expected a name like [a-z0-9][a-z0-9_.:-]{0,62}, got 'm\\u0430il'"),
    ({"runner": ""}, "runner: expected a name like"),
    ({"priority": 11}, "priority: expected 0 to 9, got 11"),
    ({"priority": True}, "priority: expected 0 to 9, got True"),
    ({"priority": 1.0}, "priority: expected 0 to 9, got 1.0"),
    ({"max_attempts": 0}, "max_attempts: expected 1 to 10000, got 0"),
    ({"max_attempts": 1 << 40}, "max_attempts: expected 1 to 10000, got 1099511627776"),
    ({"timeout_s": 0}, "timeout_s: expected 0.001 to 2000000 seconds, got 0"),
    ({"timeout_s": math.inf}, "timeout_s: expected 0.001 to 2000000 seconds, got inf"),
    ({"delay_s": -1}, "delay_s: expected 0 to 3155760000 seconds, got -1"),
    ({"delay_s": math.nan}, "delay_s: expected 0 to 3155760000 seconds, got nan"),
    ({"delay_s": 1, "run_at": LATER}, "run_at: expected nothing, since delay_s is given, got datetime"),
    ({"run_at": datetime(2030, 1, 1)}, "run_at: expected a datetime with a time zone, got datetime"),
    ({"run_at": "tomorrow"}, "run_at: expected a datetime with a time zone, got 'tomorrow'"),
    ({"run_at": datetime(1999, 12, 31, tzinfo=UTC)}, "run_at: expected a time in the years 2000 to 2199, got datetime"),
    ({"run_at": datetime.max.replace(tzinfo=UTC)}, "run_at: expected a time in the years 2000 to 2199, got datetime"),
    ({"args": "text"}, "args: expected an object or an array (dict, list or tuple), got 'text'"),
    ({"args": {1, 2}}, "args: expected an object or an array (dict, list or tuple), got {1, 2}"),
    ({"args": {"a": [0, {"b": math.nan}]}}, "args.a[1].b: expected a finite number, got nan"),
    ({"args": [math.inf]}, "args[0]: expected a finite number, got inf"),
    ({"args": {"a": 1 << 64}}, "args.a: expected an integer of at most 64 bits, got 18446744073709551616"),
    ({"args": {"a": "\x00"}}, "args.a: expected text without NUL, got '\\x00'"),
    ({"args": {"\x00": 1}}, "args: a key: expected text without NUL, got '\\x00'"),
    ({"args": {"a": "\ud800"}}, "args.a: expected text without lone surrogates, got '\\ud800'"),
    ({"args": {3: 1}}, "args: expected text as the key of an object, got 3"),
    ({"args": [b"x"]}, "args[0]: expected a JSON value, got b'x'"),
    ({"args": [datetime(2030, 1, 1)]}, "args[0]: expected a JSON value, got datetime"),
    ({"args": [Hostile()]}, "args[0]: expected a JSON value, got Hostile"),
    ({"args": nested(201)}, "expected at most 200 levels of nesting, got more"),
    ({"args": nested(5000)}, "expected at most 200 levels of nesting, got more"),
    ({"args": ["x" * (1 << 20)]}, "args: expected at most 1048576 bytes of JSON, got 1048580"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_cannot_be_a_job_is_refused_with_the_name_of_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with farm.connect("host=/nonexistent") as unconnected, pytest.raises(farm.InvalidJob) as refused:
        unconnected.enqueue(**{"task": "app:f", **options})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    with farm.connect("host=/nonexistent") as unconnected, pytest.raises(farm.InvalidJob) as refused:
        validate({"task": "app:f", **options}, "jobs[3].")
    assert str(refused.value).startswith("jobs[3].")


def test_what_looks_dangerous_and_is_not_is_taken(client: farm.Client, bench: Bench) -> None:
    args: dict[str, Any] = {
        "null": None,
        "text": "\\u0000 null",
        "deep": nested(199),
        "many": [[]] * 300,
        "big": (1 << 64) - 1,
        "small": -(1 << 63),
        "": 1e20,
    }
    client.enqueue("app:f", args)
    client.enqueue_many([{"task": "app:f", "args": args}])
    assert [row[0] for row in bench.rows("SELECT args FROM farm.job")] == [args, args]


def test_many_are_all_or_nothing_and_the_bad_one_is_named(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 3)
    jobs = ({"task": "app:f", "priority": 11 if index == 10 else 1} for index in range(20))
    with pytest.raises(farm.InvalidJob, match=r"^jobs\[10\].priority: expected 0 to 9, got 11$"):
        client.enqueue_many(jobs)
    with pytest.raises(farm.InvalidJob, match=r"^jobs\[0\].proirity: no such option; did you mean 'priority'\?$"):
        client.enqueue_many([{"task": "app:f", "proirity": 3}])
    assert bench.value("SELECT count(*) FROM farm.job") == 0
    assert client.enqueue_many([]) == []


def test_a_long_generator_goes_in_pieces_and_may_enqueue_itself(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 100)

    def jobs() -> Iterator[farm.NewJob]:
        for index in range(1050):
            if index == 500:
                client.enqueue("app:inner")
            yield {"task": "app:f", "args": [index]}

    ids = client.enqueue_many(jobs())
    assert len(set(ids)) == 1050
    assert [row[0] for row in bench.rows("SELECT args->0 FROM farm.job WHERE id = ANY(%s) ORDER BY id", ids)] == list(range(1050))
    assert bench.value("SELECT count(*) FROM farm.ready") == 1051


@pytest.mark.parametrize("own", [True, False])
def test_options_that_few_jobs_have_may_begin_in_any_chunk(
    client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 7)
    jobs: list[dict[str, Any]] = [{"task": "app:f", "args": [n]} for n in range(60)]
    for n in (17, 18, 30, 59):
        jobs[n] |= {"retry": n} if n % 2 else {"expires_s": n}
    client.enqueue_many(jobs, connection=None if own else bench.sql)
    query = """
        SELECT (j.args->>0)::int, j.retry_base_ms, extract(epoch FROM x.expires_at - j.created_at)::int, x.expires_at = j.expires_at
        FROM farm.job AS j LEFT JOIN farm.expiry AS x ON x.job_id = j.id ORDER BY j.id"""
    wanted = {17: (17_000, None, None), 18: (None, 18, True), 30: (None, 30, True), 59: (59_000, None, None)}
    assert bench.rows(query) == [(n, *wanted.get(n, (None, None, None))) for n in range(60)]
    assert bench.value("SELECT count(*) FROM farm.expiry") == 2


def test_a_generator_that_raises_leaves_nothing_behind(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 10)

    def jobs() -> Iterator[farm.NewJob]:
        for _ in range(25):
            yield {"task": "app:f"}
        raise ZeroDivisionError("no more")

    def reading() -> Iterator[farm.NewJob]:
        for n in range(25):
            bench.value("SELECT 1 / %s", 20 - n)
            yield {"task": "app:f"}

    for connection in (None, bench.sql):
        with pytest.raises(ZeroDivisionError, match="no more"):
            client.enqueue_many(jobs(), connection=connection)
        assert bench.value("SELECT count(*) FROM farm.job") == 0
        with pytest.raises(psycopg.errors.DivisionByZero):
            client.enqueue_many(reading(), connection=connection)
        assert bench.value("SELECT count(*) FROM farm.job") == 0
    assert len(client.enqueue_many([{"task": "app:f"}])) == 1


def test_in_the_callers_transaction_jobs_may_be_read_through_its_connection(
    client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 10)
    with psycopg.connect(bench.dsn) as own, own.cursor("numbers") as numbers:
        numbers.itersize = 7
        numbers.execute("SELECT n FROM generate_series(1, 95) AS n")
        client.enqueue_many(({"task": "app:f", "args": list(row)} for row in numbers), connection=own)
    assert bench.value("SELECT array_agg((args->>0)::int ORDER BY id) FROM farm.job") == list(range(1, 96))


def test_ids_that_others_took_meanwhile_are_not_ours() -> None:
    answers = {"allot_ids": (11, 15, 100), "allot_id_list": ([21, 23, 24], 100)}
    asked: list[str] = []

    def fetch(name: str, params: Any = None) -> tuple[Any, ...]:
        asked.append(name)
        return answers[name]

    assert list(enqueues._allot(3, fetch, fetch)) == [21, 23, 24]
    assert list(enqueues._allot(5, fetch, fetch)) == [11, 12, 13, 14, 15]
    assert asked == ["allot_ids", "allot_id_list", "allot_ids"]


def test_enqueues_at_the_same_time_share_no_id(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueues, "CHUNK_JOBS_MAX", 50)
    taken: list[list[int]] = []

    def enqueue() -> None:
        taken.append(client.enqueue_many({"task": "app:f", "delay_s": 60 * (n % 3)} for n in range(1000)))

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in taken)
    assert len({job_id for ids in taken for job_id in ids}) == 4000
    places = "(SELECT job_id FROM farm.ready UNION ALL SELECT job_id FROM farm.scheduled)"
    assert bench.value(f"SELECT count(*) FROM farm.job JOIN {places} AS p ON p.job_id = id") == 4000  # noqa: S608


def test_json_that_is_none_is_refused_by_postgresql(client: farm.Client, bench: Bench) -> None:
    args = [orjson.Fragment(b"[")]
    for enqueue in (
        lambda: client.enqueue("app:f", args),
        lambda: client.enqueue("app:f", args, connection=bench.sql),
        lambda: client.enqueue_many([{"task": "app:f"}, {"task": "app:f", "args": args}]),
        lambda: client.enqueue_many([{"task": "app:f", "args": args}], connection=bench.sql),
    ):
        with pytest.raises(farm.InvalidJob, match=r"^args: expected what PostgreSQL can store: invalid input syntax for type json$"):
            enqueue()
    assert bench.value("SELECT count(*) FROM farm.job") == 0


def test_a_stream_gives_its_ids_as_ranges(client: farm.Client) -> None:
    first = client.enqueue("app:f")
    assert client.enqueue_stream({"task": "app:f"} for _ in range(25_000)) == [range(first + 1, first + 25_001)]
    with pytest.raises(farm.InvalidJob, match=r"^line 3: priority: expected 0 to 9, got 11$"):
        client.enqueue_stream([{"task": "app:f"}] * 2 + [{"task": "app:f", "priority": 11}], where=lambda index: f"line {index + 1}: ")
    with pytest.raises(farm.InvalidJob, match=r"^jobs: expected an iterable of dicts, got int$"):
        client.enqueue_many(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("autocommit", [False, True])
def test_in_the_callers_transaction_jobs_live_and_die_with_it(client: farm.Client, bench: Bench, autocommit: bool) -> None:
    with psycopg.connect(bench.dsn, autocommit=autocommit, row_factory=dict_row) as own:
        with own.transaction(force_rollback=True):
            client.enqueue("app:f", connection=own)
            client.enqueue_many([{"task": "app:f", "queue": "new"}], connection=own)
            assert bench.value("SELECT count(*) FROM farm.job") == 0
        assert bench.value("SELECT count(*) FROM farm.job") == 0
        with own.transaction():
            first = client.enqueue("app:f", connection=own)
            rest = client.enqueue_many([{"task": "app:f", "queue": "new"}], connection=own)
    assert [row[0] for row in bench.rows("SELECT id FROM farm.job ORDER BY id")] == [first, *rest]


def test_a_bad_job_leaves_the_callers_transaction_usable(client: farm.Client, bench: Bench) -> None:
    with psycopg.connect(bench.dsn) as own:
        with pytest.raises(farm.InvalidJob):
            client.enqueue("app:f", priority=10, connection=own)
        with pytest.raises(farm.InvalidJob):
            client.enqueue_many([{"task": "app:f"}, {"task": ""}], connection=own)
        client.enqueue("app:f", connection=own)
    assert bench.value("SELECT count(*) FROM farm.job") == 1


def test_the_function_in_the_database_refuses_in_the_same_words(client: farm.Client, bench: Bench) -> None:
    for options in ("priority => 11", "queue => 'Mail'", "max_attempts => 0", "timeout_s => 0", "delay_s => -1", "delay_s => 'nan'"):
        name = options.split()[0]
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{name}: expected .*, got "):
            bench.sql.execute(f"SELECT farm.enqueue('app:f', {options})".encode())
    for options in (
        "run_at => 'infinity'",
        "run_at => '10000-01-01'",
        "run_at => now(), delay_s => 1",
        "args => '3'",
        "task => ''",
        "task => E'a:b\\x07'",
        "runner => 'A'",
    ):
        positional = "" if options.startswith("task") else "'app:f', "
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            bench.sql.execute(f"SELECT farm.enqueue({positional}{options})".encode())
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^runner: expected a name"):
        bench.sql.execute("SELECT farm.enqueue('echo')")
    assert bench.value("SELECT count(*) FROM farm.job") == 0


def test_ids_past_the_last_partition_get_one_first(client: farm.Client, bench: Bench) -> None:
    bench.sql.execute("SELECT setval('farm.job_id_seq', 20000000 - 5)")
    with pytest.raises(psycopg.errors.CheckViolation, match="has no partition"):
        bench.sql.execute("SELECT farm.enqueue('app:f') FROM generate_series(1, 10)")
    assert client.enqueue("app:f") > 20_000_000
    bench.sql.execute("SELECT setval('farm.job_id_seq', (SELECT max(upper_id) FROM farm.partition) - 5)")
    assert len(client.enqueue_many([{"task": "app:f"}] * 10)) == 10
    assert bench.value("SELECT count(*) FROM farm.ready") == 11


def test_threads_share_a_client(client: farm.Client, bench: Bench) -> None:
    def enqueue() -> None:
        for _ in range(20):
            client.enqueue("app:f", queue=f"q{threading.get_ident() % 7}")

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.value("SELECT count(DISTINCT id) FROM farm.job") == 80


def test_a_forked_child_opens_connections_of_its_own(client: farm.Client, bench: Bench) -> None:
    client.enqueue("app:f")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.enqueue("app:f")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    client.enqueue("app:f")
    assert bench.value("SELECT count(*) FROM farm.job") == 3


def test_the_database_is_the_one_named_or_that_of_the_environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_DSN", dsn)
    with farm.connect() as client:
        assert client.enqueue("app:f") == 1
    with farm.connect("host=/nonexistent dbname=x") as client, pytest.raises(farm.StoreUnavailable):
        client.enqueue("app:f")


def test_a_database_without_the_schema_says_what_to_do(empty_dsn: str) -> None:
    with farm.connect(empty_dsn) as client:
        with pytest.raises(farm.SchemaMismatch, match="farm migrate"):
            client.enqueue("app:f")
        with pytest.raises(farm.SchemaMismatch, match="farm migrate"):
            client.enqueue_many([{"task": "app:f"}])
