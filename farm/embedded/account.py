"""The account under which PostgreSQL runs: ours, or for root another one, since PostgreSQL refuses root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any, NamedTuple

from farm.errors import EmbeddedError

NAMES_FOR_ROOT = ("postgres", "nobody")


class Account(NamedTuple):
    name: str
    uid: int
    gid: int
    dropped: bool
    """True when we are root and processes must be started under this account."""

    def spawn_options(self) -> dict[str, Any]:
        """Give the arguments of subprocess that start a process under this account; none when it is our own."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.dropped else {}


def own_account() -> Account:
    return Account(str(os.geteuid()), os.geteuid(), os.getegid(), False)


def server_account(data: Path) -> Account:
    """Choose the account for a data directory: its owner, else for root `postgres` or `nobody`. Raises EmbeddedError."""
    if os.geteuid() != 0:
        return own_account()
    if data.exists():
        return _owner(data)
    for name in NAMES_FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, True)
    raise EmbeddedError("PostgreSQL cannot run as root and there is no account postgres or nobody: run farm as another user")


def _owner(data: Path) -> Account:
    # The account that made it goes on: PostgreSQL takes a data directory from its owner only.
    uid = data.stat().st_uid
    if uid == 0:
        raise EmbeddedError(f"{data} belongs to root, under which PostgreSQL cannot run: chown it to postgres or nobody")
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise EmbeddedError(f"{data} belongs to uid {uid}, which has no account on this machine") from error
    return Account(entry.pw_name, uid, entry.pw_gid, True)
