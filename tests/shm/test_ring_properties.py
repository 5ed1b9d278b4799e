"""The ring against a deque: any order of puts, takes, reads, releases and successors, and any bytes at all in its memory."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farm.errors import RingBroken
from farm.shm.ring import RING_HEADER_BYTES, Frame, RingConsumer, RingProducer, format_ring, ring_bytes

payloads = st.binary(max_size=600) | st.integers(0, 1008).map(bytes)
numbers = st.integers(0, 65535)


def new_ring(capacity: int) -> memoryview:
    memory = memoryview(bytearray(ring_bytes(capacity)))
    format_ring(memory, capacity)
    return memory


class RingMachine(RuleBasedStateMachine):
    """`unread` is what the consumer has not read, `unreleased` what it has read and may have to read again."""

    @initialize(capacity=st.sampled_from([1024, 4096, 16384]))
    def make(self, capacity: int) -> None:
        self.memory = new_ring(capacity)
        self.producer = RingProducer(self.memory)
        self.consumer = RingConsumer(self.memory)
        self.unread: deque[Frame] = deque()
        self.unreleased: deque[tuple[int, Frame]] = deque()
        self.cursor = 0
        self.recoverable = True

    def _fits(self, payload: bytes) -> bool:
        return len(payload) <= self.producer.frame_bytes_max - 16

    @rule(data=st.lists(st.tuples(numbers, numbers, payloads), max_size=12))
    def put(self, data: list[tuple[int, int, bytes]]) -> None:
        frames = [frame for frame in data if self._fits(frame[2])]
        seq, room = self.producer.next_seq, self.producer.free_bytes
        written = self.producer.put_frames(frames)
        self.unread.extend((seq + n, *frame) for n, frame in enumerate(frames[:written]))
        sizes = [(len(payload) + 31) & -16 for _, _, payload in frames]
        assert sum(sizes[:written]) <= room
        assert written == len(frames) or sum(sizes[: written + 1]) > room
        self.recoverable = self.recoverable or written > 0

    @rule(kind=numbers, flags=numbers, payload=payloads)
    def publish(self, kind: int, flags: int, payload: bytes) -> None:
        if self._fits(payload):
            seq, fits = self.producer.next_seq, self.producer.has_space(len(payload))
            assert self.producer.publish(kind, flags, payload) == fits
            if fits:
                self.unread.append((seq, kind, flags, payload))
                self.recoverable = False

    @rule(frames_max=st.integers(1, 40))
    def read(self, frames_max: int) -> None:
        frames = self.consumer.read(frames_max)
        assert frames == [self.unread.popleft() for _ in range(min(frames_max, len(self.unread)))]
        for frame in frames:
            self.cursor += (len(frame[3]) + 31) & -16
            self.unreleased.append((self.cursor, frame))
        assert self.cursor == self.consumer.cursor

    @precondition(lambda self: self.unreleased)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.unreleased)))
        for _ in range(count):
            cursor, _ = self.unreleased.popleft()
        self.consumer.release(cursor)

    @precondition(lambda self: not self.unreleased)
    @rule(frames_max=st.integers(1, 40))
    def take(self, frames_max: int) -> None:
        frames = self.consumer.take(frames_max)
        assert frames == [self.unread.popleft() for _ in range(min(frames_max, len(self.unread)))]
        self.cursor = self.consumer.cursor

    @rule(successor=st.booleans())
    def read_again(self, successor: bool) -> None:
        if successor:
            self.consumer = RingConsumer(self.memory)
        else:
            self.consumer.rewind()
        self.unread.extendleft(frame for _, frame in reversed(self.unreleased))
        self.unreleased.clear()
        self.cursor = self.consumer.cursor

    @precondition(lambda self: self.recoverable)
    @rule()
    def replace_producer(self) -> None:
        self.producer = RingProducer(self.memory)

    @invariant()
    def cursors_agree(self) -> None:
        used = self.producer.head - self.producer.tail
        assert 0 <= used == self.producer.capacity - self.producer.free_bytes
        assert self.consumer.pending_bytes == sum((len(frame[3]) + 31) & -16 for frame in self.unread)
        assert self.consumer.drained == (not self.unread and not self.unreleased)


RingMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
test_the_ring_behaves_like_a_deque = RingMachine.TestCase


def consume_all(memory: memoryview) -> None:
    """Attach and read until nothing is left; more frames than can stand in the ring would be a loop."""
    consumer = RingConsumer(memory)
    for _ in range(consumer.capacity // 16 + 2):
        frames = consumer.read(7)
        assert all(len(payload) <= consumer.frame_bytes_max for _, _, _, payload in frames)
        consumer.release(consumer.cursor)
        if not frames:
            return
    pytest.fail("reads without end")


@settings(max_examples=400, deadline=None)
@given(
    payload_list=st.lists(st.binary(max_size=200), max_size=12),
    scribbles=st.lists(st.tuples(st.integers(0, ring_bytes(1024) - 1), st.integers(0, 255)), min_size=1, max_size=20),
)
def test_scribbled_bytes_give_frames_or_a_broken_ring_and_nothing_else(payload_list: list[bytes], scribbles: list[tuple[int, int]]) -> None:
    memory = new_ring(1024)
    RingProducer(memory).put(payload_list)
    for at, value in scribbles:
        memory[at] = value
    try:
        consume_all(memory)
    except RingBroken:
        pass


@settings(max_examples=400, deadline=None)
@given(
    words=st.lists(st.tuples(st.sampled_from([3, 16, 17, 18, 32, 48, 64, *range(128, 160)]), st.integers(0, 2**64 - 1)), max_size=8),
    head=st.integers(0, 4096) | st.integers(0, 2**64 - 1),
    tail=st.integers(0, 4096) | st.integers(0, 2**64 - 1),
)
def test_hostile_cursors_give_frames_or_a_broken_ring_on_both_ends(words: list[tuple[int, int]], head: int, tail: int) -> None:
    memory = new_ring(1024)
    with memory.cast("Q") as view:
        for index, value in [*words, (16, head), (32, tail)]:
            view[index] = value
    try:
        consume_all(memory)
    except RingBroken:
        pass
    try:
        producer = RingProducer(memory)
        producer.publish(1, 2, b"x" * 100)
        producer.put([b"x" * 50] * 30)
    except RingBroken:
        pass


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_that_change_while_they_are_read_break_nothing_else(data: st.DataObject) -> None:
    """The other side of a result ring runs foreign code: it may write at any moment, also behind a head it has shown."""
    memory = new_ring(4096)
    producer, consumer = RingProducer(memory), RingConsumer(memory)
    try:
        for _ in range(12):
            producer.put([b"x" * 60] * data.draw(st.integers(0, 12)))
            at = data.draw(st.integers(0, len(memory) - 8))
            if not 256 <= at < RING_HEADER_BYTES:
                memory[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
            consumer.read(data.draw(st.integers(1, 20)))
            if data.draw(st.booleans()):
                consumer.release(consumer.cursor)
    except RingBroken:
        pass
