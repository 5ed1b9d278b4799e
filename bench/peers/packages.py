"""Where the packages of the peers live: a directory each, outside of farm's environment, made once and found again.

They are installed by name at pinned versions with pip and npm, below `$XDG_CACHE_HOME/farm-bench-peers` (`~/.cache` where that is not
set). A marker is touched last: a directory without it was broken off in the making and is made anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

INSTALL_S_MAX = 300.0
REPOSITORY = Path(__file__).resolve().parent.parent.parent
LINES_SHOWN = 5
NEWEST_PYTHON = (3, 14)
"""That a peer is tried with."""


class PeerFailed(Exception):
    """A peer could not be installed, filled or measured. Its text is for the reader: what was tried, and what was said."""


class PeerMissing(PeerFailed):
    """A peer needs something that this machine does not have, and that is none of its faults."""


class Packages(Protocol):
    """The pinned packages of a peer, and its worker that runs with them."""

    def install(self) -> str:
        """Install them where they are not yet. Returns how, in one line; raises PeerFailed."""

    def command(self, order: str) -> list[str]:
        """Return the command line of a worker with this order."""

    @property
    def directory(self) -> Path:
        """Where a worker runs."""


@dataclass(frozen=True, slots=True)
class PythonPackages:
    """An environment of their own, of the Python that runs this or of a newer one; the worker is a module of bench.peers."""

    worker: str
    pins: tuple[str, ...]
    python: tuple[int, int] = (3, 11)
    """The oldest that will do."""

    @property
    def directory(self) -> Path:
        return REPOSITORY

    def install(self) -> str:
        with _Made(_home(self.pins)) as home:
            if not home.whole:
                _run([_find_python(self.python), "-m", "venv", str(home.path)])
                _run([str(home.path / "bin/python"), "-m", "pip", "install", "--quiet", *self.pins])
            version = _run([str(home.path / "bin/python"), "--version"])
        return f"pip install {' '.join(self.pins)}, {version.strip()}"

    def command(self, order: str) -> list[str]:
        return [str(_home(self.pins) / "bin/python"), "-m", f"bench.peers.{self.worker}", order]


@dataclass(frozen=True, slots=True)
class NodePackages:
    """A directory with node_modules, Node itself among them; the worker is a script of bench/peers."""

    worker: str
    pins: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return _home(self.pins)

    def install(self) -> str:
        with _Made(self.directory) as home:
            if not home.whole:
                home.path.mkdir(parents=True)
                _run(["npm", "install", "--prefix", str(home.path), "--no-audit", "--no-fund", *self.pins])
            version = _run([self._node, "--version"])
        return f"npm install {' '.join(self.pins)}, Node {version.strip()}"

    def command(self, order: str) -> list[str]:
        return [self._node, str(Path(__file__).with_name(self.worker)), order]

    @property
    def _node(self) -> str:
        return str(self.directory / "node_modules/.bin/node")


class _Made:
    """A directory that is whole or is made anew. Used in a with block: leaving it in order makes it whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._marker = path / ".whole"

    @property
    def whole(self) -> bool:
        return self._marker.exists()

    def __enter__(self) -> _Made:
        if not self.whole:
            shutil.rmtree(self.path, ignore_errors=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._marker.touch()


def _home(pins: Sequence[str]) -> Path:
    """Return the directory of these packages: another version is another directory."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "farm-bench-peers" / "_".join(pin.replace("==", "-").replace("@", "-") for pin in pins)


def _find_python(oldest: tuple[int, int]) -> str:
    """Return the Python that runs this, or else another one of this machine that is not too old. Raises PeerMissing."""
    if sys.version_info[:2] >= oldest:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(oldest[1], NEWEST_PYTHON[1] + 1)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in (*names, *(str(path) for name in names for path in sorted(pyenv.glob(f"versions/*/bin/{name}")))):
        # One that is only a name (a version manager's shim), or lacks a part, is passed over.
        with suppress(PeerFailed):
            _run([python, "-c", "import venv, ensurepip"])
            return python
    raise PeerMissing(f"it needs Python {oldest[0]}.{oldest[1]} or newer, which is not here")


def _run(command: Sequence[str]) -> str:
    """Run a command and return what it printed. Raises PeerFailed with the last lines that it said."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_S_MAX)
    except FileNotFoundError:
        raise PeerFailed(f"{command[0]} is not installed here") from None
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"{' '.join(command[:3])} did not end within {INSTALL_S_MAX:.0f} s") from None
    if done.returncode != 0:
        said = "; ".join(done.stderr.strip().splitlines()[-LINES_SHOWN:])
        raise PeerFailed(f"{' '.join(command[:3])} ended with exit code {done.returncode}: {said}")
    return done.stdout
