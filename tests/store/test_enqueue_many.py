"""farm.enqueue_many in SQL against farm.enqueue, what both refuse, and memory classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pytest

import farm
from farm.model import MEMORY_CLASS_BYTES, memory_class_mb
from farm.store.newjobs import validate
from farm.units import parse_retry, parse_size, parse_time
from tests.store.bench import Bench

STORED = """
    SELECT j.task, j.args, c.queue, c.runner, c.memory_mb, j.priority, j.max_attempts, j.timeout_ms, j.run_at > now(),
        CASE WHEN j.run_at BETWEEN j.created_at AND j.created_at + interval '1 day' THEN extract(epoch FROM j.run_at - j.created_at)
            ELSE extract(epoch FROM j.run_at) END, r.job_id IS NULL, s.run_at = j.run_at,
        j.retry_base_ms, j.retry_cap_ms, x.expires_at = j.expires_at,
        CASE WHEN j.expires_at BETWEEN j.created_at AND j.created_at + interval '1 day' THEN extract(epoch FROM j.expires_at - j.created_at)
            ELSE extract(epoch FROM j.expires_at) END
    FROM farm.job AS j JOIN farm.class AS c ON c.id = j.class_id
    LEFT JOIN farm.ready AS r ON (r.job_id, r.class_id, r.priority) = (j.id, j.class_id, j.priority)
    LEFT JOIN farm.scheduled AS s ON (s.job_id, s.class_id, s.priority) = (j.id, j.class_id, j.priority)
    LEFT JOIN farm.expiry AS x ON x.job_id = j.id
    ORDER BY j.id"""

JOBS: list[dict[str, Any]] = [
    {"task": "app:f"},
    {"task": "app:f", "args": {"to": "ada \u2713\\", "n": [1, 2.5, None, True]}, "queue": "mail", "priority": 0},
    {"task": "SELECT 1", "args": [1, "two"], "runner": "sql", "max_attempts": 7, "timeout_s": 0.0015, "memory": "512MB"},
    {"task": "app:f", "delay_s": 3600.5, "memory": 300_000_000},
    {"task": "app:f", "delay_s": 0, "args": None, "priority": None, "runner": None, "memory": None},
    {"task": "app:f", "run_at": "2001-01-01T00:00:00.5Z"},
    {"task": "app:f", "run_at": "2100-05-06 07:08+05:30", "priority": 9},
    {"task": "app:f", "retry": "1.5s to 10m", "expires_s": 60.25},
    {"task": "app:f", "retry": 5, "delay_s": 10, "expires_s": 10.001},
    {"task": "app:f", "retry": "0s", "run_at": "2100-05-06T07:08Z", "expires_at": "2100-05-06T07:08:00.000001Z"},
    {"task": "app:f", "retry": ".1ms", "expires_at": "2001-01-01T00:00Z"},
    {"task": "app:f", "retry": None, "expires_s": None, "expires_at": None},
    *({"task": "app:f", "args": [n], "queue": f"q{n % 7}", "priority": n % 3} for n in range(500)),
]


def enqueue_many(bench: Bench, jobs: object) -> list[int]:
    ids: list[int] = bench.value("SELECT farm.enqueue_many(%s::jsonb)", json.dumps(jobs, default=str))
    return ids


def test_many_in_sql_are_what_each_would_be(bench: Bench) -> None:
    """Equal rows in every table, ids in the order of the elements, and the client makes the same, by COPY and one by one."""
    one_by_one = []
    for job in JOBS:
        given = {"args": [], **{key: value for key, value in job.items() if value is not None}}
        named = ", ".join(f"{option} => %({option})s" for option in given)
        params = {**given, "args": json.dumps(given["args"])} | {key: str(given[key]) for key in ("memory", "retry") if key in given}
        one_by_one.append(bench.sql.execute(f"SELECT farm.enqueue({named})".encode(), params).fetchall()[0][0])
    stored = bench.rows(STORED)
    assert [row[12:] for row in stored[6:12]] == [
        (None, None, None, None),
        (1500, 600_000, True, Decimal("60.25")),
        (5000, None, True, Decimal("10.001")),
        (0, None, True, Decimal("4113270480.000001")),
        (1, None, True, 978_307_200),
        (None, None, None, None),
    ]
    bench.sql.execute("TRUNCATE farm.job, farm.ready, farm.scheduled, farm.expiry")
    ids = enqueue_many(bench, JOBS)
    assert ids == [job_id + len(JOBS) for job_id in one_by_one]
    assert bench.rows(STORED) == stored
    assert [row[0] for row in bench.rows("SELECT id FROM farm.job ORDER BY id")] == ids
    jobs: list[dict[str, Any]] = [
        {key: parse_time(value) if key in ("run_at", "expires_at") and value else value for key, value in job.items()} for job in JOBS
    ]
    with farm.connect(bench.dsn) as client:
        ways: tuple[Callable[[], object], ...] = (
            lambda: client.enqueue_many(jobs),
            lambda: client.enqueue_many(jobs, connection=bench.sql),
            lambda: [client.enqueue(**job) for job in jobs],
        )
        for enqueue_all in ways:
            bench.sql.execute("TRUNCATE farm.job, farm.ready, farm.scheduled, farm.expiry")
            enqueue_all()
            assert bench.rows(STORED) == stored


def test_nothing_at_all_is_fine(bench: Bench) -> None:
    assert enqueue_many(bench, []) == []


def test_lanes_that_sleep_are_woken_once_for_each_class_and_priority(bench: Bench) -> None:
    host = bench.host()
    bench.sql.execute("INSERT INTO farm.idle (shard, host_id, lane, classes) VALUES (0, %s, 'default', NULL)", [host])
    with psycopg.connect(bench.dsn, autocommit=True) as listening:
        listening.execute("LISTEN farm_wake")
        enqueue_many(bench, [{"task": "app:f", "priority": n % 2} for n in range(100)] + [{"task": "app:f", "delay_s": 5}] * 3)
        heard = sorted(note.payload for note in listening.notifies(timeout=0.5))
    class_id = bench.class_id()
    assert heard == [f"{class_id}:0", f"{class_id}:1", "classes", "later"]


REFUSED: list[tuple[object, str]] = [
    ({"task": "app:f"}, "jobs: expected an array of objects, got object"),
    (None, "jobs: expected an array of objects, got null"),
    ([3], "jobs[0]: expected an object, got 3"),
    (["app:f"], 'jobs[0]: expected an object, got "app:f"'),
    (
        [{"task": "app:f"}, {"task": "app:f", "proirity": 1}],
        "jobs[1].proirity: no such option, expected args, delay_s, expires_at, expires_s, max_attempts",
    ),
    ([{"task": "app:f", "tags": ["a"]}], "jobs[0].tags: no such option"),
    ([{}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got null"),
    ([{"task": 3}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got 3"),
    ([{"task": ""}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got ''"),
    ([{"task": "a:b\x07"}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got '"),
    ([{"task": "a:b\u009b"}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got '"),
    ([{"task": "a:b\u202e"}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got '"),
    ([{"task": "x" * 2000}], "jobs[0].task: expected 1 to 1024 bytes without control characters, got 'xxx"),
    ([{"task": "echo"}], "jobs[0].runner: expected a name, since the task does not look like module:function, got null"),
    ([{"task": "app:f"}] * 3 + [{"task": "app:f", "priority": 11}], "jobs[3].priority: expected 0 to 9, got 11"),
    ([{"task": "app:f", "priority": "high"}], 'jobs[0].priority: expected 0 to 9, got "high"'),
    ([{"task": "app:f", "priority": True}], "jobs[0].priority: expected 0 to 9, got true"),
    ([{"task": "app:f", "priority": 1.5}], "jobs[0].priority: expected 0 to 9, got 1.5"),
    ([{"task": "app:f", "priority": 10**30}], "jobs[0].priority: expected 0 to 9, got 1000"),
    ([{"task": "app:f", "max_attempts": 0}], "jobs[0].max_attempts: expected 1 to 10000, got 0"),
    ([{"task": "app:f", "max_attempts": [1]}], "jobs[0].max_attempts: expected 1 to 10000, got [1]"),
    ([{"task": "app:f", "timeout_s": 0}], "jobs[0].timeout_s: expected 0.001 to 2000000 seconds, got 0"),
    ([{"task": "app:f", "delay_s": -1}], "jobs[0].delay_s: expected 0 to 3155760000 seconds, got -1"),
    ([{"task": "app:f", "delay_s": "5m"}], 'jobs[0].delay_s: expected 0 to 3155760000 seconds, got "5m"'),
    ([{"task": "app:f", "queue": "Mail"}], "jobs[0].queue: expected a name like [a-z0-9][a-z0-9_.:-]{0,62}, got 'Mail'"),
    ([{"task": "app:f", "queue": "m\u0430il"}], "jobs[0].queue: expected a name like"),
    ([{"task": "app:f", "queue": "x'; drop table farm.job;--"}], "jobs[0].queue: expected a name like"),
    ([{"task": "app:f", "queue": None}], "jobs[0].queue: expected a name like [a-z0-9][a-z0-9_.:-]{0,62}, got null"),
    ([{"task": "app:f", "runner": ""}], "jobs[0].runner: expected a name like"),
    (
        [{"task": "app:f", "run_at": "infinity"}],
        'jobs[0].run_at: expected a time with an offset, in the years 2000 to 2199, got "infinity"',
    ),
    ([{"task": "app:f", "run_at": "2100-01-01T00:00"}], "jobs[0].run_at: expected a time with an offset"),
    ([{"task": "app:f", "run_at": "2100-02-30T00:00Z"}], "jobs[0].run_at: expected a time with an offset"),
    ([{"task": "app:f", "run_at": "9999-12-31T00:00Z"}], "jobs[0].run_at: expected a time with an offset"),
    ([{"task": "app:f", "run_at": 3}], "jobs[0].run_at: expected a time with an offset"),
    (
        [{"task": "app:f", "run_at": "2100-01-01T00:00Z", "delay_s": 1}],
        "jobs[0].run_at: expected nothing, since delay_s is given, got 2100",
    ),
    ([{"task": "app:f", "memory": "much"}], "jobs[0].memory: expected a size such as 512MB or 2GB, at most 1TiB, got 'much'"),
    ([{"task": "app:f", "memory": 0}], "jobs[0].memory: expected a size such as 512MB"),
    ([{"task": "app:f", "memory": "2TB"}], "jobs[0].memory: expected a size such as 512MB"),
    (
        [{"task": "app:f", "retry": "1s to"}],
        "jobs[0].retry: expected a delay such as 10s, or one that grows such as 1s to 10m, at most 20d",
    ),
    ([{"task": "app:f", "retry": ["1s"]}], "jobs[0].retry: expected a delay such as 10s, or one that grows such as 1s to 10m, at most 20d"),
    ([{"task": "app:f", "expires_s": "5m"}], 'jobs[0].expires_s: expected 0.001 to 3155760000 seconds, got "5m"'),
    (
        [{"task": "app:f", "expires_at": "infinity"}],
        'jobs[0].expires_at: expected a time with an offset, in the years 2000 to 2199, got "infinity"',
    ),
    ([{"task": "app:f", "expires_at": "9999-12-31T00:00Z"}], "jobs[0].expires_at: expected a time with an offset"),
    (
        [{"task": "app:f", "expires_at": "2100-01-01T00:00Z", "expires_s": 1}],
        "jobs[0].expires_at: expected nothing, since expires_s is given, got 2100",
    ),
    ([{"task": "app:f", "args": "text"}], 'jobs[0].args: expected an object or an array, got "text"'),
    ([{"task": "app:f", "args": ["x" * (1 << 20)]}], "jobs[0].args: expected at most 1048576 bytes of JSON, got 1048580"),
    ([{"task": "app:f", "args": json.loads("[" * 201 + "]" * 201)}], "jobs[0].args: expected at most 200 levels of nesting, got more"),
    ([{"task": "app:f", "args": [10**400]}], "jobs[0].args: expected numbers that fit into 64 bits"),
]


def test_what_cannot_be_a_job_is_refused_with_the_element_named(bench: Bench) -> None:
    for jobs, message in REFUSED:
        with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
            enqueue_many(bench, jobs)
        shown = refused.value.diag.message_primary or ""
        assert shown.startswith(message)
        assert "\n" not in shown
    assert bench.value("SELECT count(*) FROM farm.job") == 0


def test_both_functions_and_the_client_refuse_alike(bench: Bench) -> None:
    """Where the value can be given to all three, the words before what was got are the same."""
    past = parse_time("2001-01-01T00:00Z")
    refused: tuple[dict[str, Any], ...] = (
        {"priority": 11},
        {"max_attempts": 0},
        {"queue": "Mail"},
        {"runner": "A"},
        {"timeout_s": 0.0},
        {"delay_s": -1.0},
        {"memory": "3XB"},
        {"retry": "10m to 1s"},
        {"expires_s": 0.0},
        {"expires_s": 5.0, "expires_at": past},
        {"delay_s": 5.0, "expires_s": 5.0},
        {"run_at": past, "expires_at": past},
        {"delay_s": 0.0, "expires_at": past},
        {"run_at": parse_time("2100-01-01T00:00Z"), "expires_s": 5.0},
    )
    with farm.connect(bench.dsn) as client:
        for options in refused:
            named = ", ".join(f"{option} => %({option})s" for option in options)
            with pytest.raises(farm.InvalidJob) as by_client:
                client.enqueue("app:f", **options)
            with pytest.raises(farm.InvalidJob) as by_copy:
                client.enqueue_many([{"task": "app:f", **options}])
            with pytest.raises(psycopg.errors.InvalidParameterValue) as by_one:
                bench.sql.execute(f"SELECT farm.enqueue('app:f', {named})".encode(), options)
            with pytest.raises(psycopg.errors.InvalidParameterValue) as by_many:
                enqueue_many(bench, [{"task": "app:f", **options}])
            expected = words(by_client.value)
            assert words(by_one.value) == expected
            assert words(by_copy.value) == words(by_many.value) == f"jobs[0].{expected}"
    assert bench.value("SELECT count(*) FROM farm.job") == 0


def words(error: Exception) -> str:
    """Return a refusal up to what was got."""
    return str(error).split(", got ")[0]


def test_retry_policies_are_the_same_everywhere(bench: Bench) -> None:
    texts = ["0s", "10s", "10", "1.5", ".5s", "250 ms", "0.0004ms", "7us", "20d", "1s to 10m", " 1 to 2h\t", "1s  to  1s", "0.1ms to 0.2ms"]
    for text in texts:
        base_s, cap_s = parse_retry(text)
        policy = validate({"task": "app:f", "retry": text}).retry_ms
        assert bench.value("SELECT farm.retry_policy(%s)", text) == list(policy or ())
        assert policy is not None
        assert policy[0] == pytest.approx(base_s * 1000, abs=1)
        assert policy[1] == (None if cap_s is None else pytest.approx(cap_s * 1000, abs=1))
    for text in (
        "",
        "s",
        "soon",
        "1s to",
        "1sto 2s",
        "10m to 1s",
        "0s to 1s",
        "21d",
        "1s to 21d",
        "-1s",
        "1s TO 2s",
        "1s to 2s to 3s",
        "NaN",
    ):
        assert bench.value("SELECT farm.retry_policy(%s)", text) is None
        with pytest.raises(ValueError, match=r"^expected a delay such as"):
            parse_retry(text)


def test_what_looks_dangerous_and_is_not_is_taken(bench: Bench) -> None:
    deepest = json.loads("[" * 200 + "]" * 200)
    enqueue_many(bench, [{"task": "app:f", "args": args} for args in list[Any]((deepest, [[[]] * 300], [10**307], {"a": "9" * 400}))])
    assert bench.value("SELECT count(*) FROM farm.ready") == 4


def test_memory_classes_are_the_same_everywhere(bench: Bench) -> None:
    """A size is rounded up to its class; a lane of a size that is a class serves that class."""
    sizes = ["1", "1MB", "256MB", "256MiB", "257 MB", ".3GB", "512MB", "512MiB", "1GB", "1GiB", "1.5GB", "64GB", "1TB", "1TiB", "999kB"]
    sizes += [str(size + more) for size in MEMORY_CLASS_BYTES for more in (-1, 0, 1)][:-1]
    for size in sizes:
        mb = memory_class_mb(parse_size(size))
        assert bench.value("SELECT farm.memory_class(%s)", size) == mb
        assert mb * 1_000_000 >= parse_size(size) - 1_000_000
    assert [memory_class_mb(size) for size in MEMORY_CLASS_BYTES] == [size // 1_000_000 for size in MEMORY_CLASS_BYTES]
    for size in ("", "0", "2TiB", "-1", "1M", "NaN", "1 0MB", "1099511627777"):
        assert bench.value("SELECT farm.memory_class(%s)", size) is None
        with pytest.raises(farm.InvalidJob, match=r"^memory: expected a size such as"):
            validate({"task": "app:f", "memory": size})
    with farm.connect(bench.dsn) as client:
        client.enqueue("app:f", memory="300MB")
        client.enqueue_many([{"task": "app:f", "memory": "300MB"}])
    assert bench.rows("SELECT memory_mb FROM farm.class") == [(512,)]


def test_ids_past_the_last_partition_are_refused_with_the_way_out(bench: Bench) -> None:
    bench.sql.execute("SELECT setval('farm.job_id_seq', (SELECT max(upper_id) FROM farm.partition) - 2)")
    with pytest.raises(psycopg.errors.CheckViolation, match="has no partition"):
        enqueue_many(bench, [{"task": "app:f"}] * 5)
    assert bench.value("SELECT count(*) FROM farm.ready") == 0
