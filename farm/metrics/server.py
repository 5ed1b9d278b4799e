"""A small HTTP server on a thread of its own: GET and HEAD of a few pages, one answer a connection. It never waits for a client.

No http.server: a thread for each client, headers of any length read a byte at a time by whoever likes to, and 20 ms of import.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from farm.errors import FarmError

CLIENTS_MAX = 16
"""Who comes while so many are there takes the place of whoever has said nothing for longest; where all wait for answers, nobody's."""
REQUEST_BYTES_MAX = 8192
ASK_S = 5.0
"""Within this a request must be here."""
READ_S = 10.0
"""Within this its answer must be taken."""
TICK_S_MAX = 5.0
REST_FACTOR, REST_S_MAX = 9.0, 0.25
"""After a page none is made for so many times as long as it took: whoever asks without a pause gets a tenth of the time."""
PARTS_MAX = 1024
"""Linux takes no more in one call."""
FULL_S = 0.1
"""Where no more descriptors are to be had, so long nobody is taken in."""
_CHUNK_BYTES = 1 << 16
_NO_NAME = "this can be no name of a machine"

log = logging.getLogger("farm")


class Answer(NamedTuple):
    """What a page is answered with."""

    status: int
    body: Sequence[bytes]
    """In parts: a page of a megabyte is not to be put together first."""
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[], Answer]
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(slots=True)
class _Client:
    """One connection. First it asks, then it reads."""

    socket: socket.socket
    until: float
    asked: bytearray = field(default_factory=bytearray)
    answer: deque[bytes | memoryview] | None = None
    """What of it is to be sent yet."""


class Server:
    """Listens from its making on; answers from start() on."""

    def __init__(self, host: str, port: int, *, pages: Mapping[str, Page], tick: Callable[[], object]) -> None:
        """pages: by path, made in this thread. tick: called there every TICK_S_MAX at the latest. Raises FarmError if it cannot listen."""
        self._listener = bind(host, port, listens=True)
        self._pages = pages
        self._look = tick
        self._tick_at = self._rest_until = 0.0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake_fd, selectors.EVENT_READ)
        self._clients: dict[int, _Client] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, as a client would write it."""
        address = self._listener.getsockname()
        host = f"[{address[0]}]" if self._listener.family == socket.AF_INET6 else address[0]
        return f"http://{host}:{address[1]}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Let go of everybody, and of the port."""
        self._closing = True
        os.eventfd_write(self._wake_fd, 1)
        if self._thread.is_alive():
            self._thread.join(ASK_S)
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        self._listener.close()
        os.close(self._wake_fd)

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn(time.monotonic())
            except Exception:
                log.exception("the metrics thread failed; it goes on")
                time.sleep(1.0)

    def _turn(self, now: float) -> None:
        if now >= self._tick_at:
            self._tick_at = now + TICK_S_MAX
            self._look()
        for late in [client for client in self._clients.values() if now >= client.until]:
            self._drop(late)
        until = min((client.until for client in self._clients.values()), default=self._tick_at)
        for key, _events in self._selector.select(max(0.0, min(until, self._tick_at) - now)):
            if key.fileobj is self._listener:
                self._accept()
            elif (client := self._clients.get(key.fd)) is not None:
                self._serve(client)

    def _accept(self) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            time.sleep(FULL_S)
            return
        if len(self._clients) >= CLIENTS_MAX:
            idle = min((client for client in self._clients.values() if client.answer is None), key=_until, default=None)
            if idle is None:
                connection.close()
                return
            self._drop(idle)
        connection.setblocking(False)
        client = _Client(connection, time.monotonic() + ASK_S)
        self._clients[connection.fileno()] = client
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, client: _Client) -> None:
        """Read what has come, or send what can be taken."""
        try:
            if client.answer is None:
                self._read(client)
            else:
                self._send(client, client.answer)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _read(self, client: _Client) -> None:
        data = client.socket.recv(_CHUNK_BYTES)
        client.asked += data
        if not data:
            self._drop(client)
        elif b"\r\n\r\n" in client.asked or b"\n\n" in client.asked or len(client.asked) > REQUEST_BYTES_MAX:
            answer = self._answer(bytes(client.asked))
            client.until = time.monotonic() + READ_S
            self._selector.modify(client.socket, selectors.EVENT_WRITE)
            self._send(client, answer)

    def _send(self, client: _Client, answer: deque[bytes | memoryview]) -> None:
        client.answer = answer
        sent = client.socket.sendmsg(list(islice(answer, PARTS_MAX)))
        while answer and sent >= len(answer[0]):
            sent -= len(answer.popleft())
        if answer:
            answer[0] = memoryview(answer[0])[sent:]
            return
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_WR)
        self._drop(client)

    def _answer(self, asked: bytes) -> deque[bytes | memoryview]:
        method, path = _request(asked)
        if method not in ("GET", "HEAD"):
            answer = Answer(400, [b"not a request\n"]) if not method else Answer(405, [b"only GET and HEAD\n"])
        elif (page := self._pages.get(path)) is None:
            answer = Answer(404, [f"there are {', '.join(self._pages)}\n".encode()])
        else:
            answer = self._made(page)
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: {answer.content_type}\r\n"
            f"Content-Length: {sum(map(len, answer.body))}\r\nCache-Control: no-store\r\nConnection: close\r\n"
        )
        if answer.status == 405:
            head += "Allow: GET, HEAD\r\n"
        return deque([f"{head}\r\n".encode(), *(answer.body if method != "HEAD" else ())])

    def _made(self, page: Page) -> Answer:
        time.sleep(max(0.0, self._rest_until - time.monotonic()))
        begun = time.monotonic()
        try:
            return page()
        except Exception:
            log.exception("a page of the metrics server could not be made")
            return Answer(500, [b"the log says why this page could not be made\n"])
        finally:
            now = time.monotonic()
            self._rest_until = now + min(REST_FACTOR * (now - begun), REST_S_MAX)

    def _drop(self, client: _Client) -> None:
        self._clients.pop(client.socket.fileno(), None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.socket.close()


def _until(client: _Client) -> float:
    return client.until


def _request(asked: bytes) -> tuple[str, str]:
    """Return the method and the path of a request, ("", "") if it is none."""
    words = asked.split(b"\n", 1)[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or len(asked) > REQUEST_BYTES_MAX:
        return "", ""
    method, target, _version = (word.decode("latin-1") for word in words)
    return method, target.partition("?")[0]


def bind(host: str, port: int, *, listens: bool) -> socket.socket:
    """Return a socket that has this address, or keeps it free, if it is not to listen. Raises FarmError, of an OSError."""
    where = f"metrics: cannot listen on {host}, port {port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # `localhost` is both: what scrapes knows the older one.
        family, _type, _proto, _name, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.socket(family, socket.SOCK_STREAM)
    except UnicodeError:
        # Not even looked up: a part of it is empty, or too long.
        raise FarmError(f"{where}: {_NO_NAME}") from socket.gaierror(socket.EAI_NONAME, _NO_NAME)
    except OSError as error:
        raise FarmError(f"{where}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        if listens:
            listener.listen(CLIENTS_MAX)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise FarmError(f"{where}: {error.strerror}") from error
    return listener
