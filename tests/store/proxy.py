"""A proxy in front of PostgreSQL that loses what a test tells it to lose."""

from __future__ import annotations

import select
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

BUFFER_BYTES = 1 << 16


class Proxy:
    """Passes bytes between clients and the server of a DSN until it is told otherwise; `dsn` goes through it.

    swallow_answers: what the server says gets lost from now on. swallow_after: the same, from the first message of a client on that
    contains these bytes (which still reaches the server). cut_before: connections are cut before such a message reaches the server.
    """

    def __init__(self, dsn: str) -> None:
        options = conninfo_to_dict(dsn)
        self._server = f"{options['host']}/.s.PGSQL.{options['port']}"
        self._path = Path(tempfile.mkdtemp(prefix="farm-proxy-", dir="/tmp"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path / ".s.PGSQL.5432"))
        self._listener.listen()
        self.dsn = make_conninfo(dsn, host=str(self._path), port=5432)
        self.swallow_answers = False
        self.swallow_after: bytes | None = None
        self.cut_before: bytes | None = None
        self.swallowed = threading.Event()
        """Set when an answer got lost."""
        self.cut = threading.Event()
        """Set when a connection was cut before a message."""
        self._peers: dict[socket.socket, tuple[socket.socket, bool]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()

    def heal(self) -> None:
        """Lose nothing any more; connections on which something was lost stay as they are."""
        self.swallow_answers, self.swallow_after, self.cut_before = False, None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping = True
        self._thread.join()
        for open_socket in [*self._peers, self._listener]:
            open_socket.close()
        shutil.rmtree(self._path)

    def _run(self) -> None:
        while not self._stopping:
            readable, _, _ = select.select([self._listener, *self._peers], [], [], 0.05)
            for ready in readable:
                if ready is self._listener:
                    self._accept()
                elif ready in self._peers:
                    self._pass_on(ready)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server)
        except OSError:
            client.close()
            server.close()
            return
        self._peers[client] = (server, True)
        self._peers[server] = (client, False)

    def _pass_on(self, source: socket.socket) -> None:
        target, from_client = self._peers[source]
        try:
            data = source.recv(BUFFER_BYTES)
        except OSError:
            data = b""
        is_cut = from_client and self.cut_before is not None and self.cut_before in data
        if is_cut:
            self.cut.set()
        if not data or is_cut:
            self._drop(source, target)
            return
        if not from_client and self.swallow_answers:
            self.swallowed.set()
            return
        if from_client and self.swallow_after is not None and self.swallow_after in data:
            self.swallow_answers = True
        try:
            target.sendall(data)
        except OSError:
            self._drop(source, target)

    def _drop(self, one: socket.socket, other: socket.socket) -> None:
        for end in (one, other):
            self._peers.pop(end, None)
            end.close()
