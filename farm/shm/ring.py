"""A ring of frames in shared memory: one producer, one consumer, no lock, safe against the death of either at any store.

A region is a header of 1024 bytes and `capacity` bytes of data. Cursors count bytes since the ring was made and never wrap;
the place of a byte is its cursor modulo the capacity. A frame is `length u32, kind u16, flags u16, seq u64`, the payload, and
padding to 16 bytes: so a header never straddles the end of the data, a payload may. Sequences are dense from 1.

| byte | written by | words of 8 bytes |
|---|---|---|
| 0 | creator | magic, version, capacity |
| 128 | producer | head; then twice (head, last sequence): where a successor learns its sequence |
| 256 | consumer | tail |
| 384 | both | cwait: the consumer sleeps |
| 512 | both | pwait: the producer waits for space |

Each line of words stands alone in 128 bytes, because processors fetch cache lines in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple

from farm.errors import RingBroken
from farm.shm.fence import fence, fence_enter, fence_leave

RING_HEADER_BYTES: Final = 1024
RING_BYTES_MIN: Final = 1024
MAGIC: Final = int.from_bytes(b"FARMRNG1", "little")
VERSION: Final = 1
FRAME_ALIGN: Final = 16
HEAD_BYTES: Final = 16
ALIKE_MIN: Final = 8
"""Fewer frames in a row that look alike are not worth the set-up of taking them apart together."""
SPAN_BYTES_MAX: Final = 64 << 10
"""How much a consumer copies at once: small enough to stay in the cache while it is cut into frames."""

_MAGIC, _VERSION, _CAPACITY = 0, 1, 2
HEAD_WORD: Final = 16
_MARKS = (17, 19)
_TAIL = 32
CWAIT_WORD: Final = 48
_PWAIT = 64

_HEADER: Final = Struct("<IHHQ")
_pack = _HEADER.pack
_pack_into = _HEADER.pack_into
_unpack_from = _HEADER.unpack_from
_first_word = Struct("<Q").unpack_from
_PADDING: Final = tuple(bytes(-length % FRAME_ALIGN) for length in range(FRAME_ALIGN))

Frame = tuple[int, int, int, bytes]
"""(seq, kind, flags, payload): a plain tuple, hot path."""


class Alike(NamedTuple):
    """A run of frames that look alike, as they stood in the ring."""

    length: int
    """Of each payload."""
    frames: int
    span: bytes
    """All of them, headers and padding included."""
    words: memoryview
    """The same as words of 8 bytes: 0 and 1 are the header of the first frame."""

    def column(self, word: int) -> memoryview:
        """Return the same word of every frame."""
        return self.words[word :: len(self.span) // self.frames >> 3]


def ring_bytes(capacity: int) -> int:
    """Say how many bytes a ring with `capacity` bytes of data takes."""
    return RING_HEADER_BYTES + capacity


def frame_bytes(payload: bytes) -> int:
    """Say how many bytes of a ring a frame with this payload takes."""
    return (len(payload) + 31) & -16


def format_ring(memory: memoryview, capacity: int) -> None:
    """Make an empty ring in fresh memory. Only the creator of the file calls this, before anybody else knows the file."""
    assert capacity & (capacity - 1) == 0, "a place is found by masking, so a power of two"
    assert capacity >= RING_BYTES_MIN
    assert len(memory) == ring_bytes(capacity)
    with memory[:RING_HEADER_BYTES].cast("Q") as words:
        words[_VERSION] = VERSION
        words[_CAPACITY] = capacity
        words[_MARKS[1]] = 1  # no head is ever 1, so the second mark matches nothing yet
        words[_MAGIC] = MAGIC


class Ring:
    """What anybody may see of a ring: its two cursors. Raises RingBroken if the header is not one of ours."""

    __slots__ = ("_data", "_words", "capacity", "frame_bytes_max")

    def __init__(self, memory: memoryview) -> None:
        if len(memory) < ring_bytes(RING_BYTES_MIN):
            raise RingBroken(f"a ring cannot have {len(memory)} bytes")
        self._words = memory[:RING_HEADER_BYTES].cast("Q")
        self._data = memory[RING_HEADER_BYTES:]
        self.capacity = len(self._data)
        """Bytes of data."""
        self.frame_bytes_max = self.capacity // 4
        """The largest frame, header and padding included. Larger payloads travel as spill files."""
        header = self._words[_MAGIC], self._words[_VERSION], self._words[_CAPACITY]
        if header != (MAGIC, VERSION, self.capacity) or self.capacity & (self.capacity - 1):
            raise RingBroken(f"not a ring of version {VERSION} with {self.capacity} bytes: {header}")

    @property
    def head(self) -> int:
        """Bytes published since the ring was made."""
        return self._words[HEAD_WORD]

    @property
    def tail(self) -> int:
        """Bytes given back since the ring was made."""
        return self._words[_TAIL]

    @property
    def free_bytes(self) -> int:
        """Bytes that the producer may still write. Raises RingBroken if the cursors contradict each other."""
        used = self._words[HEAD_WORD] - self._words[_TAIL]
        if not 0 <= used <= self.capacity:
            raise RingBroken(f"head {self.head} and tail {self.tail} of a ring of {self.capacity} bytes")
        return self.capacity - used

    @property
    def words(self) -> memoryview:
        """The header, for hot paths."""
        return self._words

    @property
    def wants_space(self) -> bool:
        """Tell whether the producer waits for space."""
        return self._words[_PWAIT] != 0

    @property
    def drained(self) -> bool:
        """Tell whether everything that was published has been given back."""
        return self._words[_TAIL] == self._words[HEAD_WORD]

    def close(self) -> None:
        """Let go of the memory, so that its file can be closed. Nothing else may be called afterwards."""
        self._words.release()
        self._data.release()


class RingProducer(Ring):
    """The writing end. `wake` is called (it writes an eventfd) when the consumer said that it sleeps."""

    __slots__ = ("_head", "_limit", "_mark", "_mask", "_wake", "next_seq")

    def __init__(self, memory: memoryview, *, wake: Callable[[], None] | None = None) -> None:
        super().__init__(memory)
        self._wake = wake
        self._mask = self.capacity - 1
        self._head = self.head
        if self._head & 15 or self._head >> 62:
            raise RingBroken(f"head {self._head} cannot be")
        self._limit = self._head + self.free_bytes
        self._mark, last_seq = self._find_mark()
        self.next_seq = last_seq + 1
        """The sequence that the next frame will carry."""

    def put(self, payloads: Iterable[bytes], kind: int = 0, flags: int = 0) -> int:
        """Write as many frames as fit, show them with one store, wake the consumer. Returns how many were written, 0 = full."""
        return self.put_frames([(kind, flags, payload) for payload in payloads])

    def put_frames(self, frames: Sequence[tuple[int, int, bytes]]) -> int:
        """Do what put does for frames (kind, flags, payload). Raises ValueError for a frame over frame_bytes_max."""
        room, seq, parts = self.free_bytes, self.next_seq, list[bytes]()
        for kind, flags, payload in frames:
            length = len(payload)
            size = (length + 31) & -16
            if size > self.frame_bytes_max:
                raise self._too_large(length)
            room -= size
            if room < 0:
                break
            parts += (_pack(length, kind, flags, seq), payload, _PADDING[length & 15])
            seq += 1
        written = seq - self.next_seq
        if written:
            self._write(b"".join(parts), seq)
        return written

    def publish(self, kind: int, flags: int, payload: bytes) -> bool:
        """Write one frame and show it, without fence and wake: the caller fences later and then calls wake_sleeper().

        Returns False if the ring is full. Leaves no mark of the sequence: only for a producer that lives as long as its ring.
        """
        length = len(payload)
        head = self._head
        new_head = head + ((length + 31) & -16)
        if new_head - head > self.frame_bytes_max:
            raise self._too_large(length)
        if new_head > self._limit and not self._look_for_space(new_head):
            return False
        seq = self.next_seq
        at = head & self._mask
        data = self._data
        _pack_into(data, at, length, kind, flags, seq)
        end = at + 16 + length
        if end <= self.capacity:
            data[at + 16 : end] = payload
        else:
            first = self.capacity - at - 16
            data[at + 16 :] = payload[:first]
            data[: length - first] = payload[first:]
        self.next_seq = seq + 1
        self._words[HEAD_WORD] = self._head = new_head
        return True

    def wake_sleeper(self) -> None:
        """Wake the consumer if it sleeps. Only after a fence that follows the store of the head.

        The flag is taken down first: the other way round would take down the flag of a consumer that woke, found nothing and
        sleeps again. A producer killed between the two leaves a sleeper without a flag: sleep with an upper bound.
        """
        if self._words[CWAIT_WORD]:
            self._words[CWAIT_WORD] = 0
            if self._wake is not None:
                self._wake()

    def has_space(self, payload_bytes: int) -> bool:
        """Tell whether one frame with a payload of that size fits now."""
        return (payload_bytes + 31) & -16 <= self.free_bytes

    def want_space(self, payload_bytes: int) -> bool:
        """Ask to be woken when half of the ring is free. True: sleep now (bounded); False: that payload fits already."""
        self._words[_PWAIT] = 1
        fence()
        if not self.has_space(payload_bytes):
            return True
        self._words[_PWAIT] = 0
        return False

    def _write(self, blob: bytes, seq: int) -> None:
        """Copy whole frames behind the head, then show them: mark, head, fence, wake, in that order."""
        at = self._head & self._mask
        first = self.capacity - at
        if len(blob) <= first:
            self._data[at : at + len(blob)] = blob
        else:
            self._data[at:] = blob[:first]
            self._data[: len(blob) - first] = blob[first:]
        self._head += len(blob)
        self.next_seq = seq
        # The mark of the head that still stands is left alone until the new head stands: a successor finds one of the two.
        self._mark = _MARKS[1] if self._mark == _MARKS[0] else _MARKS[0]
        self._words[self._mark + 1] = seq - 1
        self._words[self._mark] = self._head
        self._words[HEAD_WORD] = self._head
        fence_enter()
        fence_leave()
        self.wake_sleeper()

    def _look_for_space(self, new_head: int) -> bool:
        self._limit = self._head + self.free_bytes
        return new_head <= self._limit

    def _find_mark(self) -> tuple[int, int]:
        """Find the mark that belongs to the head: (its word, the last sequence)."""
        for mark in _MARKS:
            if self._words[mark] == self._head:
                return mark, self._words[mark + 1]
        raise RingBroken(f"no sequence is known for head {self._head}: its producer was not meant to have a successor")

    def _too_large(self, length: int) -> ValueError:
        return ValueError(f"a payload of {length} bytes is over the limit of {self.frame_bytes_max - 16}: spill it")


class RingConsumer(Ring):
    """The reading end: `take` copies frames and gives their bytes back, `read` copies them and leaves that to `release`.

    Whatever the bytes are, it raises nothing but RingBroken, and only when no good frame stands before the bad one.
    `wake_producer` is called when the producer waits for space and half of the ring is free.
    """

    __slots__ = ("_cursor", "_mask", "_next_seq", "_released", "_span_bytes_max", "_tail_seq", "_wake_producer")

    def __init__(self, memory: memoryview, *, wake_producer: Callable[[], None] | None = None) -> None:
        super().__init__(memory)
        self._wake_producer = wake_producer
        self._mask = self.capacity - 1
        # A span is no longer than the longest frame, so no frame inside one can be over the limit.
        self._span_bytes_max = min(SPAN_BYTES_MAX, self.frame_bytes_max)
        self._released = self._cursor = self.tail
        if self._cursor & 15:
            raise RingBroken(f"tail {self._cursor} is no multiple of {FRAME_ALIGN}")
        # A successor does not know at which sequence its predecessor stopped: 0 accepts any for the first frame.
        self._tail_seq = self._next_seq = 1 if self._cursor == 0 else 0

    @property
    def cursor(self) -> int:
        """The byte after the last frame that was read; what release() takes."""
        return self._cursor

    @property
    def next_seq(self) -> int:
        """The sequence of the next frame; 0 if this consumer took over from another one and has read nothing yet."""
        return self._next_seq

    @property
    def unread(self) -> bool:
        """Tell whether anything was published and not read here."""
        return self._words[HEAD_WORD] != self._cursor

    @property
    def pending_bytes(self) -> int:
        """Bytes that were published and not read here. Raises RingBroken if the cursors contradict each other."""
        return self._checked_head() - self._cursor

    def take(self, frames_max: int) -> list[Frame]:
        """Copy up to frames_max frames and give their bytes back at once."""
        frames = self._frames(frames_max)
        if frames:
            self.release(self._cursor)
        return frames

    def read(self, frames_max: int) -> list[Frame]:
        """Copy up to frames_max frames from the private cursor; the tail stays until release()."""
        return self._frames(frames_max)

    def read_alike(self, kind: int, frames_max: int) -> Alike | None:
        """Copy a run of frames of one kind, without flags and of equal length, from the private cursor; None if there is none there.

        What makes no sense is left to read(), which says so.
        """
        cursor = self._cursor
        at = cursor & self._mask
        available = min(self._checked_head() - cursor, self.capacity - at)
        if not available:
            return None
        first = _first_word(self._data, at)[0]
        if first >> 32 != kind:
            return None
        length = first & 0xFFFFFFFF
        size = (length + 31) & -16
        count = min(frames_max, available // size)
        if count < ALIKE_MIN or size > self.frame_bytes_max:
            return None
        span = bytes(self._data[at : at + count * size])
        words = memoryview(span).cast("Q")
        heads = words[:: size >> 3].tolist()
        if heads.count(first) != count:
            count = next(index for index, head in enumerate(heads) if head != first)
            if count < ALIKE_MIN:
                return None
            span = span[: count * size]
            words = memoryview(span).cast("Q")
        first_seq = self._next_seq or words[1]
        if words[1 :: size >> 3].tolist() != list(range(first_seq, first_seq + count)):
            return None
        self._next_seq = first_seq + count
        self._cursor = cursor + count * size
        return Alike(length, count, span, words)

    def release(self, cursor: int) -> None:
        """Give back all bytes before a cursor that was read; wake the producer if it waits and half of the ring is free."""
        assert self._released <= cursor <= self._cursor, "a tail never moves back, nor over unread frames"
        self._released = cursor
        self._tail_seq = self._next_seq if cursor == self._cursor else 0
        words = self._words
        words[_TAIL] = cursor
        fence_enter()
        fence_leave()
        if words[_PWAIT] and words[HEAD_WORD] - cursor <= self.capacity >> 1:
            words[_PWAIT] = 0
            if self._wake_producer is not None:
                self._wake_producer()

    def rewind(self) -> None:
        """Go back to the tail, to read again what was not released."""
        self._cursor = self._released
        self._next_seq = self._tail_seq

    def arm(self) -> bool:
        """Say that the consumer is about to sleep. True: nothing unread, sleep now (bounded); False: read first."""
        self._words[CWAIT_WORD] = 1
        fence_enter()
        fence_leave()
        if self._words[HEAD_WORD] == self._cursor:
            return True
        self._words[CWAIT_WORD] = 0
        return False

    def disarm(self) -> None:
        """Say that the consumer is awake."""
        self._words[CWAIT_WORD] = 0

    def _frames(self, frames_max: int) -> list[Frame]:
        frames: list[Frame] = []
        head = self._checked_head()
        while self._cursor < head and len(frames) < frames_max:
            before = self._cursor
            try:
                self._cut(self._span(head, frames_max - len(frames)), frames, frames_max)
                if self._cursor == before:
                    raise RingBroken(f"the frame at byte {before} is not sequence {self._next_seq}")
            except RingBroken:
                if frames:
                    break  # the good ones first; the next call stands before the bad one and raises
                raise
        return frames

    def _span(self, head: int, frames_wanted: int) -> bytes:
        """Copy whole 16-byte units from the cursor, at least the first frame, about as much as is wanted."""
        at = self._cursor & self._mask
        size = (_unpack_from(self._data, at)[0] + 31) & -16
        if size > self.frame_bytes_max or size > head - self._cursor:
            raise RingBroken(f"a frame of {size} bytes at byte {self._cursor}, head {head}")
        guess = min(self._span_bytes_max, head - self._cursor, 4096 + (frames_wanted << 8))
        end = at + max(size, guess)
        if end <= self.capacity:
            return bytes(self._data[at:end])
        return bytes(self._data[at:]) + bytes(self._data[: end - self.capacity])

    def _cut(self, span: bytes, frames: list[Frame], frames_max: int) -> None:
        """Cut a span into frames and move the cursor over those that are whole and in sequence."""
        at, end = 0, len(span)
        expected = self._next_seq or _unpack_from(span)[3]
        stop = expected + frames_max - len(frames)
        while at < end and expected < stop:
            length, kind, flags, seq = _unpack_from(span, at)
            start = at + 16
            payload_end = start + length
            if seq != expected or payload_end > end:
                break
            frames.append((seq, kind, flags, span[start:payload_end]))
            expected += 1
            at = (payload_end + 15) & -16
        if at:
            self._next_seq = expected
            self._cursor += at

    def _checked_head(self) -> int:
        head = self._words[HEAD_WORD]
        if head < self._cursor or head - self._released > self.capacity or head & 15:
            raise RingBroken(f"head {head}, cursor {self._cursor}, tail {self._released}, capacity {self.capacity}")
        return head
