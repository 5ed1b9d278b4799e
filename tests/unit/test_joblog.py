"""The log of a job: its limit and its marker, the tail in shared memory, and that one job never finds another's words in its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farm.errors import RingBroken
from farm.joblog import MARKER_BYTES_MAX, beginning, ending, storable
from farm.model import Outcome, OutcomeKind, Outcomes
from farm.shm.frames import pack_logged, split_logged
from farm.shm.logtails import TAIL_BYTES, WRITE_BYTES_MAX, LogTailReader, LogTails, path_of
from farm.subworker.joblog import JobLog

texts = st.text(st.characters(codec="utf-8"), max_size=60)


@given(texts, st.integers(1, 80))
@example("ä" * 10, 5)
def test_a_log_is_its_beginning_and_a_line_that_says_how_much_is_gone(text: str, limit: int) -> None:
    log = text.encode()
    kept = beginning(log, len(log), limit)
    if len(log) <= limit:
        assert kept == log
        return
    head, marker = kept[:-1].rpartition(b"[... ")[0], kept.rpartition(b"[... ")[2]
    gone = int(marker.split(b" ")[0].replace(b",", b""))
    assert log.startswith(head.removesuffix(b"\n") if not log.startswith(head) else head)
    assert len(kept) <= limit + MARKER_BYTES_MAX
    assert len(log) - gone <= limit
    assert log[: len(log) - gone].decode() == text[: len(log[: len(log) - gone].decode())], "no character is cut in two"


@given(texts, st.integers(4, 80), st.integers(0, 100))
def test_the_end_of_a_log_begins_with_a_line_that_says_how_much_is_gone(text: str, limit: int, before: int) -> None:
    log = text.encode()
    kept = ending(log, before + len(log), limit)
    if before == 0 and len(log) <= limit:
        assert kept == log
        return
    marker, _, rest = kept.partition(b"\n")
    gone = int(marker.split(b" ")[1].replace(b",", b""))
    assert log.endswith(rest)
    assert (gone + len(rest), len(rest) <= limit) == (before + len(log), True)
    rest.decode()


@given(st.binary(max_size=100))
@example(b"a\0b\xff\xc3")
def test_whatever_was_printed_can_be_stored_as_text(log: bytes) -> None:
    stored = storable(log)
    assert b"\0" not in stored
    assert stored.decode().replace("\ufffd", "") == log.decode("utf-8", "ignore").replace("\0", "").replace("\ufffd", "")
    assert storable(stored) == stored


@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=20))
def test_an_outcome_and_its_log_come_apart_as_they_were_put_together(text: bytes, log: bytes, noise: bytes) -> None:
    assert split_logged(pack_logged(text, log)) == (text, log)
    try:
        first, second = split_logged(noise)
    except RingBroken:
        return
    assert len(first) + len(second) + 4 == len(noise)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_each_success_keeps_its_own_log_however_a_batch_is_divided(printed: list[bool], data: st.DataObject) -> None:
    outcomes = Outcomes([Outcome(1, 99, 99, 0, OutcomeKind.FAILED, 0, 0, b"")])
    for number, has_printed in enumerate(printed):
        outcomes.lease_ids.append(data.draw(st.integers(1, 2)))
        outcomes.positions.append(number)
        outcomes.heads.append(b"head %d" % number)
        outcomes.values.append(b"%d" % number)
        if has_printed:
            outcomes.add_log(b"log %d" % number)

    def check(part: Outcomes) -> None:
        for index, position in enumerate(part.positions):
            log = part.logs[index] if index < len(part.logs) else b""
            assert log == (b"log %d" % position if printed[position] else b"")

    for half in outcomes.halves():
        check(half)
    for share in outcomes.by_lease().values():
        check(share)
        assert len(share.logs) in (0, len(share.heads)), "rows are made of both, side by side"
        check(share.where([data.draw(st.booleans()) for _ in range(len(share))]))


@pytest.fixture(scope="module")
def tails(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LogTails, LogTailReader]]:
    path = tmp_path_factory.mktemp("tails") / "w0.1"
    made = LogTails.create(path_of(path), slots=2, limit_bytes=1 << 20)
    reader = LogTailReader.beside(path)
    assert reader is not None
    yield made, reader
    reader.close()


@given(
    st.lists(st.integers(0, 3 * WRITE_BYTES_MAX) | st.integers(TAIL_BYTES - 3, 2 * TAIL_BYTES + 3), max_size=12),
    st.integers(1, 4 * TAIL_BYTES),
)
@example([0, 0], 1)
def test_a_log_and_its_tail_are_what_was_written(tails: tuple[LogTails, LogTailReader], sizes: list[int], limit: int) -> None:
    made, reader = tails
    log = JobLog(made, 1, limit_bytes=limit)
    written = b""
    for number, size in enumerate(sizes):
        piece = bytes([97 + number]) * size
        log.write(7, piece)
        written += piece
        tail = reader.read(1, 7)
        if tail is None:
            assert not written
        else:
            assert tail.end == len(written)
            assert written.endswith(tail.text)
            assert len(tail.text) >= min(len(written), TAIL_BYTES - WRITE_BYTES_MAX)
    assert reader.read(1, 8) is None
    assert reader.read(0, 7) is None
    assert log.take(7) == beginning(written[:limit], len(written), limit)


def test_what_a_thread_says_late_is_no_word_of_the_next_job(tails: tuple[LogTails, LogTailReader]) -> None:
    made, _reader = tails
    log = JobLog(made, 0, limit_bytes=1000)
    log.write(1, b"one")
    assert log.take(1) == b"one"
    log.write(1, b"late")
    assert log.take(2) == b""
    log.write(1, b"later")
    log.write(3, b"three")
    assert log.take(3) == b"three"


def test_without_shared_memory_a_log_is_kept_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = LogTails.create(path_of(tmp_path / "w0.1"), slots=1, limit_bytes=1000)
    log = JobLog(made, 0, limit_bytes=1 << 20)
    log.write(1, b"a" * 3000)
    monkeypatch.setattr(made, "grow", lambda _slot, _size: False)
    log.write(1, b"b" * 3000)
    reader = LogTailReader.beside(tmp_path / "w0.1")
    assert reader is not None
    assert reader.read(0, 1) is None, "what stands there is not all"
    assert log.take(1) == b"a" * 3000 + b"b" * 3000
    reader.close()


def test_threads_lose_no_line(tmp_path: Path) -> None:
    log = JobLog(LogTails.create(path_of(tmp_path / "w0.1"), slots=1, limit_bytes=1000), 0, limit_bytes=1 << 22)
    log.write(1, b"")

    def say(number: int) -> None:
        for _ in range(3000):
            log.write(1, b"%d%s\n" % (number, b"x" * (number * 7)))

    threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = log.take(1).splitlines()
    assert sorted(set(lines)) == sorted(b"%d%s" % (number, b"x" * (number * 7)) for number in range(4))
    assert len(lines) == 12_000


@given(st.binary(max_size=200), st.integers(0, 5000), st.integers(0, 300_000))
def test_a_reader_is_not_harmed_by_what_a_job_makes_of_its_tail(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, length: int
) -> None:
    path = tmp_path_factory.mktemp("hostile") / "w0.1"
    LogTails.create(path_of(path), slots=1, limit_bytes=1000)
    with path_of(path).open("r+b") as file:
        file.seek(at)
        file.write(noise)
    os.truncate(path_of(path), length)
    reader = LogTailReader.beside(path)
    if reader is not None:
        tail = reader.read(0, int.from_bytes(noise[:8], "little"))
        assert tail is None or len(tail.text) <= TAIL_BYTES
        assert len(reader.last_of(0, 0)) <= TAIL_BYTES + MARKER_BYTES_MAX
        reader.crash()
        reader.close()
