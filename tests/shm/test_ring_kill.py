"""Real processes, killed at random moments: whole frames only, in sequence, whoever is killed."""

from __future__ import annotations

import mmap
import random
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct

import pytest

from farm.shm.ring import Frame, RingConsumer, RingProducer, format_ring, ring_bytes
from tests.shm.child import Child

pytestmark = pytest.mark.kill

KILLS = 300
CAPACITY = 64 << 10
FRAME_HEAD = Struct("<QI")


@pytest.fixture
def shared() -> Iterator[memoryview]:
    """A ring in memory that is shared with children, and one page behind it."""
    region = mmap.mmap(-1, ring_bytes(CAPACITY) + 4096)
    memory = memoryview(region)
    format_ring(memory[: ring_bytes(CAPACITY)], CAPACITY)
    yield memory
    memory.release()


def payloads(first_seq: int) -> Iterator[bytes]:
    """Make payloads of 30 to 5,000 bytes that hold their sequence and a checksum."""
    noise = random.Random(first_seq).randbytes(5000)
    seq = first_seq
    while True:
        body = noise[: 18 + seq * 7919 % 4970]
        yield FRAME_HEAD.pack(seq, zlib.crc32(body)) + body
        seq += 1


def check(frames: Iterable[Frame]) -> None:
    for seq, _, _, payload in frames:
        assert FRAME_HEAD.unpack_from(payload) == (seq, zlib.crc32(payload[FRAME_HEAD.size :]))


def test_a_producer_killed_while_it_writes_leaves_whole_frames_and_no_gap(shared: memoryview) -> None:
    ring = shared[: ring_bytes(CAPACITY)]

    def produce() -> None:
        producer = RingProducer(ring)
        source = payloads(producer.next_seq)
        waiting: list[bytes] = []
        while True:
            waiting.extend(islice(source, 8 - len(waiting)))
            del waiting[: producer.put(waiting)]

    consumer = RingConsumer(ring)
    chance = random.Random(1)
    for _ in range(KILLS):
        with Child(produce) as child:
            target = consumer.next_seq + chance.randrange(1, 200)
            while consumer.next_seq < target and child.alive:
                check(consumer.take(16))
        before = consumer.next_seq
        while frames := consumer.take(64):
            check(frames)
        assert consumer.next_seq - before <= CAPACITY // 32
    assert consumer.drained
    assert RingProducer(ring).next_seq == consumer.next_seq > KILLS


def test_a_consumer_killed_while_it_reads_loses_nothing_that_it_had_not_released(shared: memoryview) -> None:
    ring, page = shared[: ring_bytes(CAPACITY)], shared[ring_bytes(CAPACITY) :].cast("Q")

    def consume() -> None:
        consumer = RingConsumer(ring)
        while True:
            frames = consumer.read(16)
            if not frames:
                continue
            check(frames)
            assert frames[0][0] <= page[0] + 1, "a gap"
            page[0] = frames[-1][0]
            consumer.release(consumer.cursor)

    producer = RingProducer(ring)
    source = payloads(1)
    waiting: list[bytes] = []
    chance = random.Random(2)
    for _ in range(KILLS):
        with Child(consume) as child:
            target = page[0] + chance.randrange(1, 200)
            while page[0] < target and child.alive:
                waiting.extend(islice(source, 8 - len(waiting)))
                del waiting[: producer.put(waiting)]
    consumer = RingConsumer(ring)
    while frames := consumer.take(64):
        check(frames)
        assert frames[0][0] <= page[0] + 1, "a gap"
        page[0] = frames[-1][0]
    assert page[0] == producer.next_seq - 1
    page.release()
