"""Keeps the farm's own log readable whatever happens to it: of lines that are alike so many in a while, the rest counted; no secrets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from farm.dsn import without_passwords

ALIKE_MAX = 100
"""Lines of one kind that are let through within WINDOW_S."""
WINDOW_S = 10.0
KINDS_MAX = 1_000
OWN_LIMIT = "farm.output"
"""What jobs print has a limit of its own (output.py), by subworker, and comes without passwords from there."""

Kind = tuple[str, int, str]
"""Logger, level, and the text before values are put into it."""


class Limited(logging.Handler):
    """Passes records on to another handler, unless too many are alike. How many were not passed on is told when their while is over."""

    def __init__(self, inner: logging.Handler, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._inner = inner
        self._clock = clock
        self._seen: dict[Kind, int] = {}
        self._ends_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, or count it. One that cannot be put into words is a mistake of ours that stops nobody."""
        try:
            self._pass(record)
        except Exception:
            self.handleError(record)

    def _pass(self, record: logging.LogRecord) -> None:
        now = self._clock()
        if now >= self._ends_at:
            self._begin_again(now)
        if record.name == OWN_LIMIT:
            self._inner.handle(record)
            return
        kind = (record.name, record.levelno, str(record.msg))
        # Kinds beyond so many, which a mistake of ours would have to make, are one.
        kind = kind if kind in self._seen or len(self._seen) < KINDS_MAX else ("farm", logging.WARNING, "")
        self._seen[kind] = seen = self._seen.get(kind, 0) + 1
        if seen <= ALIKE_MAX:
            self._inner.handle(_without_secrets(record))

    def close(self) -> None:
        """Tell what is still to be told, and close both."""
        self._begin_again(self._clock())
        self._inner.close()
        super().close()

    def _begin_again(self, now: float) -> None:
        self._ends_at = now + WINDOW_S
        seen, self._seen = self._seen, {}
        for (name, level, text), count in seen.items():
            if count > ALIKE_MAX:
                values = (count - ALIKE_MAX, WINDOW_S, text)
                more = logging.LogRecord(name, level, "", 0, "[%d more lines like this within %g s: %s]", values, None)
                more.fields = {"dropped": count - ALIKE_MAX}
                self._inner.handle(more)


def _without_secrets(record: logging.LogRecord) -> logging.LogRecord:
    """Return a record with `***` for what may be a password, in its text and in what goes along with it: nothing should hold one, and this
    is the last place to see to it. The formatters do the same for an exception's text, which they make."""
    given = {name: record.__dict__[name] for name in ("rows", "fields") if name in record.__dict__}
    text = record.getMessage()
    clean, along = without_passwords(text), _clean(given)
    if clean != text:
        along |= {"msg": clean, "args": None}
    return record if along == given else logging.makeLogRecord({**record.__dict__, **along})


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    return type(value)(map(_clean, value)) if type(value) in (list, tuple) else value
