"""A copy of the sources to plant mistakes in, with an interpreter that imports farm from there and from nowhere else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import venv
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PARTS = ("farm", "runners", "tests", "bench", "configs", "docs", "pyproject.toml", "README.md", "Makefile")
TEST_S_MAX = 60
"""For one test: a mistake may make it wait for ever."""
RUN_S_MAX = 300.0
"""For all tests of one run."""
LEAVE_S_MAX = 30.0


class Run(NamedTuple):
    """What pytest said."""

    code: int
    output: str

    @property
    def passed(self) -> bool:
        return self.code == 0

    @property
    def failed(self) -> bool:
        """True if a test failed: not where it could not even be set up, or was not found."""
        return self.code == 1 and any(line.startswith("FAILED ") for line in self.output.splitlines())


class Copy:
    """A copy in a temporary directory, which goes at the end with all that tests have written.

    What is installed in our environment is seen from it, but for farm itself: its interpreter has an environment of its own, so that
    the processes that a test starts import the copy too, whatever variables they are given.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="farm-mutant-", ignore_cleanup_errors=True)
        self.root = Path(self._directory.name) / "copy"
        self._python = self.root / ".venv" / "bin" / "python"

    def __enter__(self) -> Copy:
        self.root.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, self.root / part)
            else:
                shutil.copy2(ROOT / part, self.root / part)
        venv.EnvBuilder(symlinks=True).create(self.root / ".venv")
        (site,) = (self.root / ".venv").glob("lib/python*/site-packages")
        # No .pth file of the directories named here is read, so farm's own editable installation is not found.
        seen = dict.fromkeys([str(self.root), *(sysconfig.get_path(name) for name in ("purelib", "platlib"))])
        (site / "copy.pth").write_text("".join(f"{path}\n" for path in seen))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._directory.cleanup()

    def imported(self) -> list[Path]:
        """Say where its interpreter finds farm, its runners and its tests, without any help from variables."""
        program = "import farm, runners, tests.mutants as t; print(farm.__file__, runners.__file__, t.__file__, sep='\\n')"
        found = subprocess.run(
            [self._python, "-P", "-c", program], capture_output=True, text=True, check=True, cwd="/", env={"PATH": os.defpath}
        )
        return [Path(line) for line in found.stdout.splitlines()]

    def run(self, *tests: str, major: int) -> Run:
        """Run tests in it, on this PostgreSQL, up to the first that fails."""
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={self.root.parent / 'tests'}", f"--timeout={TEST_S_MAX}"]
        process = subprocess.Popen(
            [self._python, "-m", "pytest", *options, *tests],
            cwd=self.root,
            env={**os.environ, "FARM_TEST_PG": str(major)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output, _ = process.communicate(timeout=RUN_S_MAX)
        except subprocess.TimeoutExpired:
            # It then ends what its tests have started.
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=LEAVE_S_MAX)
        finally:
            process.kill()
        return Run(process.returncode, output)
