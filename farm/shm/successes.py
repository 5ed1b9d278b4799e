"""How a success travels to the writer: as the part of its row of farm.result that only its subworker knows.

Nearly all outcomes are successes, and what is done once for each of them decides how many jobs a host can run. So the subworker
packs job id and times as PostgreSQL's COPY wants them, and the writer, which packs nothing, puts between them and the value what is
its own to say: lease, status, attempt, and how long the value is. Where frames are of equal length, as they are for short values,
it takes hundreds of them apart at once, column by column.

A frame's payload is `lease id i64, sequence of the job u64, position u64, finished (CLOCK_MONOTONIC, ns) u64` in little endian, 38 bytes
of row, and the value as JSON text; in a frame that is LOGGED value and log, see frames.py. Job code can scribble over these bytes: nothing
here may trust more of them than its length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from struct import Struct
from typing import Final

from farm.errors import RingBroken
from farm.model import OutcomeKind, Outcomes
from farm.shm.frames import LOGGED, pack_logged, split_logged
from farm.shm.ring import HEAD_BYTES, HEAD_WORD, Alike, RingProducer

SUCCEEDED: Final = int(OutcomeKind.SUCCEEDED)
_HEAD: Final = Struct("<qQQQ")
_ROW: Final = Struct(">hiqiqiq")
"""Number of columns; length and job id; length and started; length and finished, in microseconds since 2000."""
_FRAME_HEAD: Final = Struct("<IHHQqQQQ")
_ROW_AT: Final = _HEAD.size
VALUE_AT: Final = _ROW_AT + _ROW.size
_COLUMNS: Final = 10
_EIGHT: Final = 8
_LEASE_WORD, _SEQ_WORD, _POSITION_WORD, _FINISHED_WORD = 2, 3, 4, 5
_LEASE_END: Final = 1 << 63
_KEPT_BYTES_MAX: Final = 1024
"""Of shorter payloads the formats are kept: that many at the most."""

_pack_head_into = _FRAME_HEAD.pack_into
_unpack_head = _HEAD.unpack_from


class SuccessProducer(RingProducer):
    """The result ring of a subworker, as it publishes into it."""

    __slots__ = ()

    def publish_success(
        self, lease_id: int, seq: int, position: int, job_id: int, started_us: int, finished_us: int, finished_ns: int, value: bytes
    ) -> bool:
        """Write one success and show it, as publish() does: no fence, no wake. False if the ring is full.

        started_us and finished_us are the database's time in microseconds since 2000, finished_ns is CLOCK_MONOTONIC.
        """
        length = VALUE_AT + len(value)
        head = self._head
        new_head = head + ((length + 31) & -16)
        at = head & self._mask
        end = at + HEAD_BYTES + length
        if end > self.capacity:
            payload = _HEAD.pack(lease_id, seq, position, finished_ns)
            payload += _ROW.pack(_COLUMNS, _EIGHT, job_id, _EIGHT, started_us, _EIGHT, finished_us)
            return self.publish(SUCCEEDED, 0, payload + value)
        if new_head > self._limit and not self._look_for_space(new_head):
            return False
        data, frame_seq = self._data, self.next_seq
        _pack_head_into(data, at, length, SUCCEEDED, 0, frame_seq, lease_id, seq, position, finished_ns)
        _pack_row_into[length](data, at + HEAD_BYTES + _ROW_AT, _COLUMNS, _EIGHT, job_id, _EIGHT, started_us, _EIGHT, finished_us, value)
        self.next_seq = frame_seq + 1
        self._words[HEAD_WORD] = self._head = new_head
        return True

    def publish_any(
        self,
        lease_id: int,
        seq: int,
        position: int,
        job_id: int,
        started_us: int,
        finished_us: int,
        finished_ns: int,
        value: bytes,
        log: bytes,
    ) -> bool:
        """Do what publish_success() does, for a job that may have a log."""
        if not log:
            return self.publish_success(lease_id, seq, position, job_id, started_us, finished_us, finished_ns, value)
        payload = _HEAD.pack(lease_id, seq, position, finished_ns)
        payload += _ROW.pack(_COLUMNS, _EIGHT, job_id, _EIGHT, started_us, _EIGHT, finished_us)
        return self.publish(SUCCEEDED, LOGGED, payload + pack_logged(value, log))


class _RowPackers(dict[int, Callable[..., None]]):
    """For each length of a payload what packs row and value into it at once."""

    def __missing__(self, length: int) -> Callable[..., None]:
        packer = Struct(f"{_ROW.format}{length - VALUE_AT}s").pack_into
        if length < _KEPT_BYTES_MAX:
            self[length] = packer
        return packer


_pack_row_into = _RowPackers()


def add_success(payload: bytes, outcomes: Outcomes, *, logged: bool = False) -> tuple[int, int]:
    """Take one frame apart and add its success; returns the job's sequence and when it finished. Raises RingBroken."""
    if len(payload) <= VALUE_AT:
        raise RingBroken(f"a success of {len(payload)} bytes is too short")
    lease_id, seq, position, finished_ns = _unpack_head(payload)
    if lease_id < 0:
        raise RingBroken("a success names no lease")
    value, log = split_logged(payload[VALUE_AT:]) if logged else (payload[VALUE_AT:], b"")
    outcomes.lease_ids.append(lease_id)
    outcomes.positions.append(position)
    outcomes.heads.append(payload[_ROW_AT:VALUE_AT])
    outcomes.values.append(value)
    if log:
        outcomes.add_log(log)
    return seq, finished_ns


def add_alike(run: Alike, outcomes: Outcomes) -> tuple[bytes, int]:
    """Take a run of success frames of one length apart; returns the jobs' sequences (8 bytes each) and when the first finished.

    Raises RingBroken.
    """
    if run.length <= VALUE_AT:
        raise RingBroken(f"a success of {run.length} bytes is too short")
    lease_ids = run.column(_LEASE_WORD).tolist()
    if max(lease_ids) >= _LEASE_END:
        raise RingBroken("a success names no lease")
    heads, values = zip(*_rows(run.length).iter_unpack(run.span), strict=True)
    outcomes.lease_ids += lease_ids
    outcomes.positions += run.column(_POSITION_WORD).tolist()
    outcomes.heads += heads
    outcomes.values += values
    return run.column(_SEQ_WORD).tobytes(), run.words[_FINISHED_WORD]


@cache
def _rows(length: int) -> Struct:
    """Return the format that cuts row and value out of frames with payloads of this length."""
    return Struct(f"{HEAD_BYTES + _ROW_AT}x{_ROW.size}s{length - VALUE_AT}s{-length % 16}x")
