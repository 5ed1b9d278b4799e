"""A psycopg connection whose every wait ends at a deadline of ours."""

from __future__ import annotations

import os
import select
import socket
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen

from farm.errors import StoreUnavailable

R = TypeVar("R")

_POLL_S_MAX = 86400.0
"""poll() takes milliseconds in a C int: a call without a deadline waits in pieces."""


class DeadlineConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on its server.

    A server or network that swallows packets keeps a client waiting past every TCP setting, so the limit is ours: when
    `deadline` (CLOCK_MONOTONIC, seconds) passes inside a call, the socket is shut down and StoreUnavailable raised. What the
    call did is then unknown.
    """

    deadline: float = float("inf")

    def wait(self, gen: PQGen[R], interval: float = 0.0, timeout: float | None = None) -> R:
        """Run a generator of psycopg to its end. Raises StoreUnavailable at the deadline."""
        # A batch of results takes many rounds here, so a round does little: psycopg's Wait and Ready are numbers below 4.
        fd = self.pgconn.socket
        poller = select.poll()
        poll = poller.poll
        registered = -1
        try:
            wanted: int = next(gen)
            while True:
                if wanted != registered:
                    poller.register(fd, _POLL_EVENTS[wanted])
                    registered = wanted
                left_s = self.deadline - monotonic()
                if left_s <= 0:
                    raise self._give_up(fd)
                if events := poll(min(left_s, _POLL_S_MAX) * 1000):
                    wanted = gen.send(_READY.get(events[0][1]) or waiting.Ready(wanted))
        except StopIteration as end:
            result: R = end.value
            return result

    def _give_up(self, fd: int) -> StoreUnavailable:
        # Without the shutdown, closing the connection would try to say goodbye to a server that does not listen.
        with socket.socket(fileno=os.dup(fd)) as twin:
            try:
                twin.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was quicker
        return StoreUnavailable("the database did not answer in time")


_POLL_EVENTS = (0, select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT)
"""By psycopg's Wait: what to wait for."""

_READY = {
    select.POLLIN: waiting.READY_R,
    select.POLLOUT: waiting.READY_W,
    select.POLLIN | select.POLLOUT: waiting.READY_RW,
}
"""By what poll found: what to tell psycopg. Anything else is an error or a hang-up, which libpq finds when it does what it wanted."""
