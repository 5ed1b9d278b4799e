"""Payloads in files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from farm.shm.spill import Spill, owner_of


def spill(directory: Path, owner: str = "run.w0.1", bytes_max: int = 1000) -> Spill:
    return Spill(directory, owner=owner, bytes_max=bytes_max)


def test_there_and_back(tmp_path: Path) -> None:
    """A payload comes back as it was, to whoever knows its name, until it is removed; its file is private."""
    name = spill(tmp_path).write(b"payload", wait=False)
    assert name is not None
    assert spill(tmp_path, "other").read(name, bytes_max=100) == b"payload"
    assert (tmp_path / name.decode()).stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        spill(tmp_path, "other").remove(name)
    assert spill(tmp_path).read(name, bytes_max=100) is None


def test_bound(tmp_path: Path) -> None:
    """All that is spilled together stays within the bound; who may not wait is told, who may waits until there is room."""
    one = spill(tmp_path)
    first = one.write(b"x" * 600, wait=False)
    assert first is not None
    assert one.write(b"y" * 600, wait=False) is None
    names: list[bytes | None] = []
    waiting = threading.Thread(target=lambda: names.append(spill(tmp_path, "other").write(b"y" * 600, wait=True)))
    waiting.start()
    one.remove(first)
    waiting.join(10)
    assert names == [b"other-1"]


def test_one_payload_over_the_bound(tmp_path: Path) -> None:
    """A single payload may be larger than the bound, if nothing else is spilled: it would wait for ever."""
    assert spill(tmp_path, bytes_max=10).write(b"x" * 100, wait=False) is not None


@pytest.mark.parametrize("name", [b"", b".hidden", b"../secret", b"/etc/passwd", b"a\0b", b"\xff", b"link"])
def test_hostile_names(tmp_path: Path, name: bytes) -> None:
    """A name from foreign code reaches no other file: nothing outside, nothing through a link."""
    directory = tmp_path / "spill"
    directory.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (directory / ".hidden").write_bytes(b"secret")
    (directory / "link").symlink_to(tmp_path / "secret")
    assert spill(directory).read(name, bytes_max=100) is None
    spill(directory).remove(name)
    assert (tmp_path / "secret").exists()
    assert (directory / ".hidden").exists()


def test_reading_is_bounded(tmp_path: Path) -> None:
    """No more than one byte over the limit is read, so that the reader sees that it is too much."""
    name = spill(tmp_path).write(b"x" * 500, wait=False)
    assert name is not None
    assert len(spill(tmp_path).read(name, bytes_max=100) or b"") == 101


def test_removal_of_what_is_left(tmp_path: Path) -> None:
    """What a dead process or a whole run has left is removed, and nothing of others with similar names."""
    owners = [owner_of(Path(f"/dev/shm/farm-x/{run}/{name}")) for run in ("10", "100") for name in ("w1.2", "w1.21", "w11.2")]
    for owner in owners:
        spill(tmp_path, owner).write(b"x", wait=False)
    spill(tmp_path).remove_of_owner("10.w1.2")
    assert {path.name for path in tmp_path.iterdir()} == {f"{owner}-1" for owner in owners} - {"10.w1.2-1"}
    spill(tmp_path).remove_of_run("10")
    assert {path.name for path in tmp_path.iterdir()} == {"100.w1.2-1", "100.w1.21-1", "100.w11.2-1"}
