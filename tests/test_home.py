"""FARM_HOME and the state directories in it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farm.embedded import open_server
from farm.errors import EmbeddedError, FarmError, StateDirBusy
from farm.filelock import FileLock
from farm.home import StateDir, cannot_use, farm_home, make_home

SOMEBODY = 65534
HOLDER = """
import sys
from pathlib import Path
from farm.home import StateDir
StateDir.create(Path(sys.argv[1]), "default").lock_supervisor()
print(1, flush=True)
sys.stdin.read()
"""


def test_the_variable_comes_first(tmp_path: Path) -> None:
    assert farm_home({"FARM_HOME": str(tmp_path)}) == tmp_path
    assert farm_home({"FARM_HOME": "~/x"}) == Path.home() / "x"
    assert farm_home({"FARM_HOME": "x"}).is_absolute()


@pytest.mark.parametrize(("uid", "expected"), [(0, Path("/var/lib/farm")), (1000, Path.home() / ".local/share/farm")])
def test_without_it_root_gets_a_place_that_others_can_reach(monkeypatch: pytest.MonkeyPatch, uid: int, expected: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert farm_home({}) == expected


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_home(tmp_path / "home")
        state = StateDir.create(tmp_path / "home", "default")
    finally:
        os.umask(before)
    assert (tmp_path / "home").stat().st_mode & 0o777 == (0o755 if os.geteuid() == 0 else 0o700)
    for path in (state.path, state.path.parent, state.spill_path):
        assert path.stat().st_mode & 0o777 == 0o700


def test_an_id_is_made_once(tmp_path: Path) -> None:
    first = StateDir.create(tmp_path, "default")
    assert len(first.id) == 16
    assert StateDir.create(tmp_path, "default").id == first.id
    assert StateDir.create(tmp_path, "other").id != first.id
    found = StateDir.find(tmp_path, "default")
    assert found is not None
    assert found.id == first.id
    assert [state.instance for state in StateDir.all(tmp_path)] == ["default", "other"]


def test_many_who_make_it_at_once_agree_on_the_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(lambda _: StateDir.create(tmp_path, "default").id, range(64)))
    assert len(ids) == 1
    assert sorted(path.name for path in (tmp_path / "instances" / "default").iterdir()) == ["id", "spill"]


def test_what_was_never_made_is_not_found(tmp_path: Path) -> None:
    assert StateDir.find(tmp_path, "default") is None
    assert StateDir.all(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-a", "a" * 64, "ä", "a\n"])
def test_names_that_could_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FarmError, match="bad instance name"):
        StateDir.create(tmp_path, name)


def test_a_damaged_id_is_reported(tmp_path: Path) -> None:
    state = StateDir.create(tmp_path, "default")
    (state.path / "id").write_text("../../etc\n")
    with pytest.raises(FarmError, match="is damaged"):
        StateDir.create(tmp_path, "default")


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FarmError, match="cannot use") as caught:
        StateDir.create(tmp_path / "file", "default")
    assert "\n" not in str(caught.value)


def test_root_makes_nothing_in_a_home_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could not open what is made there. A home that others may enter is one that root may share."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, SOMEBODY, SOMEBODY)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(FarmError, match=f"{home} belongs to .* alone: name its database"):
        StateDir.create(home, "default")
    with pytest.raises(EmbeddedError, match="alone: name its database"):
        open_server(home)
    assert not list(home.iterdir())
    home.chmod(0o755)
    make_home(home)


def test_a_file_that_may_not_be_read_is_no_missing_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert "file: Permission denied" in str(cannot_use(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))))


def test_a_home_within_what_is_closed_to_us_is_one_line(tmp_path: Path) -> None:
    """Such as that of a farm that runs as a service, for whoever else is on the machine."""
    closed = tmp_path / "closed"
    (closed / "instances" / "default").mkdir(parents=True)
    closed.chmod(0o000)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(SOMEBODY)
        looks: list[Callable[[], object]] = [
            lambda: StateDir.find(closed, "default"),
            lambda: StateDir.create(closed, "default"),
            lambda: make_home(closed / "home"),
        ]
        for look in looks:
            with pytest.raises(FarmError, match=r"cannot use .*: Permission denied \(set FARM_HOME to another directory\)$"):
                look()
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)


def test_one_supervisor_per_directory(tmp_path: Path) -> None:
    first, second = StateDir.create(tmp_path, "default"), StateDir.create(tmp_path, "default")
    other = StateDir.create(tmp_path, "other")
    first.lock_supervisor()
    with pytest.raises(StateDirBusy, match=f"pid {os.getpid()}"):
        second.lock_supervisor()
    other.lock_supervisor()
    first.close()
    first.close()
    second.lock_supervisor()
    second.close()
    other.close()
    assert first.supervisor_lock_path.exists()


def test_a_killed_supervisor_frees_its_directory(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"1\n"
    state = StateDir.create(tmp_path, "default")
    with pytest.raises(StateDirBusy):
        state.lock_supervisor()
    holder.kill()
    holder.communicate()
    state.lock_supervisor()
    state.close()


def test_the_crews_lock_is_free_only_when_the_last_holder_has_ended(tmp_path: Path) -> None:
    state = StateDir.create(tmp_path, "default")
    ours, theirs = state.open_crew_lock(), state.open_crew_lock()
    assert ours.try_exclusive()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[ours.fd])
    ours.close()
    assert not theirs.try_exclusive()
    child.communicate()
    assert theirs.try_exclusive()
    theirs.close()


def test_a_lock_is_shared_or_had_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path) as one, FileLock(path) as two, FileLock(path) as three:
        assert one.try_shared()
        assert two.try_shared()
        assert not three.try_exclusive()
        assert not three.exclusive(0.0)
        one.unlock()
        two.close()
        assert three.exclusive(0.0)
        assert not one.shared(0.0)
