"""The control socket: who may speak to this farm, one question at a time, and never so that the farm has to wait. Main thread only."""

from __future__ import annotations

import logging
import os
import pwd
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from farm.control import ANSWER_BYTES_MAX, LEFT, REQUEST_BYTES_MAX, SOCKET_NAME, peer_of, reachable

CLIENTS_MAX = 16
"""Connected at once; for one more, the one goes that has been silent for longest."""
BACKLOG = 16
TALK_S = 5.0
"""How long a client may take for its first request, for the rest of one, and for reading an answer."""
IDLE_S = 60.0
"""How long one that was answered may stay without another request: who waits for the end of a drain asks all the time."""
SHARE, PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 0.005, 0.25
"""Requests take this share of the main thread's time at the most, however many come; after one that took long, as a reload does, the
next one need not wait for all that."""
ACCEPTS_MAX = 8
"""In one look: jobs are waiting."""
DEAF_S = 1.0
"""How long no connection is taken after one could not be: this process has no descriptor left."""

Answer = dict[str, Any]
Perform = Callable[[dict[str, Any], str], Answer]
"""(request, who asks, in words) -> answer."""

log = logging.getLogger("farm")


class Client:
    """One connection. Modes: asking (its bytes are read); waiting (it has asked, and is read no more); answering (bytes of the answer
    are left: it has to read first)."""

    def __init__(self, connection: socket.socket, by: str, now: float) -> None:
        self.socket = connection
        self.fd = connection.fileno()
        self.by = by
        self.buffer = b""
        self.unsent = b""
        self.is_last = False
        """It is to go when the rest is sent."""
        self.heard_at = now
        self.deadline = now + TALK_S


