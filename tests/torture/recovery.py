"""How long it takes until things are as before: conditions that are looked at while the torture goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tests.torture.workload import now

LOOK_S = 0.01
GIVE_UP_S = 60.0


@dataclass(slots=True)
class Wait:
    """One thing that is waited for."""

    name: str
    since: float
    back: Callable[[], bool | None]
    """True when all is well again; None when something else has happened, so that nothing can be said."""


class Taken(NamedTuple):
    """From when to when something was not as before."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.begun


class Recoveries:
    """Looks at all that is waited for, in a thread of its own, and remembers how long each took."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Taken]] = {}
        self.given_up: list[str] = []
        self._waits: list[Wait] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recoveries", daemon=True)
        self._thread.start()

    def expect(self, name: str, back: Callable[[], bool | None], since: float | None = None) -> None:
        """Wait for this from now on."""
        self._waits.append(Wait(name, now() if since is None else since, back))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            for wait in list(self._waits):
                back: bool | None = False
                with suppress(Exception):
                    back = wait.back()
                if back:
                    self.taken.setdefault(wait.name, []).append(Taken(wait.since, now()))
                elif back is False and now() - wait.since < GIVE_UP_S:
                    continue
                elif back is False:
                    self.given_up.append(wait.name)
                self._waits.remove(wait)
