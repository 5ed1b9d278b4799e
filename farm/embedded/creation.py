"""Making the data of a new embedded server: whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess

from farm.embedded.account import Account
from farm.embedded.binaries import Binaries
from farm.embedded.cluster import Cluster
from farm.errors import EmbeddedError

INITDB_S_MAX = 50.0
DRAFT = "data.new-"
OPTIONS = ("-U", "farm", "--auth=trust", "-E", "UTF8", "--no-locale", "--no-instructions")
"""Trust: whoever can reach the socket's directory, which is its owner and root, may come in."""
ENVIRONMENT_KEPT = ("PATH", "LD_LIBRARY_PATH", "TZ")


def create_data(cluster: Cluster, binaries: Binaries, account: Account) -> None:
    """Run initdb and move the result into place. Holds the start lock. Raises EmbeddedError, OSError."""
    draft = cluster.path / f"{DRAFT}{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        if account.dropped:
            os.chown(draft, account.uid, account.gid)
        _initdb(binaries, account, str(draft))
        # Nothing in it names its own place, so it can be moved; before that, a killed start leaves no half of it as `data`.
        os.rename(draft, cluster.data)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    directory = os.open(cluster.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_drafts(cluster: Cluster) -> None:
    """Remove what killed starts have left; an initdb that still runs for nobody leaves it to the next start. Holds the start lock."""
    for left in cluster.path.glob(f"{DRAFT}*"):
        shutil.rmtree(left, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """Give the environment for PostgreSQL's programs: none of the user's PG variables, and messages in English."""
    return {name: os.environ[name] for name in ENVIRONMENT_KEPT if name in os.environ} | {"LC_ALL": "C"}


def _initdb(binaries: Binaries, account: Account, draft: str) -> None:
    command = [str(binaries.directory / "initdb"), "-D", draft, *OPTIONS]
    try:
        made = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INITDB_S_MAX,
            cwd="/",
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o077,
            **account.spawn_options(),
        )
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(f"initdb took longer than {INITDB_S_MAX:.0f} s in {draft}") from error
    if made.returncode != 0:
        raise EmbeddedError(f"initdb failed in {draft}: {_complaint(made.stderr)}")


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "FATAL:" in line or "could not" in line]
    return (telling or lines or ["it said nothing"])[0]
