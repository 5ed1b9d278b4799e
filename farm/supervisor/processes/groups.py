"""The control groups of one run of a farm: made at the start where they can be, one for each subworker, removed when it is buried.

They stand in a group of their own, `farm-<id of the state directory>-<run>`. Its path is noted in the state directory: what a run leaves
that was killed, the next one removes, wherever in the system that may be.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from farm.cgroups import Group, Leaf, Site, enable_memory, find, reason_of, remove_all

NOTES = "cgroups"
"""The file in the state directory, a path in each line."""
OFF = Site(why="host.cgroup is off")

log = logging.getLogger("farm")


class Groups:
    """Main thread only. Where there can be none it makes none, and has said so once."""

    def __init__(self, *, state_path: Path, state_id: str, run: str, wanted: bool, root: Path = Path("/")) -> None:
        """run: a name that no other run of this state directory has. root: the directory that holds proc and sys, for tests."""
        self._notes = state_path / NOTES
        self._prefix = f"farm-{state_id}-"
        self._run = run
        self._root = root
        self._wanted = wanted
        self._site = OFF
        self._home: Path | None = None
        self._leaf: Leaf | None = None
        self._old = self._noted()
        self._populated: list[Group] = []
        """Those of the dead in which a job has left somebody behind."""

    @property
    def home(self) -> Path | None:
        """The group that all others are in; None where there are none."""
        return self._home

    def open(self) -> None:
        """Try. Of version 2 this process moves: before it starts any other, or those would be where nobody may be."""
        if not self._wanted:
            return
        self._site = find(self._root)
        if self._site.base is not None and not self._site.why:
            home = self._site.base / f"{self._prefix}{self._run}"
            try:
                self._note([*self._old, home])
                self._make_home(self._site, home)
            except OSError as error:
                remove_all(home)
                self._give_up(reason_of(error))
                self._note(self._old)
        if self._site.why:
            log.info("subworkers have no control groups of their own: %s", self._site.why)

    def remove_old(self) -> None:
        """Remove what earlier runs have left, as far as nobody is in it any more."""
        self._old = [home for home in self._old if not remove_all(home)]
        self._note([*self._old, self._home] if self._home is not None else self._old)

    def make(self, name: str) -> Group | None:
        """Make the group of a subworker; None where there can be none."""
        if self._home is None:
            return None
        try:
            return Group(self._home / name, version=self._site.version)
        except OSError as error:
            # Perhaps there are too many of them; the next one may have one again.
            self._tell_missing(name, reason_of(error))
            return None

    def bound(self, group: Group, pid: int, limit_bytes: int) -> None:
        """Limit the group of a subworker that has been set up. Where that cannot be done it goes on without."""
        try:
            if group.holds(pid):
                group.limit(limit_bytes)
            else:
                self._tell_missing(group.path.name, f"process {pid} is not in it")
        except OSError as error:
            self._tell_missing(group.path.name, reason_of(error))

    def forget(self, group: Group | None) -> None:
        """Remove the group of one that is buried. While somebody is in it that a job has left behind, it stays and keeps its limit."""
        groups = [*self._populated, group] if group is not None else self._populated
        self._populated = [group for group in groups if not group.remove()]

    def close(self) -> None:
        """Remove all, and go back to where this process was. May be called again."""
        home, leaf, self._home, self._leaf = self._home, self._leaf, None, None
        if home is None:
            return
        remove_all(home)
        if leaf is not None:
            leaf.leave()
        self._note(self._old if remove_all(home) else [*self._old, home])

    def describe(self) -> dict[str, Any]:
        """Return what is in use, as data."""
        return {**self._site.as_data(), "path": None if self._home is None else str(self._home)}

    def _make_home(self, site: Site, home: Path) -> None:
        assert site.base is not None
        home.mkdir(mode=0o755)
        if site.is_ours:
            self._leaf = Leaf(site.base, home)
        elif site.version == 2:
            enable_memory(site.base)
            enable_memory(home)
        try:
            # Tried with one that nobody is in: what cannot be limited is of no use.
            trial = Group(home / "trial", version=site.version)
            try:
                trial.limit(1 << 30)
            finally:
                trial.remove()
        except OSError:
            if self._leaf is not None:
                self._leaf.leave()
                self._leaf = None
            raise
        self._home = home

    def _give_up(self, why: str) -> None:
        self._site = Site(version=self._site.version, base=self._site.base, why=why)

    def _tell_missing(self, name: str, why: str) -> None:
        """Once: it is as good as no groups at all."""
        if not self._site.why:
            self._give_up(f"{name}: {why}")
            log.info("some subworkers have no control group of their own: %s", self._site.why)

    def _noted(self) -> list[Path]:
        """Return what earlier runs have noted; nothing else than a group of ours is ever removed, whatever stands in that file."""
        with suppress(OSError):
            paths = map(Path, self._notes.read_text("utf-8", "replace").splitlines())
            return [path for path in paths if path.is_absolute() and path.name.startswith(self._prefix)]
        return []

    def _note(self, homes: list[Path]) -> None:
        # Where it cannot be written the farm has other troubles, and what a killed run has left is empty groups.
        with suppress(OSError):
            if homes:
                # Killed in the middle of this, we must have lost none of them: nobody else knows where they are.
                fresh = self._notes.with_name(f"{NOTES}.new")
                fresh.write_text("".join(f"{home}\n" for home in homes), "utf-8")
                fresh.replace(self._notes)
            else:
                self._notes.unlink(missing_ok=True)
