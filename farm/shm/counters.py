"""What a writer's commits came to, as counters in its ack file: one process writes them, anybody reads them without a lock."""

from __future__ import annotations

from typing import Final, NamedTuple

from farm.shm.generation import RingFile

_FIRST_WORD: Final = 128
"""The counters have lines of their own in the header page, away from what others write."""


class Counts(NamedTuple):
    """All since the writer's start."""

    commits: int
    written: int
    """Outcomes that were committed."""
    duplicate: int
    """Dropped: their position was settled already."""
    stale: int
    """Dropped: their lease was gone."""
    already: int
    """Dropped in a retry whose first try had written them."""
    unknown: int
    """Dropped in a retry, and no row tells who settled them."""
    failures: int
    """Commits that did not reach the database."""


def store_counts(file: RingFile, counts: Counts) -> None:
    """Write the counters, one store each: a reader may see some of them a commit behind the others."""
    words = file.words
    for index, value in enumerate(counts, _FIRST_WORD):
        words[index] = value


def load_counts(file: RingFile) -> Counts:
    """Read the counters of a writer, alive or dead."""
    return Counts(*file.words[_FIRST_WORD : _FIRST_WORD + len(Counts._fields)])
