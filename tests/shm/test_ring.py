"""The ring: what goes in comes out, in order, once; whoever sleeps is woken; bytes that make no sense are noticed."""

from __future__ import annotations

import pytest

from farm.errors import RingBroken
from farm.shm.ring import RingConsumer, RingProducer, format_ring, ring_bytes

CAPACITY = 4096


@pytest.fixture
def memory() -> memoryview:
    region = memoryview(bytearray(ring_bytes(CAPACITY)))
    format_ring(region, CAPACITY)
    return region


def test_frames_come_out_as_they_went_in(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    assert producer.put([b"one", b"", b"x" * 100], kind=7, flags=3) == 3
    assert producer.publish(8, 1, b"last")
    assert producer.next_seq == 5
    assert consumer.take(10) == [(1, 7, 3, b"one"), (2, 7, 3, b""), (3, 7, 3, b"x" * 100), (4, 8, 1, b"last")]
    assert consumer.take(10) == []
    assert consumer.next_seq == 5


def test_a_full_ring_takes_what_fits_and_nothing_of_the_rest(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    payloads = [bytes([n]) * 240 for n in range(20)]
    assert producer.put(payloads) == CAPACITY // 256
    assert producer.put(payloads[:1]) == 0
    assert not producer.publish(0, 0, b"")
    assert producer.free_bytes == 0
    assert not producer.has_space(0)
    assert [frame[3] for frame in consumer.take(3)] == payloads[:3]
    assert producer.put(payloads[16:]) == 3
    assert [frame[0] for frame in consumer.take(100)] == list(range(4, 20))


def test_payloads_wrap_around_the_end(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    for turn in range(300):
        payload = bytes([turn % 251]) * (turn * 7 % 900)
        if turn % 2:
            assert producer.publish(turn, 0, payload)
        else:
            assert producer.put([payload], kind=turn) == 1
        assert consumer.take(2) == [(turn + 1, turn, 0, payload)]
    assert producer.head > 20 * CAPACITY


def test_a_payload_over_the_limit_is_refused_and_the_ring_stays_as_it_is(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    largest = b"x" * (producer.frame_bytes_max - 16)
    with pytest.raises(ValueError, match="spill it"):
        producer.put([b"small", largest + b"x"])
    with pytest.raises(ValueError, match="spill it"):
        producer.publish(0, 0, largest + b"x")
    assert producer.head == 0
    assert producer.publish(0, 0, largest)
    assert consumer.take(1)[0][3] == largest


def test_read_leaves_the_tail_until_release_and_rewind_reads_again(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    producer.put([b"a", b"b", b"c"])
    first = consumer.read(2)
    middle = consumer.cursor
    assert consumer.read(5) == [(3, 0, 0, b"c")]
    assert (consumer.tail, consumer.pending_bytes, consumer.drained) == (0, 0, False)
    consumer.rewind()
    assert consumer.read(2) == first
    consumer.release(middle)
    assert consumer.tail == middle
    consumer.rewind()
    assert consumer.read(5) == [(3, 0, 0, b"c")]
    consumer.release(consumer.cursor)
    assert consumer.drained


def test_the_consumer_is_woken_only_when_it_sleeps(memory: memoryview) -> None:
    wakes: list[int] = []
    producer = RingProducer(memory, wake=lambda: wakes.append(1))
    consumer = RingConsumer(memory)
    producer.put([b"a"])
    assert wakes == []
    assert not consumer.arm()
    consumer.take(1)
    assert consumer.arm()
    producer.publish(0, 0, b"b")
    assert wakes == []
    producer.wake_sleeper()
    producer.wake_sleeper()
    assert wakes == [1]
    consumer.take(1)
    assert consumer.arm()
    consumer.disarm()
    producer.put([b"c"])
    assert wakes == [1]


def test_a_waiting_producer_is_woken_when_half_of_the_ring_is_free(memory: memoryview) -> None:
    wakes: list[int] = []
    producer = RingProducer(memory)
    consumer = RingConsumer(memory, wake_producer=lambda: wakes.append(1))
    assert not producer.want_space(100)
    assert producer.put([b"x" * 240] * 16) == 16
    assert producer.want_space(100)
    consumer.take(7)
    assert wakes == []
    consumer.take(1)
    assert wakes == [1]
    consumer.take(1)
    assert wakes == [1]


def test_a_successor_of_the_producer_goes_on_with_its_sequence(memory: memoryview) -> None:
    consumer = RingConsumer(memory)
    for turn in range(5):
        producer = RingProducer(memory)
        assert producer.next_seq == 1 + 2 * turn
        producer.put([b"a", b"b"])
    assert [frame[0] for frame in consumer.take(100)] == list(range(1, 11))


class Mortal:
    """The words of a ring header, to a producer that is killed before its nth store."""

    def __init__(self, words: memoryview, stores: int) -> None:
        self._words = words
        self._stores = stores

    def __getitem__(self, index: int) -> int:
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        if self._stores == 0:
            raise InterruptedError
        self._stores -= 1
        self._words[index] = value


@pytest.mark.parametrize("stores", range(4))
@pytest.mark.parametrize("before", range(3))
def test_a_producer_killed_between_any_two_stores_has_a_successor(memory: memoryview, before: int, stores: int) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    for _ in range(before):
        producer.put([b"a", b"b"])
    consumer.take(100)
    assert consumer.arm()
    producer._words = Mortal(producer._words, stores)  # type: ignore[assignment]
    with pytest.raises(InterruptedError):
        producer.put([b"c", b"d"])
    shown = 2 * before + (2 if stores == 3 else 0)
    successor = RingProducer(memory)
    assert successor.next_seq == shown + 1
    successor.put([b"e"])
    assert [frame[0] for frame in consumer.take(100)] == list(range(2 * before + 1, shown + 2))


def test_a_successor_is_refused_where_the_sequence_is_not_known(memory: memoryview) -> None:
    RingProducer(memory).publish(0, 0, b"a")
    with pytest.raises(RingBroken, match="not meant to have a successor"):
        RingProducer(memory)


def test_a_successor_of_the_consumer_reads_what_was_not_released(memory: memoryview) -> None:
    producer, first = RingProducer(memory), RingConsumer(memory)
    producer.put([b"a", b"b", b"c"])
    first.take(1)
    first.read(1)
    successor = RingConsumer(memory)
    assert successor.next_seq == 0
    assert [frame[0] for frame in successor.read(9)] == [2, 3]


def test_good_frames_before_a_bad_one_are_still_read(memory: memoryview) -> None:
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    producer.put([b"a" * 16, b"b" * 16, b"c" * 16])
    memory[1024 + 64] ^= 0xFF
    assert [frame[3][:1] for frame in consumer.read(9)] == [b"a", b"b"]
    with pytest.raises(RingBroken):
        consumer.read(9)


def test_a_region_that_is_no_ring_is_refused(memory: memoryview) -> None:
    for region in (memory[:100], memory[:-16], memoryview(bytearray(len(memory)))):
        with pytest.raises(RingBroken):
            RingConsumer(region)
