"""Waiting for the ends of jobs: who is told, what is returned or raised, and what is left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

import farm
import farm.waits
from farm.model import Claim, OutcomeKind
from tests.servers import Server
from tests.store.bench import Bench, outcome, outcomes
from tests.store.test_wakeups import Ear

PATIENCE_S = 30.0


@pytest.fixture
def client(bench: Bench) -> Iterator[farm.Client]:
    bench.commits.tells = True
    with farm.connect(bench.dsn) as connected:
        yield connected


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.002)


def waiting(bench: Bench) -> int:
    return int(bench.value("SELECT count(*) FROM farm.waiter"))


def claimed(bench: Bench, jobs: int = 1, **options: object) -> Claim:
    bench.enqueue(jobs, **options)
    return bench.claim(bench.host(), jobs)


@contextmanager
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, whoever waits is told or learns nothing."""
    with monkeypatch.context() as patched:
        patched.setattr(farm.waits, "POLL_S_MIN", 3600.0)
        patched.setattr(farm.waits, "POLL_S", 3600.0)
        yield


def test_whoever_waits_is_told_with_the_commit(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(bench)
    with nobody_looks(monkeypatch), ThreadPoolExecutor(1) as pool:
        value = pool.submit(client.wait, claim.job_ids[0], PATIENCE_S)
        wait_for(lambda: waiting(bench), "a waiter")
        bench.commit(outcomes(claim))
        assert value.result(PATIENCE_S) == {"n": 1}
    assert waiting(bench) == 0


def test_whoever_waits_looks_all_the_same(client: farm.Client, bench: Bench) -> None:
    """A reap, and a writer that does not know yet that somebody waits, tell nobody."""
    bench.commits.tells = False
    claim = claimed(bench)
    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(client.wait, claim.job_ids[0], PATIENCE_S)
        wait_for(lambda: waiting(bench), "a waiter")
        bench.commit(outcomes(claim))
        assert value.result(PATIENCE_S) == {"n": 1}
        wait_for(lambda: not waiting(bench), "nobody to wait any more")


def test_a_job_that_has_ended_is_not_waited_for(client: farm.Client, bench: Bench) -> None:
    claim = claimed(bench, 3)
    values = [b"null", b'[1, "\\u2713", 2.5]', b"true"]
    bench.commit([outcome(claim, position, payload=payload) for position, payload in enumerate(values)])
    assert [client.wait(job_id) for job_id in claim.job_ids] == [None, [1, "\u2713", 2.5], True]
    assert waiting(bench) == 0


def test_a_job_that_failed_says_why(client: farm.Client, bench: Bench) -> None:
    claim = claimed(bench, max_attempts=1)
    payload = b'{"type": "ValueError", "message": "no such file", "traceback": "Traceback ..."}'
    bench.commit([outcome(claim, 0, OutcomeKind.FAILED, payload)])
    with pytest.raises(farm.JobFailed, match=f"^job {claim.job_ids[0]} failed after 1 attempt: ValueError: no such file$") as caught:
        client.wait(claim.job_ids[0])
    error = caught.value
    assert (error.type, error.message, error.traceback, error.attempts) == ("ValueError", "no such file", "Traceback ...", 1)


def test_a_failed_attempt_is_not_the_end(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(bench, max_attempts=2)
    with nobody_looks(monkeypatch), ThreadPoolExecutor(1) as pool:
        value = pool.submit(client.wait, claim.job_ids[0], PATIENCE_S)
        wait_for(lambda: waiting(bench), "a waiter")
        bench.commit(outcomes(claim, OutcomeKind.FAILED))
        assert waiting(bench) == 1
        bench.commit(outcomes(bench.claim(bench.host()), OutcomeKind.FAILED))
        with pytest.raises(farm.JobFailed, match="after 2 attempts"):
            value.result(PATIENCE_S)


def test_a_cancelled_job_and_one_that_does_not_exist(client: farm.Client, bench: Bench) -> None:
    (job_id,) = bench.enqueue()
    bench.sql.execute("INSERT INTO farm.result (job_id, finished_at, status, attempt) VALUES (%s, now(), 3, 0)", [job_id])
    with pytest.raises(farm.JobCancelled, match=f"job {job_id} was cancelled after 0 attempts: Unknown: no reason was given"):
        client.wait(job_id)
    nobodys: Any
    for nobodys in (job_id + 1, 1 << 62, 0, -1, 1 << 63, True, "1", None):
        with pytest.raises(farm.NoSuchJob, match=f"there is no job {nobodys!r}"):
            client.wait(nobodys)


def test_the_time_is_up(client: farm.Client, bench: Bench) -> None:
    (job_id,) = bench.enqueue()
    with pytest.raises(farm.WaitTimeout, match=f"job {job_id} has not ended within 0.01 s") as caught:
        client.wait(job_id, 0.01)
    assert isinstance(caught.value, TimeoutError)
    wait_for(lambda: not waiting(bench), "nobody to wait any more")


def test_many_who_wait_share_one_connection(client: farm.Client, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(bench, 400)
    with nobody_looks(monkeypatch), ThreadPoolExecutor(50) as pool:
        futures = [client.waits().begin(job_id) for job_id in claim.job_ids]
        values = [pool.submit(client.wait, job_id, PATIENCE_S) for job_id in claim.job_ids[:50]]
        wait_for(lambda: waiting(bench) == 400, "all to be registered")
        connections = bench.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ 'waiter|read_ends'")
        assert connections <= 2, "one of them is this one"
        bench.commit(outcomes(claim))
        assert [future.result(PATIENCE_S) for future in futures] == [{"n": 1}] * 400
        assert [value.result(PATIENCE_S) for value in values] == [{"n": 1}] * 50
    assert waiting(bench) == 0


def test_writers_hear_that_somebody_waits_and_so_does_every_heartbeat(client: farm.Client, bench: Bench) -> None:
    ear = Ear(bench.dsn)
    host = bench.host()
    (one, two) = bench.enqueue(2)
    ear.heard()
    answer = bench.hosts.beat(host, [], [])
    assert answer is not None
    assert not answer.waiters
    futures = [client.waits().begin(one)]
    wait_for(lambda: waiting(bench) == 1, "a waiter")
    assert ear.heard() == ["waiters"]
    futures.append(client.waits().begin(two))
    wait_for(lambda: waiting(bench) == 2, "another")
    assert ear.heard() == [], "they know it for a while"
    answer = bench.hosts.beat(host, [], [])
    assert answer is not None
    assert answer.waiters
    ear.close()


def test_who_waits_outlives_a_restart_of_the_server(client: farm.Client, bench: Bench, server: Server) -> None:
    claim = claimed(bench)
    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(client.wait, claim.job_ids[0], PATIENCE_S)
        wait_for(lambda: waiting(bench), "a waiter")
        server.restart("immediate")
        bench.sql.close()
        bench.sql = psycopg.connect(bench.dsn, autocommit=True)
        wait_for(lambda: waiting(bench), "it to register anew")
        bench.session.close()
        bench.commit(outcomes(claim))
        assert value.result(PATIENCE_S) == {"n": 1}


def test_a_database_that_is_away_for_good_ends_the_waiting(
    client: farm.Client, bench: Bench, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farm.waits, "AWAY_S_MAX", 0.2)
    (job_id,) = bench.enqueue()
    server.stop("immediate")
    with pytest.raises(farm.StoreUnavailable):
        client.wait(job_id, PATIENCE_S)


def test_closing_the_client_ends_the_waiting(client: farm.Client, bench: Bench) -> None:
    (job_id,) = bench.enqueue()
    future = client.waits().begin(job_id)
    wait_for(lambda: waiting(bench), "a waiter")
    client.close()
    with pytest.raises(farm.StoreError, match="the client was closed"):
        future.result(PATIENCE_S)
    assert waiting(bench) == 0
    client.close()


def test_behind_a_pooler_nobody_listens_and_results_are_found_all_the_same(bench: Bench) -> None:
    claim = claimed(bench)
    with farm.connect(bench.dsn, pooled=True) as client, ThreadPoolExecutor(1) as pool:
        value = pool.submit(client.wait, claim.job_ids[0], PATIENCE_S)
        bench.commit(outcomes(claim))
        assert value.result(PATIENCE_S) == {"n": 1}
        assert waiting(bench) == 0
        with pytest.raises(farm.WaitTimeout):
            client.wait(bench.enqueue()[0], 0.01)


def test_those_who_waited_and_are_gone_are_forgotten(client: farm.Client, bench: Bench) -> None:
    one, two = bench.enqueue(2)
    future = client.waits().begin(one)
    wait_for(lambda: waiting(bench), "a waiter")
    with psycopg.connect(bench.dsn) as gone:
        gone.execute("INSERT INTO farm.waiter (job_id, pid) VALUES (%s, pg_backend_pid())", [two])

    def pruned() -> bool:
        bench.upkeep.prune_waiters()
        return waiting(bench) == 1

    wait_for(pruned, "the dead one to be forgotten")
    client.waits().end(one, future)
    wait_for(lambda: not waiting(bench), "nobody to wait any more")


def test_a_row_of_one_who_waits_does_not_hold_up_a_commit(client: farm.Client, bench: Bench) -> None:
    claim = claimed(bench)
    future = client.waits().begin(claim.job_ids[0])
    wait_for(lambda: waiting(bench), "a waiter")
    with psycopg.connect(bench.dsn) as other:
        other.execute("SELECT FROM farm.waiter FOR UPDATE")
        bench.commit(outcomes(claim))
        assert future.result(PATIENCE_S) == {"n": 1}


def test_asyncio_programs_use_the_same_client(bench: Bench) -> None:
    bench.commits.tells = True

    async def program() -> None:
        async with farm.aconnect(bench.dsn) as client:
            job_id = await client.enqueue("app:f", {"x": 1}, priority=2)
            job_ids = await client.enqueue_many({"task": "app:f", "priority": 2} for _ in range(3))
            assert bench.value("SELECT count(*) FROM farm.ready WHERE priority = 2") == 4
            before = threading.active_count()
            waits = [asyncio.create_task(client.wait(one)) for one in (job_id, *job_ids)]
            while waiting(bench) < 4:
                await asyncio.sleep(0.002)
            assert threading.active_count() <= before + 1, "waits need no threads of their own"
            claim = bench.claim(bench.host(), priority=2)
            bench.commit(outcomes(claim))
            assert await asyncio.gather(*waits) == [{"n": 1}] * 4
            with pytest.raises(farm.InvalidJob, match="priority: expected 0 to 9, got 11"):
                await client.enqueue("app:f", priority=11)
            with pytest.raises(farm.NoSuchJob):
                await client.wait(1 << 40)

    asyncio.run(program())
    assert waiting(bench) == 0


def test_a_cancelled_wait_and_one_whose_time_is_up_leave_nothing_behind(bench: Bench) -> None:
    async def program() -> None:
        async with farm.aconnect(bench.dsn) as client:
            job_id = await client.enqueue("app:f")
            wait = asyncio.create_task(client.wait(job_id))
            while not waiting(bench):
                await asyncio.sleep(0.002)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            while waiting(bench):
                await asyncio.sleep(0.002)
            with pytest.raises(farm.WaitTimeout, match=r"has not ended within 0\.01 s"):
                await client.wait(job_id, timeout_s=0.01)
            while waiting(bench):
                await asyncio.sleep(0.002)
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.01):
                    await client.wait(job_id, timeout_s=PATIENCE_S)
            assert not isinstance(caught.value, farm.WaitTimeout), "the caller's own limit"

    asyncio.run(program())


def test_an_asyncio_client_that_cannot_be_made_says_so() -> None:
    async def program() -> None:
        async with farm.aconnect("no dsn"):
            raise AssertionError

    with pytest.raises(farm.StoreError, match="the DSN cannot be read"):
        asyncio.run(program())
