"""Hearing NOTIFY: a connection that listens, and listens again whenever it had to be replaced."""

from __future__ import annotations

import os
import select

from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import load

MARGIN_S = 5.0


class Wakeups:
    """Payloads of channel farm_wake."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listening: DeadlineConnection | None = None
        self._aside: list[str] = []
        """Payloads that came while the connection was used for something else: psycopg takes them in with the answer."""
        self._interrupt_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def interrupt(self) -> None:
        """End the wait that is under way, and every later one at once; from any thread."""
        os.eventfd_write(self._interrupt_fd, 1)

    def wait(self, timeout_s: float) -> list[str] | None:
        """Wait up to timeout_s for the next ones; empty if none came. None: it hears from now on, and some may have been missed.

        Raises StoreUnavailable: nothing is heard until the next None.
        """
        return self._session.run(lambda connection: self._hear(connection, timeout_s), deadline_s=timeout_s + MARGIN_S)

    def _hear(self, connection: DeadlineConnection, timeout_s: float) -> list[str] | None:
        if connection is not self._listening:
            connection.add_notify_handler(lambda notify: self._aside.append(notify.payload))
            connection.execute(load("listen"))
            self._listening = connection
            return None
        if self._aside:
            payloads, self._aside = self._aside, []
            return payloads
        pgconn = connection.pgconn
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        poll.register(self._interrupt_fd, select.POLLIN)
        if not any(fd == pgconn.socket for fd, _event in poll.poll(timeout_s * 1000)):
            return []
        pgconn.consume_input()
        payloads = []
        while (notify := pgconn.notifies()) is not None:
            payloads.append(notify.extra.decode())
        return payloads
