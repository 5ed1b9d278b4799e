"""The directory of one embedded PostgreSQL: FARM_HOME/pg<major>, with its data, locks, socket and log."""

from __future__ import annotations

import os
from pathlib import Path

from farm.embedded.account import Account
from farm.errors import EmbeddedError
from farm.home import make_directory

PORT = 5432
"""Part of the socket's name only: there is no TCP."""
SOCKET_DIR_BYTES_MAX = 90
"""A socket's path has at most 107 bytes, and PostgreSQL adds `/.s.PGSQL.5432` to the directory."""
LOG_BYTES_MAX = 16 << 20
COMPLAINTS = ("FATAL:", "PANIC:", "postgres:", "keeper:")
TURNED_AWAY = ("is starting up", "is shutting down", "not yet accepting", "terminating connection", "does not exist", "too many clients")
"""What the log says of clients who came at the wrong moment: no reason why a server does not start."""


class Cluster:
    """Paths of one embedded server. Only `data` and the socket's directory belong to the server's account.

    So as root nothing is ever written through a path in which that account could have planted a link.
    """

    def __init__(self, home: Path, major: int) -> None:
        self.major = major
        self.path = home / f"pg{major}"
        self.data = self.path / "data"
        self.log_path = self.path / "server.log"
        self.binaries_path = self.path / "binaries"
        self.users_lock_path = self.path / "users.lock"
        """Shared by every user; the keeper tries to have it alone."""
        self.start_lock_path = self.path / "start.lock"
        """Held by whoever looks whether the server runs, and starts it."""
        self.keeper_lock_path = self.path / "keeper.lock"
        """Held by the keeper for life."""

    @classmethod
    def existing(cls, home: Path) -> list[Cluster]:
        """List those that hold data, newest major first."""
        numbers = [path.name[2:] for path in home.glob("pg*") if path.name[2:].isdigit() and (path / "data").is_dir()]
        return [cls(home, number) for number in sorted(map(int, numbers), reverse=True)]

    @property
    def socket_dir(self) -> Path:
        """Where the server's socket is: inside this directory, or under /tmp when the path is too long for a socket or libpq."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= SOCKET_DIR_BYTES_MAX and "," not in str(inside):
            return inside
        # Not at the top: it costs the keeper 3 MB, for a case that is rare.
        import hashlib

        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path("/tmp") / f"farm-{os.geteuid()}-{digest}"

    def make(self) -> None:
        """Make the directory itself. Raises OSError."""
        make_directory(self.path, 0o755 if os.geteuid() == 0 else 0o700)

    def make_socket_dir(self, account: Account) -> None:
        """Make the socket's directory, open to the server's account alone. Raises EmbeddedError if somebody else has it, OSError."""
        directory = self.socket_dir
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            pass
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise EmbeddedError(f"{directory} cannot be used ({error.strerror}): remove it, or set FARM_HOME to a shorter path") from error
        try:
            # The one under /tmp has a name that anybody can work out: one that is not ours may be a trap.
            if os.fstat(fd).st_uid not in (account.uid, os.geteuid()):
                raise EmbeddedError(f"{directory} is not ours: remove it, or set FARM_HOME to a shorter path")
            os.fchown(fd, account.uid, account.gid)
            os.fchmod(fd, 0o700)
        finally:
            os.close(fd)

    def remove_outer_socket_dir(self) -> None:
        """Leave nothing under /tmp when the server has stopped."""
        directory = self.socket_dir
        if directory.parent != self.path:
            try:
                directory.rmdir()
            except OSError:
                pass

    def log_bytes(self) -> int:
        """Say how long the log is now; 0 when there is none."""
        try:
            return self.log_path.stat().st_size
        except OSError:
            return 0

    def last_complaint(self, offset: int) -> str | None:
        """Find what the server's log last complained of, after a byte offset; None if of nothing."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(offset, log.seek(0, os.SEEK_END) - 65536))
                lines = log.read(65536).decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        for line in reversed(lines):
            mark = next((mark for mark in COMPLAINTS if mark in line), None)
            if mark is not None and not any(words in line for words in TURNED_AWAY):
                return line[line.index(mark) :].strip()
        return None
