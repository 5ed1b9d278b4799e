"""Runs the store's own code in threads, one message to the database at a time, in any order that a test asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

from farm.store.connection import DeadlineConnection
from farm.store.session import Session

R = TypeVar("R")
PATIENCE_S = 30.0

_of_this_thread = threading.local()


class SteppedConnection(DeadlineConnection):
    """Asks its actor for leave before each message. What is sent inside a COPY belongs to the message that began it."""

    def wait(self, gen: PQGen[R], interval: float = 0.0, timeout: float | None = None) -> R:
        actor: Actor | None = getattr(_of_this_thread, "actor", None)
        if actor is not None and self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
            actor.pause()
        return super().wait(gen, interval, timeout)


class Actor:
    """A thread that stands before its next message until it is stepped."""

    def __init__(self, session: Session, work: Callable[[Session], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False
        self._session = session
        self._work = work
        session.fetch("ask")
        self._pid = session.run(lambda connection: connection.info.backend_pid)
        self._leave = threading.Semaphore(0)
        self._standing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def pause(self) -> None:
        """Stand until there is leave; called by the connection, in the actor's thread."""
        self._standing.set()
        assert self._leave.acquire(timeout=PATIENCE_S)

    def step(self, observer: psycopg.Connection[Any]) -> None:
        """Let it send one message, and wait until it stands before the next one, is done, or waits for a lock."""
        # It may have waited for a lock when it was left, and have come to its end by itself since.
        if self.done or not self.stands(observer) or self.done:
            return
        self._standing.clear()
        self._leave.release()
        self.stands(observer)

    def stands(self, observer: psycopg.Connection[Any]) -> bool:
        """Wait until it stands, is done, or waits for a lock; False in the last case."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._standing.wait(0.002):
            assert time.monotonic() < deadline
            row = observer.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self._pid]).fetchone()
            if row is not None and row[0] and not self._standing.is_set():
                return False
        return True

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        _of_this_thread.actor = self
        try:
            self.result = self._work(self._session)
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self._standing.set()


class Stage:
    """Sessions that are used again from order to order, and the observer who sees who waits for whom."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._sessions: list[Session] = []
        self._observer = psycopg.connect(dsn, autocommit=True)

    def play(self, works: Sequence[Callable[[Session], Any]], order: Sequence[int]) -> list[Any]:
        """Run works side by side, their messages in this order (a list of indexes), then what is left of them; returns their results."""
        while len(self._sessions) < len(works):
            self._sessions.append(Session(self._dsn, application_name="actor", deadline_s=PATIENCE_S))
        actors = [Actor(session, work) for session, work in zip(self._sessions, works, strict=False)]
        for index in order:
            actors[index].step(self._observer)
        while not all(actor.done for actor in actors):
            for actor in actors:
                actor.step(self._observer)
        for actor in actors:
            actor.join()
        return [actor.result for actor in actors]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.close()
        self._observer.close()


def orders(*lengths: int) -> Iterator[tuple[int, ...]]:
    """Give every order in which works of so many messages can be mixed."""
    if not any(lengths):
        yield ()
    for index, length in enumerate(lengths):
        if length:
            rest = [*lengths]
            rest[index] -= 1
            for tail in orders(*rest):
                yield (index, *tail)
