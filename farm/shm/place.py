"""Where the files of one run of a supervisor stand: a directory in /dev/shm, or in the state directory if that is too small."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from farm.errors import FarmError

SHM_ROOT = Path("/dev/shm")
_GENERATION_NAME = re.compile(r"w([0-9]+)\.([0-9]+)")


class GenerationName(NamedTuple):
    """A generation file that was found."""

    subworker: int
    generation: int
    path: Path


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one run. Private to its user: what stands in it are arguments and results of jobs."""

    path: Path
    warning: str | None = None
    """One line for the log, if the files could not stand in memory."""

    @property
    def desk(self) -> Path:
        """The ring of the supervisor's own outcomes."""
        return self.path / "desk"

    @property
    def ack(self) -> Path:
        """The ring from the writer to the supervisor."""
        return self.path / "ack"

    @property
    def failures(self) -> Path:
        """The last attempts that came to no good."""
        return self.path / "failures"

    def generation(self, subworker: int, generation: int) -> Path:
        """Name the file of one generation of a subworker."""
        return self.path / f"w{subworker}.{generation}"

    def generations(self) -> list[GenerationName]:
        """List the generation files that stand here, in the order in which they were made."""
        found = []
        for path in self.path.iterdir():
            match = _GENERATION_NAME.fullmatch(path.name)
            if match:
                found.append(GenerationName(int(match[1]), int(match[2]), path))
        return sorted(found)

    def check_room(self, bytes_needed: int) -> None:
        """Raise FarmError if files of that size cannot stand here beside those that do."""
        reason = _unfit(self.path, bytes_needed)
        if reason is not None:
            raise FarmError(f"no room for {_mib(bytes_needed)} more of rings: {reason}")

    def remove(self) -> None:
        """Remove the directory with all that stands in it. Processes that have a file mapped keep their memory."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self.path.parent.rmdir()


def make_place(*, state_id: str, run: str, bytes_needed: int, state_dir: Path, shm_root: Path = SHM_ROOT) -> Place:
    """Make the directory of a run: in /dev/shm if bytes_needed are free there, else in the state directory, with a warning.

    The caller holds the lock of the state directory. Raises FarmError if neither has the space or can be written.
    """
    reason = _unfit(shm_root, bytes_needed)
    if reason is None:
        try:
            return Place(_make_private(_home_in(shm_root, state_id), run))
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
    fallback = _home_beside(state_dir)
    nowhere = _unfit(state_dir, bytes_needed)
    if nowhere is not None:
        raise FarmError(f"no place for {_mib(bytes_needed)} of rings: {reason}; {nowhere}")
    try:
        path = _make_private(fallback, run)
    except OSError as error:
        raise FarmError(f"no place for rings: {reason}; {error.filename}: {error.strerror}") from error
    return Place(path, f"rings stand in {path} and not in memory, which is slower: {reason}")


def find_places(*, state_id: str, state_dir: Path, shm_root: Path = SHM_ROOT) -> list[Place]:
    """List the directories of all runs that were not removed, by name."""
    homes = [home for home in (_home_in(shm_root, state_id), _home_beside(state_dir)) if _is_private(home)]
    runs = [Place(path) for home in homes for path in home.iterdir() if _is_private(path)]
    return sorted(runs, key=lambda place: place.path.name)


def _home_in(shm_root: Path, state_id: str) -> Path:
    return shm_root / f"farm-{state_id}"


def _home_beside(state_dir: Path) -> Path:
    return state_dir / "rings"


def _unfit(root: Path, bytes_needed: int) -> str | None:
    """Say why files of that size cannot stand there."""
    try:
        status = os.statvfs(root)
    except OSError as error:
        return f"{root}: {error.strerror}"
    free = status.f_bavail * status.f_frsize
    return None if free >= bytes_needed else f"{root} has {_mib(free)} free of {_mib(bytes_needed)} needed"


def _make_private(home: Path, run: str) -> Path:
    """Make home and home/run, readable by us alone. A home of somebody else's is refused: anybody may write into /dev/shm."""
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    if not _is_private(home):
        raise PermissionError(1, "is not a private directory of this user", str(home))
    path = home / run
    path.mkdir(mode=0o700)
    return path


def _is_private(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return (status.st_mode & 0o170077, status.st_uid) == (0o040000, os.geteuid())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
