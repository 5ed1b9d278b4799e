"""Hearing NOTIFY: a connection that listens, and listens again whenever it had to be replaced."""

from __future__ import annotations

import os
import select
from time import monotonic

from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import load

MARGIN_S = 5.0
ASK_EVERY_S = 10.0
"""A connection on which nothing is sent looks alive for hours after something in between has forgotten it."""
INTERRUPTS_MAX = 4096


class Wakeups:
    """Payloads of the channel to which a statement listens; with None it hears nothing, and its waits end at their time only."""

    def __init__(self, session: Session, statement: str | None = "listen") -> None:
        self._session = session
        self._statement = statement
        self._listening: DeadlineConnection | None = None
        self._aside: list[str] = []
        """Payloads that came while the connection was used for something else: psycopg takes them in with the answer."""
        self._asked_at = 0.0
        self._interrupt_in, self._interrupt_out = os.pipe()
        os.set_blocking(self._interrupt_in, False)
        os.set_blocking(self._interrupt_out, False)

        self._interrupted = False

    def interrupt(self) -> None:
        """End the wait that is under way, else the next one; from any thread."""
        if not self._interrupted:
            self._interrupted = True
            os.write(self._interrupt_out, b"!")

    def wait(self, timeout_s: float) -> list[str] | None:
        """Wait up to timeout_s for the next ones; empty if none came. None: it hears from now on, and some may have been missed.

        Raises StoreUnavailable: nothing is heard until the next None.
        """
        if self._statement is None:
            self.pause(timeout_s)
            return []
        return self._session.run(lambda connection: self._hear(connection, timeout_s), deadline_s=timeout_s + MARGIN_S)

    def pause(self, timeout_s: float) -> None:
        """Wait up to timeout_s for nothing but an interrupt."""
        self._poll(None, timeout_s)

    def close(self) -> None:
        """Let go of what interrupts; the connection is the session's. No wait may be under way."""
        os.close(self._interrupt_in)
        os.close(self._interrupt_out)

    def _hear(self, connection: DeadlineConnection, timeout_s: float) -> list[str] | None:
        assert self._statement is not None
        if connection is not self._listening:
            connection.add_notify_handler(lambda notify: self._aside.append(notify.payload))
            connection.execute(load(self._statement))
            self._listening, self._asked_at = connection, monotonic()
            return None
        if monotonic() - self._asked_at > ASK_EVERY_S:
            connection.execute(load("ask"))
            self._asked_at = monotonic()
        if self._aside:
            payloads, self._aside = self._aside, []
            return payloads
        pgconn = connection.pgconn
        if not self._poll(pgconn.socket, timeout_s):
            return []
        pgconn.consume_input()
        payloads = []
        while (notify := pgconn.notifies()) is not None:
            payloads.append(notify.extra.decode())
        return payloads

    def _poll(self, fd: int | None, timeout_s: float) -> bool:
        """Wait until there is something to read; False if that is not from the database."""
        poll = select.poll()
        poll.register(self._interrupt_in, select.POLLIN)
        if fd is not None:
            poll.register(fd, select.POLLIN)
        ready = [found for found, _event in poll.poll(timeout_s * 1000)]
        if self._interrupt_in in ready:
            os.read(self._interrupt_in, INTERRUPTS_MAX)
            # In this order: the other way round, an interrupt in between would leave the flag without its byte.
            self._interrupted = False
        return fd in ready
