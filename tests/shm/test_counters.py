"""Counters of commits in shared memory."""

from __future__ import annotations

from pathlib import Path

from farm.shm.counters import Counts, load_counts, store_counts
from farm.shm.generation import RingFile
from farm.shm.ring import RingConsumer, RingProducer


def test_another_process_reads_what_was_counted(tmp_path: Path) -> None:
    """Counters are read through another mapping of the file, and leave its ring and its other words alone."""
    file = RingFile.create(tmp_path / "ack", host_id=7, capacity=4096)
    producer = RingProducer(file.ring)
    assert producer.put([b"ack"]) == 1
    counts = Counts(commits=1, written=2, duplicate=3, stale=4, already=5, unknown=6, failures=7)
    store_counts(file, counts)
    other = RingFile.open(tmp_path / "ack")
    consumer = RingConsumer(other.ring)
    assert load_counts(other) == counts
    assert (other.host_id, [frame[3] for frame in consumer.take(9)]) == (7, [b"ack"])
    for ring in (producer, consumer):
        ring.close()
    file.close()
    other.close()
