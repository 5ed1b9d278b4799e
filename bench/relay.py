"""Counts client round trips: stands between farms and PostgreSQL, passes every byte on, and sees who speaks when.

A round trip is what the word says: a client that has heard something speaks, and waits. So a message of many statements is one, a COPY is
two (asking for it, and sending the rows), and what is sent ahead without waiting counts once. Connecting counts as well.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK_BYTES = 1 << 18
TERMINATE = b"X\0\0\0\4"
"""The last message of a client, which waits for no answer."""
NAME = re.compile(rb"\0application_name\0([^\0]*)\0")
"""In the first message of a connection."""


class Relay:
    """A socket in a directory of its own, served by a thread. Leaving the context closes every connection."""

    def __init__(self, dsn: str, directory: Path) -> None:
        """dsn: of a database that is reached through a socket in a directory. directory: must be there."""
        parts = conninfo_to_dict(dsn)
        name = f".s.PGSQL.{parts.get('port', 5432)}"
        self._server = f"{parts['host']}/{name}"
        self.dsn = make_conninfo(dsn, host=str(directory))
        """Leads to the same database."""
        self.round_trips: Counter[str] = Counter()
        """By the name of the application. To be read when the context has been left."""
        self._speaks: dict[socket.socket, bool] = {}
        """Of each client: whether it was the last to speak."""
        self._names: dict[socket.socket, str] = {}
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(directory / name))
        self._listening.listen()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._ending, self._end = socket.socketpair()
        self._selector.register(self._ending, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.close()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ending:
                    return
                if key.fileobj is self._listening:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # type: ignore[union-attr]
                    # Else it was closed a moment ago, together with the other one of its pair.
                    self._pass_on(key.fileobj, key.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        self._speaks[client] = False
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            said = source.recv(CHUNK_BYTES)
            if said:
                self._note(source, target, said)
                target.sendall(said)
                return
        except OSError:
            # One of the two has gone; the other must be told.
            pass
        for one in (source, target):
            self._selector.unregister(one)
            one.close()

    def _note(self, source: socket.socket, target: socket.socket, said: bytes) -> None:
        if source not in self._speaks:
            self._speaks[target] = False
            return
        if source not in self._names:
            found = NAME.search(said)
            self._names[source] = found[1].decode() if found else "?"
        if not self._speaks[source] and said != TERMINATE:
            self._speaks[source] = True
            self.round_trips[self._names[source]] += 1
