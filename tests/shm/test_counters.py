"""What commits came to, in shared memory."""

from __future__ import annotations

from pathlib import Path

from farm.shm.counters import NO_COMMITS, Commits, Counts, Standing, load_commits, load_counts, store_commits
from farm.shm.generation import RingFile
from farm.shm.ring import RingConsumer, RingProducer
from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread

COUNTS = Counts(commits=1, written=2, duplicate=3, stale=4, already=5, unknown=6, failures=7)


def test_another_process_reads_what_was_counted(tmp_path: Path) -> None:
    """Numbers are read through another mapping of the file, and leave its ring and its other words alone."""
    file = RingFile.create(tmp_path / "ack", host_id=7, capacity=4096)
    producer = RingProducer(file.ring)
    assert producer.put([b"ack"]) == 1
    times, sizes = Spread(TIME_BOUNDS_S), Spread(SIZE_BOUNDS)
    for seconds, size in ((0.003, 4000), (0.5, 1), (1000.0, 20_000)):
        times.note(seconds)
        sizes.note(size)
    store_commits(file, Commits(COUNTS, Standing(8, 9, 10), times, sizes))
    other = RingFile.open(tmp_path / "ack")
    consumer = RingConsumer(other.ring)
    read = load_commits(other)
    assert (read.counts, read.standing, load_counts(other)) == (COUNTS, Standing(8, 9, 10), COUNTS)
    assert (read.times.counts, read.times.total) == (times.counts, 1000.503)
    assert (read.sizes.counts, read.sizes.total) == (sizes.counts, 24_001)
    assert (other.host_id, [frame[3] for frame in consumer.take(9)]) == (7, [b"ack"])
    for ring in (producer, consumer):
        ring.close()
    file.close()
    other.close()


def test_a_successor_goes_on_where_a_writer_was() -> None:
    """Counts of both are added; who stands there is the successor."""
    times = Spread(TIME_BOUNDS_S)
    times.note(1.0)
    one = Commits(COUNTS, Standing(8, 9, 10), times, Spread(SIZE_BOUNDS))
    both = one.plus(one._replace(standing=Standing(0, 0, 1)))
    assert (both.counts.written, both.standing, both.times.count, both.times.total) == (4, Standing(0, 0, 1), 2, 2.0)
    assert NO_COMMITS.plus(one).counts == COUNTS
