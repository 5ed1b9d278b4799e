"""Generation and ring files: made whole or not at all, found again by a successor, closed and removed without a trace."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from farm.errors import FarmError, RingBroken
from farm.shm.generation import REASON_BYTES_MAX, GenerationFile, RingFile, generation_bytes
from farm.shm.ring import RingConsumer, RingProducer


def test_both_sides_see_the_same_words_rings_and_slots(tmp_path: Path) -> None:
    ours = GenerationFile.create(tmp_path / "w0.1", slots=2, host_id=77)
    theirs = GenerationFile.open(tmp_path / "w0.1")
    assert (theirs.host_id, theirs.slots.count, theirs.path) == (77, 2, tmp_path / "w0.1")
    ours.recall, ours.gate_ns, theirs.pid, theirs.ready = 5, 1 << 60, 1234, 1
    assert (theirs.recall, theirs.gate_ns, ours.pid, ours.ready) == (5, 1 << 60, 1234, 1)
    RingProducer(ours.job_ring).put([b"job"])
    assert RingConsumer(theirs.job_ring).take(1)[0][3] == b"job"
    RingProducer(theirs.result_ring).put([b"result"])
    assert RingConsumer(ours.result_ring).take(1)[0][3] == b"result"
    theirs.slots.mark(1, *range(8))
    theirs.slots.set_running(1)
    assert [row.slot for row in ours.slots.running()] == [1]
    ours.close()
    theirs.close()


def test_every_word_has_a_place_of_its_own(tmp_path: Path) -> None:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    names = ["host_id", "pid", "pid_start_time", "pgid", "ready", "baseline_bytes", "recall", "gate_ns", "ack_seq", "ack"]
    names += ["marked", "broken"]
    for value, name in enumerate(names, 1000):
        setattr(file, name, value)
    assert [getattr(file, name) for name in names] == list(range(1000, 1000 + len(names)))
    file.close()
    GenerationFile.open(tmp_path / "w0.1").close()


def test_a_file_is_private_and_of_full_size(tmp_path: Path) -> None:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    status = os.stat(file.path)
    assert (status.st_mode & 0o777, status.st_size) == (0o600, generation_bytes(1))
    assert status.st_blocks * 512 >= status.st_size
    file.unlink()
    file.unlink()
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_no_space_is_said_in_one_line_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FarmError, match=r"no space for [0-9]+ bytes of shared memory at .*w0.1") as caught:
        GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_name_is_never_used_again(tmp_path: Path) -> None:
    GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1).close()
    with pytest.raises(FarmError, match="File exists"):
        GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=2)
    kept = GenerationFile.open(tmp_path / "w0.1")
    assert kept.host_id == 1
    kept.close()


@pytest.mark.parametrize("content", [b"", b"x" * 100, bytes(8192), b"\xff" * 8192, b"FARMGEN1" + b"\x01" + bytes(8183)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w0.1").write_bytes(content)
    for kind in (GenerationFile, RingFile):
        with pytest.raises(RingBroken):
            kind.open(tmp_path / "w0.1")


def test_a_desk_outlives_its_maker(tmp_path: Path) -> None:
    desk = RingFile.create(tmp_path / "desk", host_id=9, capacity=4096)
    producer = RingProducer(desk.ring)
    producer.put([b"outcome"])
    producer.close()
    desk.close()
    again = RingFile.open(tmp_path / "desk")
    assert again.host_id == 9
    assert RingConsumer(again.ring).read(1) == [(1, 0, 0, b"outcome")]
    again.close()


def test_closing_before_the_rings_are_closed_is_harmless(tmp_path: Path) -> None:
    file = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1)
    producer = RingProducer(file.job_ring)
    file.close()
    assert producer.put([b"still mapped"]) == 1
    producer.close()


def test_a_reason_is_read_as_it_was_left_and_cut_where_it_is_too_long(tmp_path: Path) -> None:
    ours, theirs = GenerationFile.create(tmp_path / "w0.1", slots=1, host_id=1), GenerationFile.open(tmp_path / "w0.1")
    assert ours.reason == ""
    theirs.tell_reason("kein Gerät \ud800")
    assert ours.reason == "kein Gerät \\ud800"
    theirs.tell_reason("x" * 5000)
    assert ours.reason == "x" * REASON_BYTES_MAX
    ours.close()
    theirs.close()
