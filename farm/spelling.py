"""What a misspelt word may have meant."""

from __future__ import annotations

from collections.abc import Iterable

WORD_MAX = 60
"""Nobody misspells a longer one."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'steal'?` for a word close to a known one, else ""."""
    from difflib import get_close_matches  # Only mistakes need it, and it is a slow import.

    close = get_close_matches(word[:WORD_MAX], list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
