"""Tasks that wish for something instead of returning a result, until they have been started often enough."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chores import leave_line  # type: ignore[import-not-found]

import farm


class Vague(farm.Snooze):
    """A snooze that does not know for how long."""

    def __init__(self) -> None:
        Exception.__init__(self)


WISHES: dict[str, Any] = {
    "retry": lambda: farm.Retry(after_s=0, message="not yet"),
    "retry later": lambda: farm.Retry(after_s=3000),
    "retry whenever": lambda: farm.Retry(),
    "snooze": lambda: farm.Snooze(after_s=0),
    "snooze for long": lambda: farm.Snooze(3000),
    "snooze wrongly": lambda: farm.Snooze(after_s=-1),
    "snooze vaguely": Vague,
    "cancel": lambda: farm.Cancel("the \ud800 customer has gone\0"),
}


def wish(path: str, number: int, name: str) -> int:
    """Leave a line, and wish for something the first time; returns how often it was started."""
    leave_line(path, f"{number} {name}")
    starts = sum(line.startswith(f"{number} ") for line in Path(path).read_text().splitlines())
    if starts == 1:
        raise WISHES[name]()
    return starts


async def wish_async(path: str, number: int, name: str) -> int:
    """The same, on a loop."""
    await asyncio.sleep(0.001)
    return wish(path, number, name)
