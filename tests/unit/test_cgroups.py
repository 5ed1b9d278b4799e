"""Where control groups may be made, what is written into them, and what is left: against files that play the kernel's.

Version 2 is played here alone; what version 1 does is tried for real in tests/process/test_cgroups.py, where it is there.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from farm import cgroups
from farm.cgroups import Group, Site, find, probe, remove_all
from farm.supervisor.crew.bounds import Bounds
from farm.supervisor.processes.groups import NOTES, Groups

FILES_1 = {
    "cgroup.procs": "",
    "memory.limit_in_bytes": "9223372036854771712",
    "memory.memsw.limit_in_bytes": "9223372036854771712",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    "memory.max_usage_in_bytes": "0",
}
FILES_2 = {
    "cgroup.type": "domain",
    "cgroup.procs": "",
    "cgroup.controllers": "memory pids",
    "cgroup.subtree_control": "",
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.oom.group": "0",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n",
    "memory.peak": "0",
}


class Kernel:
    """A root directory with proc and sys. A group's files come and go with its directory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.top = root / "sys/fs/cgroup"
        self.marked: set[Path] = set()
        self._files: dict[str, str] = {}
        (root / "proc/self").mkdir(parents=True)
        make, remove = Path.mkdir, Path.rmdir

        def mkdir(path: Path, *args: int, **options: int) -> None:
            make(path, *args, **options)  # type: ignore[arg-type]
            if path.is_relative_to(self.top):
                self._fill(path)

        def rmdir(path: Path) -> None:
            if path.is_relative_to(self.top) and not any(entry.is_dir() for entry in path.iterdir()):
                for entry in path.iterdir():
                    entry.unlink()
            remove(path)

        def getxattr(path: Path, name: str) -> bytes:
            if path not in self.marked or name != "user.delegate":
                raise OSError(61, "No data available")
            return b"1"

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "rmdir", rmdir)
        monkeypatch.setattr(os, "getxattr", getxattr)
        # What root owns is nobody's by that.
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def be_in(self, path: str, *, version: int, marked: bool = True) -> Path:
        """Put this process into a group, which is made, and return it."""
        self._files = FILES_1 if version == 1 else FILES_2
        top = self.top / "memory" if version == 1 else self.top
        top.mkdir(parents=True)
        (self.root / "proc/self/cgroup").write_text(f"0::{path}\n" if version == 2 else f"5:memory:{path}\n0::/\n")
        group = top
        for name in path.strip("/").split("/"):
            group = group / name
            group.mkdir()
        if version == 2:
            (top / "cgroup.type").unlink()
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        if marked:
            self.marked.add(group)
        return group

    def _fill(self, path: Path) -> None:
        for name, text in self._files.items():
            (path / name).write_text(text)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path / "root", monkeypatch)


def groups_of(kernel: Kernel, tmp_path: Path, *, run: str = "1", wanted: bool = True) -> Groups:
    return Groups(state_path=tmp_path, state_id="abc", run=run, wanted=wanted, root=kernel.root)


def text(path: Path) -> str:
    return path.read_text().strip()


def test_a_delegated_group_of_version_2(kernel: Kernel, tmp_path: Path) -> None:
    """The farm moves into a leaf first, then each subworker has a group with a limit and no swap; at the end all is as it was."""
    base = kernel.be_in("/system.slice/farm.service", version=2)
    groups = groups_of(kernel, tmp_path)
    groups.open()
    home = base / "farm-abc-1"
    assert groups.home == home
    assert groups.describe() == {"usable": True, "version": 2, "path": str(home), "why": ""}
    assert text(tmp_path / NOTES) == str(home)
    assert text(home / "main/cgroup.procs") == "0"
    assert text(base / "cgroup.subtree_control") == text(home / "cgroup.subtree_control") == "+memory"
    group = groups.make("w0.1")
    assert group is not None
    assert text(group.path / "memory.oom.group") == "1"
    (group.path / "cgroup.procs").write_text("4711\n")
    groups.bound(group, 4711, 100_000_000)
    assert text(group.path / "memory.max").startswith("100000000")
    assert text(group.path / "memory.swap.max").startswith("0")
    groups.forget(group)
    assert not group.path.exists()
    groups.close()
    assert not home.exists()
    assert not (tmp_path / NOTES).exists()
    assert text(base / "cgroup.subtree_control") == "-memory"
    assert text(base / "cgroup.procs").startswith("0")


def test_a_farm_that_its_unit_has_put_into_a_leaf_stays_there(kernel: Kernel, tmp_path: Path) -> None:
    """With DelegateSubgroup= the group above is ours, too, and nobody is in it."""
    own = kernel.be_in("/farm.service/supervisor", version=2, marked=False)
    kernel.marked.add(own.parent)
    groups = groups_of(kernel, tmp_path)
    groups.open()
    assert groups.home == own.parent / "farm-abc-1"
    assert not (groups.home / "main").exists()
    groups.close()
    assert text(own / "cgroup.procs") == str(os.getpid())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda kernel, _base: kernel.marked.clear(), "was not delegated to us"),
        (lambda _kernel, base: (base / "cgroup.controllers").write_text("pids cpu"), "was not given the memory controller"),
        (lambda _kernel, base: (base / "cgroup.procs").write_text(f"{os.getpid()}\n1\n"), "holds other processes than ours"),
        (lambda _kernel, base: (base / "cgroup.procs").write_text("1\n"), "our own control group is not to be seen"),
        (lambda _kernel, base: (base / "cgroup.type").unlink(), "is the root of all control groups"),
    ],
)
def test_what_is_not_ours_is_left_alone(kernel: Kernel, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: object, why: str) -> None:
    """The farm goes on without, and says why in one line."""
    base = kernel.be_in("/user.slice/some.scope", version=2)
    change(kernel, base)  # type: ignore[operator]
    before = {path: path.read_text() for path in kernel.top.rglob("*") if path.is_file()}
    assert why in probe(kernel.root).why
    groups = groups_of(kernel, tmp_path)
    with caplog.at_level(logging.INFO, "farm"):
        groups.open()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert why in caplog.records[0].getMessage()
    assert groups.make("w0.1") is None
    assert {path: path.read_text() for path in kernel.top.rglob("*") if path.is_file()} == before
    groups.close()


