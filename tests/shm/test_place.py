"""The directory of a run: private, in memory if there is room, and found again by a successor."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.errors import FarmError
from farm.shm.place import Place, find_places, make_place

TOO_MUCH = 1 << 60


@pytest.fixture
def shm_root(tmp_path: Path) -> Path:
    root = tmp_path / "shm"
    root.mkdir()
    return root


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


def made(shm_root: Path, state_dir: Path, run: str = "1", bytes_needed: int = 4096) -> Place:
    return make_place(state_id="ab12", run=run, bytes_needed=bytes_needed, state_dir=state_dir, shm_root=shm_root)


def test_a_run_stands_in_memory_and_is_private(shm_root: Path, state_dir: Path) -> None:
    place = made(shm_root, state_dir)
    assert (place.path, place.warning) == (shm_root / "farm-ab12" / "1", None)
    assert [path.stat().st_mode & 0o777 for path in (place.path, place.path.parent)] == [0o700, 0o700]
    assert (place.desk.name, place.ack.name, place.generation(3, 7).name) == ("desk", "ack", "w3.7")


def test_generations_are_listed_in_order_and_other_files_are_not(shm_root: Path, state_dir: Path) -> None:
    place = made(shm_root, state_dir)
    for path in (place.generation(10, 1), place.generation(2, 11), place.generation(2, 9), place.desk, place.path / "w1.x"):
        path.touch()
    assert [(name.subworker, name.generation, name.path.name) for name in place.generations()] == [
        (2, 9, "w2.9"),
        (2, 11, "w2.11"),
        (10, 1, "w10.1"),
    ]


def test_too_little_memory_means_the_state_directory_and_one_warning(
    shm_root: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.shm.place._unfit", lambda root, needed: f"{root} is small" if root == shm_root else None)
    place = made(shm_root, state_dir)
    assert place.path == state_dir / "rings" / "1"
    assert place.warning
    assert f"{shm_root} is small" in place.warning
    assert "\n" not in place.warning
    assert list(shm_root.iterdir()) == []


def test_no_room_anywhere_is_said_in_one_line(shm_root: Path, state_dir: Path) -> None:
    with pytest.raises(FarmError, match=r"no place for .* MiB of rings: .*shm has .* free of .*state has") as caught:
        made(shm_root, state_dir, bytes_needed=TOO_MUCH)
    assert "\n" not in str(caught.value)


def test_a_directory_of_somebody_else_is_not_used(shm_root: Path, state_dir: Path) -> None:
    (shm_root / "farm-ab12").mkdir(mode=0o755)
    place = made(shm_root, state_dir)
    assert place.path.parent == state_dir / "rings"
    assert place.warning
    assert "not a private directory" in place.warning


def test_a_link_is_not_followed(shm_root: Path, state_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (shm_root / "farm-ab12").symlink_to(tmp_path / "elsewhere")
    assert made(shm_root, state_dir).warning
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_no_shared_memory_at_all_is_no_error(state_dir: Path, tmp_path: Path) -> None:
    place = made(tmp_path / "none", state_dir)
    assert place.path.is_dir()
    assert place.warning


def test_a_successor_finds_all_runs_and_removes_them_without_a_trace(shm_root: Path, state_dir: Path) -> None:
    places = [made(shm_root, state_dir, run) for run in ("2", "1")]
    places.append(made(state_dir / "none", state_dir, "3"))
    found = find_places(state_id="ab12", state_dir=state_dir, shm_root=shm_root)
    assert [place.path.name for place in found] == ["1", "2", "3"]
    found[0].generation(0, 1).touch()
    for place in found:
        place.remove()
        place.remove()
    assert find_places(state_id="ab12", state_dir=state_dir, shm_root=shm_root) == []
    assert [list(shm_root.iterdir()), list(state_dir.iterdir())] == [[], []]
