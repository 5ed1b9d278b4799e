"""Being told by PostgreSQL that there is something to do."""

from __future__ import annotations

from psycopg import Notify

from farm.errors import StoreUnavailable
from farm.store.connection import DeadlineConnection
from farm.store.session import Session
from farm.store.statements import load


class WakeStore:
    """The channel farm_wake. Payloads: a class id (its jobs arrived), `later` (something is due sooner), `classes` (there is a new one)."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._listening: DeadlineConnection | None = None
        self._arrived: list[str] = []

    def listen(self) -> int:
        """Listen from now on; returns the descriptor that is readable when something arrives. Needs a DSN without a pooler.

        What was sent before, or between two connections, is lost: look for work after listening.
        """

        def unit(connection: DeadlineConnection) -> int:
            if connection is not self._listening:
                connection.add_notify_handler(self._note)
                connection.execute(load("listen"))
                self._listening = connection
            return connection.fileno()

        return self._session.run(unit)

    def take(self) -> list[str]:
        """Return the payloads that have arrived, without blocking. After StoreUnavailable, listen anew."""

        def unit(connection: DeadlineConnection) -> list[str]:
            if connection is not self._listening:
                raise StoreUnavailable("the connection that listened is lost")
            connection.pgconn.consume_input()
            while (notification := connection.pgconn.notifies()) is not None:
                self._arrived.append(notification.extra.decode())
            payloads, self._arrived = self._arrived, []
            return payloads

        return self._session.run(unit)

    def check(self) -> list[str]:
        """Ask the server for an answer, since a silent connection may be a dead one; returns what has arrived, as take does."""
        self._session.fetch("ask")
        return self.take()

    def close(self) -> None:
        """Stop listening. Never raises."""
        self._listening = None
        self._session.close()

    def _note(self, notification: Notify) -> None:
        self._arrived.append(notification.payload)
