"""A proxy in front of PostgreSQL that loses what it is told to lose, at the very moment that it is told.

It reads the messages of clients (PostgreSQL's protocol, version 3), so that a connection can be cut before a certain statement reaches
the server, or after the server has done it and before the answer comes back. Two threads for each connection: this is a tool of tests.
"""

from __future__ import annotations

import random
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

BUFFER_BYTES = 1 << 16
UNENCRYPTED = b"N"
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
JOIN_S_MAX = 10.0
COMMIT = b"COMMIT"
"""Stands in every message that closes a transaction of farm's."""


class Fault(StrEnum):
    """What may happen to a request.

    CUT_BEFORE: both connections are cut, and the server never sees it. CUT_AFTER: the server does it, then both are cut, and the client
    never sees the answer. SWALLOW: the server does it, and nothing that it says on this connection arrives any more. DELAY: it is late.
    """

    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    SWALLOW = "swallow"
    DELAY = "delay"


class Hole(StrEnum):
    """Which way nothing passes: it waits in the proxy, and passes when that is over, if somebody is still there to hear it."""

    NONE = "none"
    ANSWERS = "answers"
    BOTH = "both"


class Rule:
    """A fault for the requests that contain a text; `fired` counts how often it really struck."""

    def __init__(self, fault: Fault, text: bytes = b"", *, application: str = "", rate: float = 1.0, left: int | None = None) -> None:
        """application: a part of the client's application_name. left: how often it may strike yet; None: as often as it matches."""
        self.fault = fault
        self.delay_s = 0.0
        self.fired = 0
        self._text = text
        self._application = application
        self._rate = rate
        self._left = left
        self._lock = threading.Lock()

    def arm(self, times: int = 1) -> None:
        """Let it strike so many times more."""
        with self._lock:
            self._left = (self._left or 0) + times

    def disarm(self) -> None:
        """Let it strike no more."""
        with self._lock:
            self._left = 0

    @property
    def left(self) -> int | None:
        return self._left

    def strikes(self, application: str, text: bytes, chance: float) -> bool:
        """Decide about one request."""
        if self._text not in text or self._application not in application or chance >= self._rate:
            return False
        with self._lock:
            if self._left is not None:
                if self._left <= 0:
                    return False
                self._left -= 1
        return True

    def note_fired(self) -> None:
        with self._lock:
            self.fired += 1


