"""What a job says of how far it is. In a subworker somebody listens; anywhere else nobody does, so the same code runs in a test.

The listener is state of the module, because a job that reports is a plain function: it is handed nothing of the farm's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, SupportsFloat, SupportsIndex

Listener = Callable[[float | None, str], None]
"""Is told the fraction, from 0 to 1 or None, and the text of whichever job it is that calls."""

_listener: Listener | None = None


class Progress(NamedTuple):
    """What a running job has said last."""

    fraction: float | None
    """From 0 to 1; None: it has not said."""
    text: str


def progress(fraction: SupportsFloat | SupportsIndex | None, text: str = "") -> None:
    """Say how far the job is that calls this: done from 0 to 1 (None: that is not known), and in words what it is at.

    `farm job ID` and `client.progress` show what was said last, a second later at the most; saying it costs about a microsecond
    and no statement. A fraction outside of 0 to 1 counts as the nearer of the two, a text is cut at 120 bytes and shown on one line. May
    be called in coroutines and threads. Does nothing outside of a farm, nor in other processes that a job starts. Raises TypeError.
    """
    if type(fraction) is not float and fraction is not None:
        if isinstance(fraction, bool | str | bytes):
            raise TypeError(f"progress: fraction: expected a number from 0 to 1, or None, got {fraction!r:.80}")
        try:
            fraction = float(fraction)
        except (TypeError, ValueError):
            raise TypeError(f"progress: fraction: expected a number from 0 to 1, or None, got {fraction!r:.80}") from None
    if type(text) is not str and not isinstance(text, str):
        raise TypeError(f"progress: text: expected a str, got {text!r:.80}")
    if _listener is not None:
        _listener(fraction, text)


def listen(listener: Listener | None) -> None:
    """Have what jobs of this process say told to that listener; None: to nobody."""
    global _listener
    _listener = listener


def printable(text: str) -> str:
    """Return a text with a space for everything that steers instead of showing something: line ends, escapes, NUL, halves of pairs."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
