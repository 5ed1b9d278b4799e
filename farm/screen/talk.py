"""The talk of a screen with a farm: asks again and again what the farm alone knows, and never waits for an answer for long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from farm.control import Connection, Gone, Refused, Silent
from farm.errors import FarmError

ASK_S = 1.0
HURRY_S, HURRIES_MAX = 0.25, 8
"""While the farm has not yet found out what nobody has asked it for lately."""
CONNECT_S = 0.5
"""Between two tries to find a farm that is gone."""
FIRST_WAIT_S, WAIT_S = 0.5, 0.005
"""For the first answer, and for later ones: what comes later is there at the next look."""
TASKS_MAX = 200

Answer = dict[str, Any]
Key = tuple[int, int]
"""The number of a subworker's generation, and a sequence."""


class Talk:
    """Modes: nobody there (it tries to connect now and then); asked (an answer is awaited); at rest until it is time to ask again."""

    def __init__(self, find: Callable[[], Connection | None]) -> None:
        """find: connects to the farm; None if there is none."""
        self._find = find
        self._connection: Connection | None = None
        self._awaited = ""
        self._answers = 0
        self._asked_tasks: list[Key] = []
        self._ask_at = self._connect_at = float("-inf")
        self.answer: Answer | None = None
        """The last one of this farm; None: nothing is known of it."""
        self.answered_at = float("-inf")
        self.refusal = ""
        """Why it does not tell: it is just starting, or knows no screens."""
        self.tasks: dict[Key, str] = {}
        """Of running jobs, as far as they were asked for."""

    @property
    def connected(self) -> bool:
        """True while there is a farm, however slow it is to answer."""
        return self._connection is not None

    def look(self, now: float, wanted: Sequence[Key] = ()) -> None:
        """Take what has come, and ask what is due; wanted: jobs whose task is to be asked for. Raises nothing."""
        if self._connection is not None or self._connect(now):
            self._step(now, wanted)
        # One that was silent for long has been let go by the farm itself.
        if self._connection is None and self.answer is not None and self._connect(now):
            self._step(now, wanted)

    def _step(self, now: float, wanted: Sequence[Key]) -> None:
        try:
            wait_s = FIRST_WAIT_S if self.answer is None and not self.refusal else WAIT_S
            if self._awaited:
                self._receive(now, wait_s)
            if not self._awaited and now >= self._ask_at:
                self._ask_at = now + ASK_S
                self._send("screen")
                self._receive(now, wait_s)
            if not self._awaited and (unknown := [key for key in wanted if key not in self.tasks][:TASKS_MAX]):
                self._asked_tasks = unknown
                self._send("tasks", of=unknown)
                self._receive(now, WAIT_S)
        except Silent:
            pass
        except Gone:
            self._lose(now)
        except FarmError as error:
            self.refusal = str(error)
            self._lose(now)

    def close(self) -> None:
        """End the talk; may be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self, now: float) -> bool:
        if now < self._connect_at:
            return False
        self._connect_at = now + CONNECT_S
        with suppress(FarmError):
            self._connection = self._find()
        if self._connection is None:
            return False
        self._awaited, self._ask_at, self.refusal = "", now, ""
        self.answer, self.tasks, self._answers = None, {}, 0
        return True

    def _send(self, do: str, **arguments: Any) -> None:
        assert self._connection is not None
        self._awaited = do
        self._connection.send(do, wait_s=WAIT_S, **arguments)

    def _receive(self, now: float, wait_s: float) -> None:
        assert self._connection is not None
        try:
            answer = self._connection.receive(wait_s)
        except Refused as error:
            self._awaited, self.refusal = "", str(error)
            return
        awaited, self._awaited = self._awaited, ""
        if awaited == "tasks":
            self._take_tasks(answer.get("tasks"))
            return
        self.answer, self.answered_at, self.refusal = answer, now, ""
        self._answers += 1
        if self._answers < HURRIES_MAX and (answer.get("hosts") is None or answer.get("depths") is None):
            self._ask_at = min(self._ask_at, now + HURRY_S)

    def _take_tasks(self, tasks: Any) -> None:
        for key, task in zip(self._asked_tasks, tasks if isinstance(tasks, list) else (), strict=False):
            if isinstance(task, str):
                self.tasks[key] = task

    def _lose(self, now: float) -> None:
        self.close()
        self._awaited, self._connect_at = "", now
