"""What a writer's commits came to, as numbers in its ack file: one process writes them, anybody reads them without a lock."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

from farm.shm.generation import RingFile
from farm.spread import SIZE_BOUNDS, TIME_BOUNDS_S, Spread

_FIRST_WORD: Final = 128
"""The numbers have lines of their own in the header page, away from what others write."""
_TIME_WORDS, _SIZE_WORDS = len(TIME_BOUNDS_S) + 1, len(SIZE_BOUNDS) + 1


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


class Standing(NamedTuple):
    """How the writer stood after its last commit, or the last try at one."""

    held: int
    """Outcomes that it holds because they could not be committed; 0 while commits succeed."""
    failing_since_ns: int
    """CLOCK_MONOTONIC of the first try that failed, 0 while commits succeed."""
    committed_ns: int
    """CLOCK_MONOTONIC of the last commit that succeeded, 0 before the first."""


class Commits(NamedTuple):
    """All that a writer tells of its commits."""

    counts: Counts
    standing: Standing
    times: Spread
    """Seconds that each successful commit took, from its first statement to the answer of its last (TIME_BOUNDS_S)."""
    sizes: Spread
    """Outcomes of each of these (SIZE_BOUNDS)."""

    def plus(self, later: Commits) -> Commits:
        """Return this writer's and its successor's together, which stand as the successor does."""
        counts = Counts(*map(sum, zip(self.counts, later.counts, strict=True)))
        return Commits(counts, later.standing, self.times.plus(later.times), self.sizes.plus(later.sizes))


NO_COMMITS: Final = Commits(Counts(*[0] * 7), Standing(0, 0, 0), Spread(TIME_BOUNDS_S), Spread(SIZE_BOUNDS))
_COUNTS, _STANDING = len(Counts._fields), len(Standing._fields)
_WORDS: Final = _COUNTS + _STANDING + _TIME_WORDS + _SIZE_WORDS + 2


def store_commits(file: RingFile, commits: Commits) -> None:
    """Write all of it at once: a reader may see some of them a commit behind the others."""
    counts, standing, times, sizes = commits
    packed = array("Q", (*counts, *standing, *times.counts, round(times.total * 1e9), *sizes.counts, round(sizes.total)))
    file.words[_FIRST_WORD : _FIRST_WORD + _WORDS] = memoryview(packed)


def load_commits(file: RingFile) -> Commits:
    """Read what a writer tells, alive or dead."""
    words = file.words[_FIRST_WORD : _FIRST_WORD + _WORDS].tolist()
    times_at = _COUNTS + _STANDING
    sizes_at = times_at + _TIME_WORDS + 1
    return Commits(
        Counts(*words[:_COUNTS]),
        Standing(*words[_COUNTS:times_at]),
        Spread(TIME_BOUNDS_S, words[times_at : sizes_at - 1], words[sizes_at - 1] / 1e9),
        Spread(SIZE_BOUNDS, words[sizes_at:-1], float(words[-1])),
    )


def load_counts(file: RingFile) -> Counts:
    """Read the counts alone."""
    return Counts(*file.words[_FIRST_WORD : _FIRST_WORD + _COUNTS])
