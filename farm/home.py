"""Where a farm keeps its own files: FARM_HOME and the state directory of each instance in it."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from farm.errors import FarmError, StateDirBusy
from farm.filelock import FileLock

INSTANCE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
ID_PATTERN = re.compile(r"[0-9a-f]{16}")
ROOT_HOME = Path("/var/lib/farm")


def farm_home(environ: Mapping[str, str] | None = None) -> Path:
    """Say where FARM_HOME is, without making it: the variable, else /var/lib/farm for root, else ~/.local/share/farm.

    Root's own home is closed to every other account, and PostgreSQL cannot run as root: hence /var/lib.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("FARM_HOME")
    try:
        if named:
            return Path(named).expanduser().absolute()
        return ROOT_HOME if os.geteuid() == 0 else Path.home() / ".local" / "share" / "farm"
    except RuntimeError as error:
        raise FarmError(f"no home directory for uid {os.geteuid()}: set FARM_HOME to a directory of your own") from error


def make_home(home: Path) -> None:
    """Make FARM_HOME if it is missing: for root open to the account of PostgreSQL, else for its owner alone. Raises FarmError.

    Root is refused where it is closed to all but another account.
    """
    try:
        make_directory(home, 0o755 if os.geteuid() == 0 else 0o700)
        status = home.stat()
    except OSError as error:
        raise cannot_use(home, error) from error
    if os.geteuid() == 0 != status.st_uid and not status.st_mode & 0o077:
        # What root makes there, a lock or a database, its owner could never open: the farm of a service would not start any more.
        name = _account_name(status.st_uid)
        raise FarmError(f"{home} belongs to {name} alone: name its database (FARM_DSN), or run this as {name} (runuser -u {name} ...)")


def cannot_use(path: Path, error: OSError) -> FarmError:
    """Return what to raise when files cannot be kept in a directory: what is in the way, and that it may be another one."""
    reason = error.strerror or str(error)
    # Not exists() of a path: that raises where somebody else's directory is in the way.
    in_the_way = next((place for place in (path, *path.parents) if os.path.exists(place)), path)
    if isinstance(error, (FileExistsError, NotADirectoryError)) and not in_the_way.is_dir():
        reason = f"{in_the_way} is not a directory"
    elif isinstance(error, FileNotFoundError):
        reason = f"nothing can be made in {in_the_way}"
    return FarmError(f"cannot use {path}: {reason} (set FARM_HOME to another directory)")


def make_directory(path: Path, mode: int) -> None:
    """Make a directory and its parents; mode is exact, whatever the umask, but an existing one keeps its own. Raises OSError."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(mode)


class StateDir:
    """FARM_HOME/instances/<instance>: what tells one farm on this host from another.

    `supervisor.lock` is held by the living supervisor, `crew.lock` by every process of its crew (neither is ever unlinked);
    `id` is random and names the directory in shared memory; `spill` takes frames that are too large for a ring.
    """

    def __init__(self, path: Path, state_id: str) -> None:
        self.path = path
        self.instance = path.name
        self.id = state_id
        self._supervisor: FileLock | None = None

    @classmethod
    def create(cls, home: Path, instance: str) -> StateDir:
        """Open the state directory of an instance, made when missing. Raises FarmError."""
        path = _instance_path(home, instance)
        make_home(home)
        try:
            make_directory(path.parent, 0o700)
            make_directory(path, 0o700)
            make_directory(path / "spill", 0o700)
            return cls(path, _read_id(path) or _make_id(path))
        except OSError as error:
            raise cannot_use(path, error) from error

    @classmethod
    def find(cls, home: Path, instance: str) -> StateDir | None:
        """Open the state directory of an instance for reading; None if it has never been made. Raises FarmError."""
        path = _instance_path(home, instance)
        try:
            state_id = _read_id(path)
        except OSError as error:
            raise cannot_use(path, error) from error
        return None if state_id is None else cls(path, state_id)

    @classmethod
    def all(cls, home: Path) -> list[StateDir]:
        """Open the state directories of every instance under this home, by name."""
        try:
            names = sorted(entry.name for entry in (home / "instances").iterdir())
        except OSError:
            return []
        found = (cls.find(home, name) for name in names if INSTANCE_PATTERN.fullmatch(name))
        return [state for state in found if state is not None]

    @property
    def spill_path(self) -> Path:
        return self.path / "spill"

    @property
    def supervisor_lock_path(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def crew_lock_path(self) -> Path:
        return self.path / "crew.lock"

    def lock_supervisor(self) -> None:
        """Become the one supervisor of this directory until close(). Raises StateDirBusy if there is one, FarmError."""
        try:
            lock = FileLock(self.supervisor_lock_path)
        except OSError as error:
            raise cannot_use(self.path, error) from error
        if not lock.try_exclusive():
            holder = lock.noted_pid()
            lock.close()
            who = f" (pid {holder})" if holder else ""
            home = self.path.parent.parent
            raise StateDirBusy(f"another farm runs as {self.instance!r} in {home}{who}: stop it or set another host.name")
        lock.note_pid()
        self._supervisor = lock

    def open_crew_lock(self) -> FileLock:
        """Open crew.lock, not yet taken: held by a crew as long as one process of it lives. Raises FarmError."""
        try:
            return FileLock(self.crew_lock_path)
        except OSError as error:
            raise cannot_use(self.path, error) from error

    def close(self) -> None:
        """Let go of supervisor.lock. May be called again, and on one never locked."""
        lock, self._supervisor = self._supervisor, None
        if lock is not None:
            lock.close()


def _account_name(uid: int) -> str:
    """Return the name of an account, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _instance_path(home: Path, instance: str) -> Path:
    if not INSTANCE_PATTERN.fullmatch(instance):
        raise FarmError(f"bad instance name {instance!r}: letters, digits and _ . : - only, at most 63, a letter or digit first")
    return home / "instances" / instance


def _read_id(path: Path) -> str | None:
    try:
        text = (path / "id").read_text("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not ID_PATTERN.fullmatch(text):
        raise FarmError(f"{path / 'id'} is damaged: remove it when no farm runs there")
    return text


def _make_id(path: Path) -> str:
    # Linked into place only when complete and on disk, so that two starters agree and nobody reads half of it.
    draft = path / f".id-{os.urandom(8).hex()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, os.urandom(8).hex().encode() + b"\n")
        os.fsync(fd)
        os.link(draft, path / "id")
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        draft.unlink()
    state_id = _read_id(path)
    assert state_id is not None
    return state_id
