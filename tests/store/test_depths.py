"""How deep the queues are: counted by whoever has the turn, read by all."""

from __future__ import annotations

from farm.model import QueueDepth
from farm.store.depths import DepthStore
from tests.store.bench import Bench


def test_one_counts_and_all_read_it(bench: Bench) -> None:
    store = DepthStore(bench.session)
    assert store.read().queues == ()
    assert store.read().age_s is None
    assert store.take_turn()
    assert not store.take_turn(), "one at a time"
    bench.enqueue(3, queue="b")
    bench.enqueue(10_003, queue="a")
    counted = store.count(5.0)
    assert counted is not None
    assert [(queue.queue, queue.ready, queue.more) for queue in counted] == [("a", 10_001, True), ("b", 3, False)]
    assert all(queue.oldest_s is not None and queue.oldest_s >= 0 for queue in counted)
    store.store(counted, 60.0)
    read = store.read()
    assert read.queues == tuple(counted)
    assert read.age_s is not None
    assert 0 <= read.age_s < 30
    assert 30 < read.due_s <= 60
    assert not store.take_turn()
    store.store([QueueDepth("b", 1, False, None)], 0.0)
    assert store.take_turn()


def test_a_count_is_broken_off_and_the_connection_stays_whole(bench: Bench) -> None:
    store = DepthStore(bench.session)
    pid = bench.session.run(lambda connection: connection.info.backend_pid)
    bench.sql.execute("BEGIN")
    bench.sql.execute("LOCK TABLE farm.ready")
    assert store.count(0.05) is None
    bench.sql.execute("ROLLBACK")
    assert store.count(5.0) == []
    assert bench.session.run(lambda connection: connection.info.backend_pid) == pid
