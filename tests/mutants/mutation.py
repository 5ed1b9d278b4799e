"""A planted mistake, as data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class MutationError(Exception):
    """A mutation does not fit the sources any more."""


class Mutation(NamedTuple):
    """One change of one file that makes farm wrong, and the test that must fail for it."""

    name: str
    """What farm does wrong then."""
    file: str
    """Relative to the root of the sources."""
    old: str
    """Stands there exactly once."""
    new: str
    caught_by: str
    """Node id of the test; all its parameters are tried until one fails."""

    def apply(self, root: Path) -> None:
        """Plant it in the sources under this directory. Raises MutationError if it does not fit."""
        path = root / self.file
        text = path.read_text() if path.exists() else ""
        if text.count(self.old) != 1 or self.old == self.new:
            raise MutationError(f"{self.name}: stands {text.count(self.old)} times, not once, in {self.file}: {self.old!r}")
        path.write_text(text.replace(self.old, self.new))