class Proxy:
    """Passes bytes between clients and the server of a DSN until it is told otherwise; `dsn` goes through it."""

    def __init__(self, dsn: str, *, tcp: bool = False, seed: int = 0) -> None:
        self._options = conninfo_to_dict(dsn)
        self._random = random.Random(seed)
        self._path = Path(tempfile.mkdtemp(prefix="farm-proxy-", dir="/tmp"))
        self._listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self._listener.bind(("127.0.0.1", 0) if tcp else str(self._path / ".s.PGSQL.5432"))
        self._listener.listen(100)
        where = ("127.0.0.1", self._listener.getsockname()[1]) if tcp else (str(self._path), 5432)
        self.dsn = make_conninfo(dsn, host=where[0], port=where[1], sslmode="disable")
        self.rules: list[Rule] = []
        self.resets = 0
        """Connections that were cut, whatever they were doing."""
        self._open = threading.Event()
        """Set while requests pass."""
        self._hearing = threading.Event()
        """Set while answers pass."""
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.heal()
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    def rule(self, fault: Fault, text: bytes = b"", *, application: str = "", rate: float = 1.0, left: int | None = None) -> Rule:
        """Add a rule; the first that strikes a request decides about it."""
        rule = Rule(fault, text, application=application, rate=rate, left=left)
        self.rules = [*self.rules, rule]
        return rule

    def lose(self, hole: Hole) -> None:
        """Let nothing pass from now on, or no answers."""
        for event, passes in ((self._open, hole is not Hole.BOTH), (self._hearing, hole is Hole.NONE)):
            if passes:
                event.set()
            else:
                event.clear()

    def heal(self) -> None:
        """Forget all rules and let everything pass. Connections whose answers were swallowed stay deaf."""
        self.rules = []
        self.lose(Hole.NONE)

    def reset(self, application: str = "") -> int:
        """Cut the connections of those clients now; returns how many there were."""
        with self._lock:
            links = [link for link in self._links if application in link.application]
        for link in links:
            link.cut()
        self.resets += len(links)
        return len(links)

    def close(self) -> None:
        """Cut everything and listen no more."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.heal()
        self.reset()
        self._thread.join(JOIN_S_MAX)
        for link in list(self._links):
            link.cut()
            link.join()
        shutil.rmtree(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def decide(self, application: str, text: bytes) -> Rule | None:
        """Return the rule that strikes a request."""
        for rule in self.rules:
            if rule.strikes(application, text, self._random.random()):
                return rule
        return None

    def wait_to_send(self) -> None:
        self._open.wait()

    def wait_to_hear(self) -> None:
        self._hearing.wait()

    def forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            # A host that cannot be reached does not even take connections: its clients wait until they give up.
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self.wait_to_send()
        host, port = str(self._options["host"]), int(self._options.get("port") or 5432)
        local = host.startswith("/")
        server = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}" if local else (host, port))
        except OSError:
            client.close()
            server.close()
            return
        with self._lock:
            if self._closed:
                client.close()
                server.close()
                return
            link = _Link(self, client, server)
            self._links.add(link)
        link.start()


class _Link:
    """One connection of a client, and ours to the server for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.application = ""
        self._proxy = proxy
        self._client = client
        self._server = server
        self._deaf = False
        """What the server says gets lost."""
        self._witness: _Witness | None = None
        """Looks at the answer of a request whose rule cuts the connection after it."""
        self._threads = [
            threading.Thread(target=self._run, args=(pump,), daemon=True) for pump in (self._pass_requests, self._pass_answers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(JOIN_S_MAX)

    def cut(self) -> None:
        """End both connections; the threads find out."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _run(self, pump: object) -> None:
        assert callable(pump)
        with suppress(OSError):
            pump()
        self.cut()
        self._proxy.forget(self)
        if pump == self._pass_answers:
            self._threads[0].join(JOIN_S_MAX)
            self._client.close()
            self._server.close()

    def _pass_requests(self) -> None:
        for text, data in self._requests():
            rule = self._proxy.decide(self.application, text) if text else None
            if rule is not None:
                if rule.fault is Fault.CUT_BEFORE:
                    rule.note_fired()
                    return
                if rule.fault is Fault.CUT_AFTER:
                    self._witness = _Witness(rule)
                elif rule.fault is Fault.SWALLOW:
                    self._deaf = True
                    rule.note_fired()
                else:
                    rule.note_fired()
                    time.sleep(rule.delay_s)
            self._proxy.wait_to_send()
            self._server.sendall(data)

    def _pass_answers(self) -> None:
        while data := self._server.recv(BUFFER_BYTES):
            if self._witness is not None:
                if self._witness.sees_end(data):
                    return
            elif not self._deaf:
                self._proxy.wait_to_hear()
                self._client.sendall(data)

    def _requests(self) -> Iterator[tuple[bytes, bytes]]:
        """Give what the client sends, cut into requests: (the SQL of a request that the server will answer, or b"", the bytes)."""
        reader = _Reader(self._client)
        yield b"", self._start_up(reader)
        prepared: dict[bytes, bytes] = {}
        texts: list[bytes] = []
        held: list[bytes] = []
        while message := reader.message():
            kind, body = message[:1], message[5:]
            if kind in b"dcfp":
                yield b"", message
                continue
            held.append(message)
            if kind == b"Q":
                texts.append(body)
            elif kind == b"P":
                name, text, _types = body.split(b"\0", 2)
                prepared[name] = text
            elif kind == b"B":
                _portal, name, _values = body.split(b"\0", 2)
                texts.append(prepared.get(name, b"") + b"\0")
            if kind in b"QSHX":
                yield b"".join(texts), b"".join(held)
                texts, held = [], []

    def _start_up(self, reader: _Reader) -> bytes:
        """Return the first message, after refusing encryption, which nobody here could read."""
        while True:
            message = reader.first_message()
            (code,) = struct.unpack("!I", message[4:8])
            if code not in (SSL_REQUEST, GSS_REQUEST):
                break
            self._client.sendall(UNENCRYPTED)
        words = message[8:].split(b"\0")
        settings = dict(zip(words[::2], words[1::2], strict=False))
        self.application = settings.get(b"application_name", b"").decode()
        return message


class _Reader:
    """Takes whole messages out of a stream. Raises OSError at its end."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._data = bytearray()

    def first_message(self) -> bytes:
        """Return a message without a type, as all are before the session is open."""
        self._fill(4)
        return self._take(struct.unpack("!I", self._data[:4])[0])

    def message(self) -> bytes:
        self._fill(5)
        return self._take(1 + struct.unpack("!I", self._data[1:5])[0])

    def _take(self, length: int) -> bytes:
        self._fill(length)
        message = bytes(self._data[:length])
        del self._data[:length]
        return message

    def _fill(self, length: int) -> None:
        while len(self._data) < length:
            data = self._source.recv(BUFFER_BYTES)
            if not data:
                raise ConnectionResetError
            self._data += data


class _Witness:
    """Reads the answer to one request to its end, for a client that will not see it."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._data = bytearray()
        self._failed = False

    def sees_end(self, data: bytes) -> bool:
        """Take in what the server said; True when it is ready for the next request. The rule has struck if it did what was asked."""
        self._data += data
        while len(self._data) >= 5:
            length = 1 + struct.unpack("!I", self._data[1:5])[0]
            if len(self._data) < length:
                return False
            kind = self._data[:1]
            del self._data[:length]
            self._failed = self._failed or kind == b"E"
            if kind == b"Z":
                if not self._failed:
                    self._rule.note_fired()
                return True
        return False
