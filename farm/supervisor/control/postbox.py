"""What comes through the database: requests on their way to the main thread, and its answers on their way back."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from farm.model import HostRequest

AT_ONCE_MAX = 50
"""Requests that are passed on and not answered yet."""


class Requests(Protocol):
    """What is asked of the store."""

    def unanswered(self, host_id: int, limit: int) -> Sequence[HostRequest]: ...
    def answer(self, request_id: int, answer: Mapping[str, Any]) -> None: ...


class Postbox:
    """Between the heartbeat's thread, which owns the connection, and the main thread, which never waits for a database.

    A request is passed on once, and stands in the table until its answer is written: an answer that could not be is written later.
    """

    def __init__(self, *, store: Requests, deliver: Callable[[HostRequest], None], wake: Callable[[], None]) -> None:
        """deliver: hand a request to the main thread; wake: have the heartbeat's thread write answers soon."""
        self._store = store
        self._deliver = deliver
        self._wake = wake
        self._passed_on: set[int] = set()
        self._answers: queue.SimpleQueue[tuple[int, Mapping[str, Any]]] = queue.SimpleQueue()
        self._writing: tuple[int, Mapping[str, Any]] | None = None

    def answer(self, request_id: int, answer: Mapping[str, Any]) -> None:
        """Have an answer written; from the main thread."""
        self._answers.put((request_id, answer))
        self._wake()

    def exchange(self, host_id: int, any_new: bool) -> None:
        """Write the answers that there are, then pass on what is new. In the heartbeat's thread. Raises StoreUnavailable."""
        self.write_answers()
        if any_new:
            for request in self._store.unanswered(host_id, AT_ONCE_MAX):
                if request.id not in self._passed_on and len(self._passed_on) < AT_ONCE_MAX:
                    self._passed_on.add(request.id)
                    self._deliver(request)

    def write_answers(self) -> None:
        """Write the answers that there are. Raises StoreUnavailable: the one that was being written is written with the next call."""
        while self._writing is not None or not self._answers.empty():
            self._writing = self._writing or self._answers.get_nowait()
            request_id, answer = self._writing
            self._store.answer(request_id, answer)
            self._passed_on.discard(request_id)
            self._writing = None
