"""Everything that is wrong with a configuration, collected while reading goes on."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from farm.errors import ConfigError

PROBLEMS_MAX = 100
"""More lines than this help nobody."""
SHOWN_MAX = 60
MESSAGE_MAX = 400


class Place(NamedTuple):
    """A position in the file, both counted from 1."""

    line: int
    column: int


START = Place(1, 1)


class Problems:
    """The problems of one file. `path` in every call is that of a key, such as `lanes.default.queues[0]`, or "" for the file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: dict[tuple[Place, str, str], None] = {}

    def add(self, place: Place, path: str, message: str) -> None:
        """Note one problem; the same one twice is kept once."""
        short = message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 3] + "..."
        self._found[place, printable(path), printable(short)] = None

    def lines(self) -> list[str]:
        """Return every problem as `file:line:column: path: message`, in the order of the file."""
        ordered = sorted(self._found)
        lines = [f"{self._file}:{place.line}:{place.column}: {path + ': ' if path else ''}{text}" for place, path, text in ordered]
        if len(lines) > PROBLEMS_MAX:
            lines[PROBLEMS_MAX:] = [f"{self._file}: and {len(lines) - PROBLEMS_MAX} more problems"]
        return lines

    def raise_if_any(self) -> None:
        """Raise ConfigError with all that was noted, if anything was."""
        if self._found:
            raise ConfigError(self.lines())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'steal'?` for a word close to a known one, else ""."""
    close = _closest(word[:SHOWN_MAX], tuple(known))
    return f"; did you mean {close!r}?" if close else ""


@lru_cache(maxsize=256)
def _closest(word: str, known: tuple[str, ...]) -> str | None:
    # Kept, because a file of a megabyte may hold the same slip ten thousand times, at half a millisecond each.
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.6)), None)


def shown(text: str) -> str:
    """Return a piece of the file as it can stand in a message: one line, printable, not too long."""
    return printable(text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "...")


def printable(text: str) -> str:
    """Return text with `?` for every character that could break the line or steer a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