class Control:
    """A part of the main thread. `fd` is readable when there is something to hear; `step` answers, seldom enough."""

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Make the socket; who connects waits until somebody serves. Whatever stands in its place is removed: whoever holds the lock of
        the directory is the only farm there. Raises OSError.
        """
        self._directory = directory
        self._perform: Perform = _is_starting
        self._clock = clock
        self._uids = {0, os.geteuid()}
        self._clients: dict[int, Client] = {}
        self._asked: deque[tuple[Client, bytes]] = deque()
        self._next_at = 0.0
        self._deaf_until: float | None = None
        self._poll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            # Before it has a name: the name is made with this mode, so there is no moment at which others could connect.
            os.fchmod(self._listener.fileno(), 0o600)
            with suppress(FileNotFoundError):
                (directory / SOCKET_NAME).unlink()
            with reachable(directory) as address:
                self._listener.bind(address)
            self._listener.listen(BACKLOG)
            self._poll.register(self._listener.fileno(), select.EPOLLIN)
        except BaseException:
            self._listener.close()
            self._poll.close()
            raise

    @property
    def fd(self) -> int:
        """Readable while a client has something to say, or room for what it is told."""
        return self._poll.fileno()

    def serve(self, perform: Perform) -> None:
        """Have requests performed by this from now on. It raises nothing."""
        self._perform = perform

    def hear(self) -> None:
        """Take what clients send, without waiting for any."""
        now = self._clock()
        for fd, events in self._poll.poll(0, CLIENTS_MAX + 1):
            if fd == self._listener.fileno():
                self._accept(now)
            elif (client := self._clients.get(fd)) is not None:
                if events & select.EPOLLOUT:
                    self._send(client, now)
                elif events & select.EPOLLIN:
                    self._read(client, now)
                else:
                    # Gone while it waited for its answer. What it asked for is left undone: nobody would hear of it.
                    self._drop(client)

    def step(self, now: float) -> float:
        """Answer the next one, let those go whose time is up; returns the seconds until there is more to do."""
        if not self._clients and self._deaf_until is None:
            return float("inf")
        if self._deaf_until is not None and now >= self._deaf_until:
            self._deaf_until = None
            self._poll.register(self._listener.fileno(), select.EPOLLIN)
        if self._asked and now >= self._next_at:
            self._answer(*self._asked.popleft(), now)
        for client in [client for client in self._clients.values() if now >= client.deadline]:
            self._drop(client)
        waits = [client.deadline - now for client in self._clients.values()]
        if self._asked:
            waits.append(self._next_at - now)
        if self._deaf_until is not None:
            waits.append(self._deaf_until - now)
        return max(0.0, min(waits, default=float("inf")))

    def close(self, code: int | None = None) -> None:
        """Take the socket away and tell whoever is still connected how the farm ends; may be called again."""
        if self._poll.closed:
            return
        self._poll.close()
        self._listener.close()
        with suppress(OSError):
            (self._directory / SOCKET_NAME).unlink()
        for client in self._clients.values():
            if code is not None:
                # Whoever has room for it: these few bytes fit unless earlier ones were never read.
                with suppress(OSError):
                    client.socket.send(client.unsent + orjson.dumps({LEFT: code}) + b"\n", socket.MSG_NOSIGNAL)
            client.socket.close()
        self._clients.clear()
        self._asked.clear()

    def _accept(self, now: float) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError as error:
                log.warning("the control socket takes no connections for now: %s", error.strerror)
                self._poll.unregister(self._listener.fileno())
                self._deaf_until = now + DEAF_S
                return
            connection.setblocking(False)
            self._welcome(connection, now)

    def _welcome(self, connection: socket.socket, now: float) -> None:
        pid, uid = peer_of(connection)
        if uid not in self._uids:
            with suppress(OSError):
                connection.send(
                    orjson.dumps({"error": f"uid {uid} may not speak to this farm, only the user that runs it, and root"}) + b"\n"
                )
            connection.close()
            log.warning("the control socket refused uid %d (pid %d)", uid, pid)
            return
        if len(self._clients) >= CLIENTS_MAX:
            self._drop(min(self._clients.values(), key=lambda client: client.heard_at))
        client = Client(connection, f"{_user(uid)}, pid {pid}", now)
        self._clients[client.fd] = client
        self._poll.register(client.fd, select.EPOLLIN)

    def _read(self, client: Client, now: float) -> None:
        try:
            piece = client.socket.recv(REQUEST_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(client)
            return
        if not client.buffer:
            client.deadline = now + TALK_S
        client.buffer += piece
        line, end, rest = client.buffer.partition(b"\n")
        if rest:
            self._tell(client, {"error": "one request at a time: wait for the answer before the next one"}, now, last=True)
        elif len(line) > REQUEST_BYTES_MAX:
            self._tell(client, {"error": f"a request has at most {REQUEST_BYTES_MAX:,} bytes"}, now, last=True)
        elif end:
            client.buffer = b""
            client.heard_at = now
            client.deadline = float("inf")
            # It is read again when it has its answer: what it sends until then waits in the kernel, and then with the sender.
            self._poll.modify(client.fd, 0)
            self._asked.append((client, line))

    def _answer(self, client: Client, line: bytes, now: float) -> None:
        if self._clients.get(client.fd) is not client:
            return
        begun = self._clock()
        answer = self._performed(line, client.by)
        self._next_at = now + min(max(PAUSE_S_MIN, (self._clock() - begun) / SHARE), PAUSE_S_MAX)
        self._tell(client, answer, now)

    def _performed(self, line: bytes, by: str) -> Answer:
        try:
            request = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return {"error": f"expected one JSON object a line: {error}"}
        if not isinstance(request, dict) or not isinstance(request.get("do"), str):
            return {"error": 'expected an object with what to do, such as {"do": "status"}'}
        return self._perform(request, by)

    def _tell(self, client: Client, answer: Answer, now: float, *, last: bool = False) -> None:
        client.unsent, client.is_last = _encoded(answer), last
        client.deadline = now + TALK_S
        self._poll.modify(client.fd, select.EPOLLOUT)
        self._send(client, now)

    def _send(self, client: Client, now: float) -> None:
        try:
            sent = client.socket.send(client.unsent, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        client.unsent = client.unsent[sent:]
        if client.unsent:
            return
        if client.is_last:
            self._drop(client)
            return
        client.deadline = now + IDLE_S
        self._poll.modify(client.fd, select.EPOLLIN)

    def _drop(self, client: Client) -> None:
        del self._clients[client.fd]
        self._poll.unregister(client.fd)
        client.socket.close()


def _encoded(answer: Answer) -> bytes:
    try:
        message = orjson.dumps(answer) + b"\n"
    except orjson.JSONEncodeError:
        # The name of a file, say: on Linux those need not be text.
        message = orjson.dumps({"error": "the answer holds what is no UTF-8"}) + b"\n"
    return message if len(message) <= ANSWER_BYTES_MAX else orjson.dumps({"error": "the answer is too large"}) + b"\n"


def _is_starting(_request: dict[str, Any], _by: str) -> Answer:
    return {"error": "the farm is just starting"}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
