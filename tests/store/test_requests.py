"""What is asked of farms on other hosts: told at once, answered once, taken back, forgotten."""

from __future__ import annotations

import json

import psycopg
import pytest

from farm.errors import FarmError
from farm.store.requests import RequestStore
from tests.store.bench import Bench
from tests.store.test_plans import explain


@pytest.fixture
def store(bench: Bench) -> RequestStore:
    return RequestStore(bench.session)


def is_asked(bench: Bench, host: int) -> bool:
    answer = bench.hosts.beat(host, [], [])
    assert answer is not None
    return answer.requests


def test_hosts_are_asked_and_each_answers_once(bench: Bench, store: RequestStore) -> None:
    one, two, three = (bench.host(name) for name in ("one", "two", "three"))
    bench.hosts.retire(three, None)
    bench.hosts.beat(two, [5, 6], [1.0, 2.0])
    known = store.hosts()
    assert [(host.id, host.name, host.instance, host.live, host.running) for host in known] == [
        (one, "one", "default", True, 0),
        (two, "two", "default", True, 2),
        (three, "three", "default", False, 0),
    ]
    assert all(host.beat_age_s >= 0 for host in known)
    bench.sql.execute("LISTEN farm_wake")
    asked = store.make([one, two], "pause", {"lanes": ["fast"]}, made_by="ada on desk")
    assert set(asked.values()) == {one, two}
    assert [notify.payload for notify in bench.sql.notifies(timeout=5, stop_after=1)] == ["request"]
    assert is_asked(bench, one)
    (request,) = store.unanswered(one, 10)
    assert (asked[request.id], request.kind, request.arguments) == (one, "pause", {"lanes": ["fast"]})
    assert request.made_by.startswith("ada on desk as ")
    store.answer(request.id, {"ok": True, "said": ["lane fast is paused"]})
    store.answer(request.id, {"error": "answered twice"})
    assert not is_asked(bench, one)
    assert store.unanswered(one, 10) == []
    assert is_asked(bench, two)
    assert store.answers(list(asked)) == {request.id: {"ok": True, "said": ["lane fast is paused"]}}
    (other,) = store.withdraw(list(asked))
    assert asked[other] == two
    assert not is_asked(bench, two)
    store.answer(other, {"ok": True})
    assert store.answers([other]) == {}


def test_the_oldest_requests_are_read_first_and_no_more_than_were_asked_for(bench: Bench, store: RequestStore) -> None:
    host = bench.host()
    first = [request_id for _ in range(5) for request_id in store.make([host], "resume", {}, made_by="x")]
    assert [request.id for request in store.unanswered(host, 3)] == sorted(first)[:3]


def test_what_is_too_much_to_ask_is_refused(bench: Bench, store: RequestStore) -> None:
    host = bench.host()
    for kind, arguments in (("x" * 21, {}), ("pause", {"lanes": ["x" * 20_000]}), ("pause", {"lanes": ["\0"]})):
        with pytest.raises(FarmError, match="that cannot be asked"):
            store.make([host], kind, arguments, made_by="x")
    assert store.make([host], "pause", {}, made_by="y" * 500)
    with pytest.raises(psycopg.errors.CheckViolation):
        bench.sql.execute("INSERT INTO farm.host_request (host_id, kind) VALUES (1, repeat('x', 21))")


def test_an_answer_that_cannot_be_stored_is_replaced(bench: Bench, store: RequestStore) -> None:
    (request_id,) = store.make([bench.host()], "reload", {}, made_by="x")
    store.answer(request_id, {"error": "no such file: a\0b"})
    assert list(store.answers([request_id])[request_id]) == ["error"]


def test_requests_are_forgotten_after_an_hour(bench: Bench, store: RequestStore) -> None:
    host = bench.host()
    (old, young) = (next(iter(store.make([host], "resume", {}, made_by="x"))) for _ in range(2))
    bench.sql.execute("UPDATE farm.host_request SET made_at = made_at - interval '61 minutes' WHERE id = %s", [old])
    bench.upkeep.prune_requests()
    assert [request.id for request in store.unanswered(host, 10)] == [young]


def test_heartbeats_look_at_an_index_even_when_many_have_asked(bench: Bench, store: RequestStore) -> None:
    bench.sql.execute("""
        INSERT INTO farm.host_request (host_id, kind, arguments, answered_at)
        SELECT mod(n, 7), 'pause', '{"lanes": ["fast"]}', CASE WHEN mod(n, 100) > 0 THEN now() END FROM generate_series(1, 5000) AS n""")
    bench.sql.execute("ANALYZE farm.host_request")
    found = explain(bench, "list_requests", {"host_id": 3, "limit": 50})
    assert found.scans("host_request") == {"host_request_unanswered"}
    beat = explain(bench, "beat", {"host_id": 3, "running": "{}", "ages_s": [], "lanes": None, "paused_queues": None})
    assert beat.scans("host_request") == {"host_request_unanswered"}, json.dumps([node["Node Type"] for node in beat.nodes])
