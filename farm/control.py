"""How a farm on this host is spoken to: through a socket in its state directory, one JSON object a line, one question at a time.

A request is `{"do": "pause", ...}`. An answer is `{"ok": true, "said": [...], ...}`, or `{"error": "..."}` and then nothing was done.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from farm.errors import FarmError
from farm.home import StateDir
from farm.spelling import did_you_mean

SOCKET_NAME = "control.sock"
REQUEST_BYTES_MAX = 16 << 10
ANSWER_BYTES_MAX = 1 << 20
"""Of a farm with thousands of subworkers a snapshot takes a quarter of that."""
HOSTS_MAX = 100
"""Hosts that a snapshot tells of, however many there are."""
ANSWER_S = 15.0
"""A farm answers between two looks at its jobs. One that takes longer is just starting, is stopped, or waits for its disk."""
LEFT = "left"
"""The key under which a farm tells its exit code, as its last word to whoever is still connected."""
_PEER = struct.Struct("3i")


@contextmanager
def reachable(directory: Path) -> Iterator[str]:
    """Give the address of the socket in a directory, however long that directory's own name is: the kernel takes 107 bytes at most.

    The address leads through a descriptor of the directory, so it is good for this process and as long as this lasts. Raises OSError.
    """
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return (pid, uid) of the process on the other side as it was when the connection, or its listener, was made; pid 0: not told."""
    pid, uid, _gid = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid


class Refused(FarmError):
    """A farm does not do what it is asked for, and says why, as a rule in one line."""


class Silent(FarmError):
    """A farm is there and does not answer."""


class Connection:
    """A connection to one running farm. Made by `connect` and `running`; used by one thread."""

    def __init__(self, instance: str, connection: socket.socket) -> None:
        self.instance = instance
        self._socket = connection
        self._buffer = b""
        self._pidfd = -1
        pid, _uid = peer_of(connection)
        if pid:
            # Gone by now, or in another namespace of processes: then its connection has to tell its end.
            with suppress(OSError):
                self._pidfd = os.pidfd_open(pid)

    def ask(self, do: str, *, wait_s: float = ANSWER_S, **arguments: Any) -> dict[str, Any]:
        """Ask for something and return the answer. Raises Refused, Silent, Gone."""
        self.send(do, wait_s=wait_s, **arguments)
        return self.receive(wait_s)

    def send(self, do: str, *, wait_s: float = ANSWER_S, **arguments: Any) -> None:
        """Ask for something; `receive` has the answer. Raises Silent if the farm does not even listen."""
        try:
            message = orjson.dumps({"do": do, **arguments}) + b"\n"
        except orjson.JSONEncodeError:
            raise FarmError("expected names in UTF-8") from None
        if len(message) > REQUEST_BYTES_MAX:
            raise FarmError(f"the request is {len(message):,} bytes; a farm reads at most {REQUEST_BYTES_MAX:,}: name fewer at once")
        try:
            self._socket.settimeout(wait_s)
            self._socket.sendall(message)
        except TimeoutError:
            raise self._silent(wait_s) from None
        except OSError:
            # It has closed already; what it said before stands in our buffer.
            pass

    def receive(self, wait_s: float) -> dict[str, Any]:
        """Return the answer to what was asked last. Raises Refused, Gone, and Silent: then it may be called again."""
        deadline = time.monotonic() + wait_s
        while b"\n" not in self._buffer:
            self._receive(deadline, wait_s)
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer = orjson.loads(line)
        assert isinstance(answer, dict)
        if LEFT in answer:
            raise Gone(self.instance, answer[LEFT])
        if "error" in answer:
            raise Refused(str(answer["error"]))
        return answer

    def wait_gone(self, wait_s: float) -> bool:
        """Wait until its process has ended, for so long at the most; True if it has."""
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(wait_s * 1000))

    def close(self) -> None:
        """Close the connection; may be called again."""
        self._socket.close()
        fd, self._pidfd = self._pidfd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _receive(self, deadline: float, wait_s: float) -> None:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise self._silent(wait_s)
        self._socket.settimeout(left_s)
        try:
            piece = self._socket.recv(1 << 16)
        except TimeoutError:
            raise self._silent(wait_s) from None
        except OSError:
            piece = b""
        if not piece:
            raise Gone(self.instance, None)
        self._buffer += piece
        if len(self._buffer) > ANSWER_BYTES_MAX:
            raise FarmError(f"the farm {self.instance!r} answers without an end")

    def _silent(self, wait_s: float) -> Silent:
        return Silent(f"the farm {self.instance!r} has not answered within {wait_s:g} s: it is just starting, stopped, or stuck")


class Gone(FarmError):
    """A farm has left, or was killed, before it answered."""

    def __init__(self, instance: str, code: int | None) -> None:
        self.code = code
        """Its exit code, None if it was killed."""
        super().__init__(f"the farm {instance!r} has {'gone without a word' if code is None else f'left with exit code {code}'}")


def connect(home: Path, instance: str | None = None) -> Connection:
    """Connect to the farm that runs as `instance`, or to the only one that runs below this FARM_HOME. Raises FarmError."""
    if instance is not None:
        return _named(home, instance)
    found = running(home)
    if not found:
        raise FarmError(f"no farm runs in {home} (FARM_HOME says where; `farm start CONFIG` starts one)")
    if len(found) > 1:
        for connection in found:
            connection.close()
        names = ", ".join(connection.instance for connection in found)
        raise FarmError(f"{len(found)} farms run in {home}: {names}; say which with --instance")
    return found[0]


def find(home: Path, instance: str) -> Connection | None:
    """Connect to the farm that runs as `instance`; None if none does. Raises FarmError if it cannot be spoken to."""
    state = StateDir.find(home, instance)
    return None if state is None else _connected(state)


def running(home: Path) -> list[Connection]:
    """Connect to every farm that runs below this FARM_HOME and may be spoken to, by name."""
    found = []
    for state in StateDir.all(home):
        with suppress(FarmError):
            if (connection := _connected(state)) is not None:
                found.append(connection)
    return found


def _named(home: Path, instance: str) -> Connection:
    state = StateDir.find(home, instance)
    if state is None:
        close = did_you_mean(instance, [state.instance for state in StateDir.all(home)])
        raise FarmError(f"there has never been a farm {instance!r} in {home}{close}")
    connection = _connected(state)
    if connection is None:
        raise FarmError(f"no farm runs as {instance!r} in {home}")
    return connection


def _connected(state: StateDir) -> Connection | None:
    """Connect to the farm of a state directory; None if there is none: no socket, or one that nobody listens to any more."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with reachable(state.path) as address:
            connection.settimeout(ANSWER_S)
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        why = "it does not take connections any more" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise FarmError(f"cannot speak to the farm {state.instance!r}: {why}") from error
    return Connection(state.instance, connection)