def test_a_kernel_that_refuses_leaves_all_as_it_was(kernel: Kernel, tmp_path: Path) -> None:
    """What cannot be limited when it is tried is not used."""
    base = kernel.be_in("/farm.service", version=2)
    kernel._files = {name: text for name, text in FILES_2.items() if name != "memory.max"}
    groups = groups_of(kernel, tmp_path)
    groups.open()
    assert groups.home is None
    assert "memory.max: No such file or directory" in groups.describe()["why"]
    assert not [path for path in base.iterdir() if path.is_dir()]
    assert not (tmp_path / NOTES).exists()


def test_no_control_groups_and_none_wanted(kernel: Kernel, tmp_path: Path) -> None:
    """Neither is an error."""
    assert find(kernel.root) == Site(why="this system has no control groups for memory")
    kernel.be_in("/a", version=1)
    assert probe(kernel.root).as_data() == {"usable": True, "version": 1, "path": str(kernel.top / "memory/a"), "why": ""}
    groups = groups_of(kernel, tmp_path, wanted=False)
    groups.open()
    assert groups.make("w0.1") is None
    assert groups.describe() == {"usable": False, "version": 0, "path": None, "why": "host.cgroup is off"}


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(kernel: Kernel, tmp_path: Path) -> None:
    """Only groups that bear the name of this state directory; one that somebody is in stays noted."""
    base = kernel.be_in("/a", version=1)
    for name in ("farm-abc-1", "farm-abc-1/w0.1", "farm-other-1"):
        (base / name).mkdir()
    (base / "farm-abc-2").mkdir()
    (base / "farm-abc-2/w0.1").mkdir()
    (base / "farm-abc-2/w0.1/stands for a process").mkdir()
    (tmp_path / NOTES).write_text(f"{base}/farm-abc-1\n{base}/farm-abc-2\n{base}/farm-other-1\nfarm-abc-3\n")
    groups = groups_of(kernel, tmp_path, run="4")
    groups.open()
    groups.remove_old()
    assert sorted(path.name for path in base.iterdir() if path.is_dir()) == ["farm-abc-2", "farm-abc-4", "farm-other-1"]
    assert text(tmp_path / NOTES).splitlines() == [f"{base}/farm-abc-2", f"{base}/farm-abc-4"]
    groups.close()
    assert text(tmp_path / NOTES) == f"{base}/farm-abc-2"
    (base / "farm-abc-2/w0.1/stands for a process").rmdir()
    assert remove_all(base / "farm-abc-2")


@pytest.mark.parametrize("version", [1, 2])
def test_kills_are_counted_that_its_own_limit_has_made(kernel: Kernel, version: int) -> None:
    """Not those of a larger group that was full; and each once."""
    group = Group(kernel.be_in("/a", version=version) / "b", version=version)
    group.limit(100_000_000)

    def tell(kills: int, *, at_its_limit: bool) -> None:
        if version == 1:
            (group.path / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
            (group.path / "memory.max_usage_in_bytes").write_text(str(99_900_000 if at_its_limit else 50_000_000))
        else:
            (group.path / "memory.events").write_text(f"low 0\noom {int(at_its_limit)}\noom_kill {kills}\n")
            (group.path / "memory.peak").write_text("99900000")

    tell(1, at_its_limit=False)
    assert (group.kills, group.new_kills()) == (0, 0)
    tell(2, at_its_limit=True)
    assert (group.kills, group.new_kills(), group.new_kills()) == (2, 2, 0)
    assert group.peak_bytes == 99_900_000
    assert not group.holds(os.getpid())


def test_whose_kill_it_was() -> None:
    """A job is beyond doubt the one if no other has run since the last look, be it that it ran then or has started since."""
    generation = SimpleNamespace(started=5)
    bounds = Bounds(None, 0, 0, jobs_before=5)  # type: ignore[arg-type]
    seen = []
    for started, running in ((6, 1), (6, 1), (7, 1), (8, 0), (9, 1), (12, 3)):
        generation.started = started
        seen.append(bounds.may_be(generation, running))  # type: ignore[arg-type]
    assert seen == [1, 1, 2, 2, 1, 4]


def test_joining_takes_a_group() -> None:
    """A directory that is none is told so, and nothing is made in it."""
    with pytest.raises(OSError, match="No such file"):
        cgroups.join("/proc/self/fdinfo")


def test_notes_are_never_half_written(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run has noted is there until what the next one notes stands in its place as a whole."""
    kernel.be_in("/a", version=1)
    groups_of(kernel, tmp_path).open()
    before = text(tmp_path / NOTES)
    assert before

    def die(_path: Path, _target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        groups_of(kernel, tmp_path, run="2").open()
    assert text(tmp_path / NOTES) == before
