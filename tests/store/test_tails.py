"""A tail finds every end once, whatever the order of the commits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from farm.store.statements import compose
from farm.store.tails import ENDS_MAX, TailStore, Wanted
from tests.store.bench import Bench


@pytest.fixture
def end(bench: Bench) -> Callable[..., int]:
    """File a job and let it end, by a connection's own statements: its id. ago_s: so long before now."""

    def ended(connection: psycopg.Connection | None = None, *, status: int = 1, queue: str = "q", ago_s: float = 0.0) -> int:
        (job_id,) = bench.enqueue(queue=queue)
        (connection or bench.sql).execute(
            "INSERT INTO farm.result (job_id, status, attempt, finished_at, value, error) "
            "VALUES (%s, %s, 1, clock_timestamp() - %s, %s, %s)",
            [job_id, status, timedelta(seconds=ago_s), "[1]" if status == 1 else None, None if status == 1 else '{"type": "E"}'],
        )
        return job_id

    return ended


def tail(bench: Bench, **wanted: object) -> TailStore:
    store = TailStore(bench.session, Wanted(**wanted))  # type: ignore[arg-type]
    store.begin()
    return store


def found(store: TailStore) -> list[int]:
    return [end.id for end in store.look().ends]


def test_every_end_is_found_once_as_it_is_committed(bench: Bench, dsn: str, end: Callable[..., int]) -> None:
    end()
    store = tail(bench)
    assert found(store) == []
    first, second = end(ago_s=0.2), end()
    assert found(store) == [first, second]
    with psycopg.connect(dsn) as slow, psycopg.connect(dsn) as saved:
        late = end(slow, ago_s=3.0)
        with saved.transaction(), saved.transaction():
            in_savepoint = end(saved)
        between = end()
        assert found(store) == [in_savepoint, between]
        slow.commit()
        after = end()
        assert found(store) == [late, after]
    assert found(store) == []


def test_ends_are_picked_and_told(bench: Bench, end: Callable[..., int]) -> None:
    stores = [
        tail(bench),
        tail(bench, states=["failed"]),
        tail(bench, queues=["a", "b"]),
        tail(bench, task="tests:*"),
        tail(bench, host="x"),
    ]
    good, bad, other = end(queue="a"), end(queue="b", status=2), end(status=3)
    assert [found(store) for store in stores[1:]] == [[bad], [good, bad], [good, bad, other], []]
    ends = stores[0].look().ends
    assert [(told.state, told.queue, told.task, told.result, told.error_type) for told in ends] == [
        ("succeeded", "a", "tests:job", "[1]", None), ("failed", "b", "tests:job", None, "E"), ("cancelled", "q", "tests:job", None, "E"),
    ]  # fmt: skip


def test_a_tail_may_begin_in_the_past_and_leaves_out_what_is_too_much(bench: Bench, end: Callable[..., int]) -> None:
    end(ago_s=100.0)
    within = end(ago_s=30.0)
    store = TailStore(bench.session, Wanted())
    store.begin(60.0)
    assert found(store) == [within]
    assert found(store) == []
    job_id = bench.enqueue()[0]
    bench.sql.execute(
        "INSERT INTO farm.job (id, class_id, priority, task, args) "
        "SELECT 1000000 + n, class_id, 4, task, args FROM farm.job, generate_series(0, %s) AS n WHERE id = %s",
        [ENDS_MAX, job_id],
    )
    bench.sql.execute(
        "INSERT INTO farm.result (job_id, status, attempt, finished_at) SELECT id, 1, 1, now() FROM farm.job WHERE id >= 1000000"
    )
    look = store.look()
    assert (len(look.ends), look.more) == (ENDS_MAX, True)


def test_looks_go_by_the_index_on_time(bench: Bench, end: Callable[..., int]) -> None:
    end()
    store = tail(bench)
    assert store.tidy()
    statement = b"EXPLAIN " + compose("list_new_ends")
    params = {
        "seen": None,
        "oldest": None,
        "seen_at": None,
        "since": "2026-01-01",
        "statuses": None,
        "queues": None,
        "task": None,
        "host": None,
        "limit": 9,
    }
    with bench.sql.transaction():
        bench.sql.execute(compose("plan_by_time"))
        with psycopg.ClientCursor(bench.sql) as cursor:
            plan = "\n".join(row[0] for row in cursor.execute(statement, params).fetchall())
    assert "finished_at_idx" in plan
    assert "Seq Scan on result" not in plan
